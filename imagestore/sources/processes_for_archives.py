"""Processes that decompress archives, as many as are worth their start."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from imagestore.decompression.compression_formats import UNCOMPRESSED, compression_of
from imagestore.decompression.decompressing_processes import DecompressingProcesses

MOST_PROCESSES = 8  # each takes 20 to 100 MB
FEWEST_BYTES = 8 << 20  # of all archives; fewer are read in the time that a process takes to start
FIRST_BYTES = 16  # of a file, by which its format is known


def processes_for_archives(paths: Sequence[Path], cpus: int) -> DecompressingProcesses:
    """Start a process for each compressed file, as far as there are CPUs; none for one CPU, or little data.

    macOS does not let its libraries be forked.
    """
    return DecompressingProcesses(_worthwhile(paths, cpus))


def _worthwhile(paths: Sequence[Path], cpus: int) -> int:
    most = min(cpus, MOST_PROCESSES)
    if most < 2 or sys.platform != "linux":
        return 0
    count = size = 0
    for path in paths:
        if count == most and size >= FEWEST_BYTES:
            break
        if compressed := _compressed_bytes(path):
            count, size = min(count + 1, most), size + compressed
    return count if size >= FEWEST_BYTES else 0


def _compressed_bytes(path: Path) -> int:
    """The size of a compressed file; 0 for another file, and for one that cannot be read."""
    try:
        if not path.is_file():  # a pipe would wait for ever
            return 0
        with path.open("rb") as file:
            beginning = file.read(FIRST_BYTES)
        return 0 if compression_of(beginning) is UNCOMPRESSED else path.stat().st_size
    except OSError:
        return 0
