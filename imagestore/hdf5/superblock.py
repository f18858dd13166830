"""The first bytes of an HDF5 file: its signature, and where its data end."""

from __future__ import annotations

import os
import struct
from pathlib import Path

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SUPERBLOCK = struct.Struct("<8sB4xB26xQ")  # signature, version, size of addresses, end-of-file address


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5: its signature stands at byte 0, 512, 1024, 2048 and so on."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            places = [0, *(512 << i for i in range((size // 512).bit_length()))]
            return any(os.pread(file.fileno(), len(SIGNATURE), place) == SIGNATURE for place in places)
    except OSError:
        return False


def end_of_file_address(fd: int) -> int | None:
    """Where the HDF5 data of an open file end; None if its superblock is not version 0, as written here.

    HDF5 File Format Specification, III.A, "Disk Format: Level 0A".
    """
    superblock = os.pread(fd, SUPERBLOCK.size, 0)
    if len(superblock) < SUPERBLOCK.size:
        return None
    signature, version, size_of_addresses, address = SUPERBLOCK.unpack(superblock)
    return address if (signature, version, size_of_addresses) == (SIGNATURE, 0, 8) else None
