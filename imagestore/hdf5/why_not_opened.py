"""Why HDF5 cannot open a file, in words for the user. This module does not import h5py."""

from __future__ import annotations

import re
from pathlib import Path

from imagestore.hdf5.superblock import has_signature, is_marked_as_written
from imagestore.printed_commands import command_line, path_argument

DAMAGED_OR_UNFINISHED = "damaged, or its writer did not finish"
_ERROR_OF_SYSTEM = re.compile(r"error message = '([^']+)'")  # in HDF5's messages


def why_not_opened(descriptor: int, path: Path, message: str) -> str:
    """What is wrong with an open file, and what to do; `message` is that of HDF5, which cannot open it."""
    if error := _ERROR_OF_SYSTEM.search(message):
        return f"cannot be opened ({error[1]})"
    if is_marked_as_written(descriptor):
        return (
            "is marked as open for writing: a program writes to it, or its writer crashed; if no program has "
            f"it open, run: {command_line('h5clear', '-s', path_argument(path))}"
        )
    if not has_signature(descriptor):
        return "not an HDF5 file, or damaged"
    if "truncated" in message:
        return "cut short, or its writer did not finish: copy or make it again"
    return f"{DAMAGED_OR_UNFINISHED}: copy or make it again"
