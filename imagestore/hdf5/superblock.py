"""The first bytes of an HDF5 file: its signature, where its data end, and who writes to it.

HDF5 File Format Specification, III.A, "Disk Format: Level 0A": the superblock.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SUPERBLOCK = struct.Struct("<8sB4xB26xQ")  # signature, version, size of addresses, end-of-file address
NEW_SUPERBLOCK = struct.Struct("<8sBxxB")  # signature, version, consistency flags
FIRST_NEW_VERSION = 2  # older superblocks have no flags that anybody sets
OPEN_FOR_WRITING, OPEN_FOR_SWMR = 1, 4  # bits of the consistency flags


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5: its signature stands at byte 0, 512, 1024, 2048 and so on."""
    try:
        with open(path, "rb") as file:
            return has_signature(file.fileno())
    except OSError:
        return False


def has_signature(fd: int) -> bool:
    """Whether an open file is HDF5."""
    return _superblock_place(fd) is not None


def _superblock_place(fd: int) -> int | None:
    size = os.fstat(fd).st_size
    places = [0, *(512 << i for i in range((size // 512).bit_length()))]
    return next((place for place in places if os.pread(fd, len(SIGNATURE), place) == SIGNATURE), None)


def end_of_file_address(fd: int) -> int | None:
    """Where the HDF5 data of an open file end; None if its superblock is not version 0, as written here."""
    superblock = os.pread(fd, SUPERBLOCK.size, 0)
    if len(superblock) < SUPERBLOCK.size:
        return None
    signature, version, size_of_addresses, address = SUPERBLOCK.unpack(superblock)
    return address if (signature, version, size_of_addresses) == (SIGNATURE, 0, 8) else None


def is_marked_as_written(fd: int) -> bool:
    """Whether an open file says of itself that a program writes to it.

    Only files in the newer formats (`libver="latest"`) can say so. The mark stays if the program crashes.
    """
    return bool(_consistency_flags(fd) & OPEN_FOR_WRITING)


def is_live(fd: int) -> bool:
    """Whether a program writes to an open file in HDF5's mode SWMR, which lets others read meanwhile."""
    flags = OPEN_FOR_WRITING | OPEN_FOR_SWMR
    return _consistency_flags(fd) & flags == flags


def _consistency_flags(fd: int) -> int:
    place = _superblock_place(fd)
    superblock = b"" if place is None else os.pread(fd, NEW_SUPERBLOCK.size, place)
    if len(superblock) < NEW_SUPERBLOCK.size:
        return 0
    _, version, flags = NEW_SUPERBLOCK.unpack(superblock)
    return flags if version >= FIRST_NEW_VERSION else 0
