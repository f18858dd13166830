"""The hidden files that a writer keeps beside its store, and the images that a killed writer leaves in them.

    .<name>.lock    .<name>.<token>.partial    .<name>.<token>.journal

Each writer has a token of its own. Only the holder of the lock may read or remove what others left.
"""

from __future__ import annotations

import glob
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from isal.isal_zlib import crc32

from imagestore.store import journal
from imagestore.store.record import ImageRecord

LONGEST_STEM = 200  # bytes of the store's name in the names of these files
TOKEN_BYTES = 4


def lock_of(store: Path) -> Path:
    """The path of a store's lock."""
    return _path_beside(store, "lock")


def new_partial_and_journal(store: Path) -> tuple[Path, Path]:
    """Two paths that no other writer has."""
    token = secrets.token_hex(TOKEN_BYTES)
    return _path_beside(store, f"{token}.partial"), _path_beside(store, f"{token}.journal")


def _path_beside(store: Path, ending: str) -> Path:
    full_name = os.fsencode(store.name)
    stem = os.fsdecode(full_name[:LONGEST_STEM])
    if len(full_name) > LONGEST_STEM:  # else two stores with the same long beginning would share the file
        stem += f"~{crc32(full_name):08x}"
    return store.with_name(f".{stem}.{ending}")


def journals_left(store: Path) -> list[Path]:
    """The journals of writers that ended before they published."""
    any_token = "?" * 2 * TOKEN_BYTES
    pattern = store.with_name(glob.escape(_path_beside(store, "").name) + f"{any_token}.journal")
    return [Path(found) for found in glob.glob(str(pattern))]


def images_left(journal_file: Path) -> Iterator[tuple[ImageRecord, bytes]]:
    """The images of a journal, each with its bytes, if these have the right checksum. Raises OSError."""
    try:
        fd = os.open(_partial_of(journal_file), os.O_RDONLY)
    except FileNotFoundError:  # the partial file was published already, or not yet made
        return
    try:
        for image, offset in journal.read(journal_file):
            data = os.pread(fd, image.size, max(offset, 0))
            if len(data) == image.size and crc32(data) == image.crc32:
                yield image, data
    finally:
        os.close(fd)


def remove_left(journal_file: Path) -> None:
    """Remove a journal and its partial file."""
    _partial_of(journal_file).unlink(missing_ok=True)
    journal_file.unlink(missing_ok=True)


def _partial_of(journal_file: Path) -> Path:
    return journal_file.with_suffix(".partial")
