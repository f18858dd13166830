"""Zip files that were split into parts (x.z01, x.z02, …, x.zip) and are joined again, one behind the other.

Their directory counts offsets from the beginning of each part, and nothing says how long the parts were. But
their members follow each other without gaps, and then the directory. See APPNOTE.TXT, 8.5. `zip -s 0` joins
parts, too, but version 3.0 damages some members that span three parts or more.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Sequence

MARK = b"PK\7\x08"  # begins the first part
LOCAL_HEADER = struct.Struct("<4s22x2H")  # signature, ..., length of the name, length of the extra field
LOCAL_SIGNATURE = b"PK\3\4"
ENTRY_SIGNATURE = b"PK\1\2"
# Signature, number of this part, ..., entries, ..., size of the directory, its offset, ...; 4.3.16 and 4.3.14
END_RECORD, END_SIGNATURE = struct.Struct("<4s4H2LH"), b"PK\5\6"
END_RECORD_64, END_SIGNATURE_64 = struct.Struct("<4sQ2H2L4Q"), b"PK\6\6"
IN_END_RECORD_64 = 0xFFFF  # in place of a number
LOCATOR, LOCATOR_SIGNATURE = struct.Struct("<4sLQL"), b"PK\6\7"  # of the second; 4.3.15
SIZES_BEHIND = 1 << 3  # of the flags
SIZES_OF_DESCRIPTORS = (16, 12, 24, 20)  # with a signature or without, of 4 or 8 bytes each; 4.3.9


class NotJoined(Exception):
    """The members are not all there, one behind the other."""


def number_of_last_part(record: bytes) -> int:
    """The number of the part in which an end record stands, from 0; 0 if the file was not split."""
    if len(record) < END_RECORD.size or not record.startswith(END_SIGNATURE):
        return 0
    number = END_RECORD.unpack_from(record)[1]
    return 0 if number == IN_END_RECORD_64 else number


def read_joined_directory(descriptor: int, size: int) -> list[zipfile.ZipInfo]:
    """The entries of a joined file of `size` bytes before its comment, with their places in it.

    Raises NotJoined, OSError, and the errors of zipfile.
    """
    directory, count = _read_directory(descriptor, size)
    whole = len(directory)
    end_64 = END_RECORD_64.pack(
        END_SIGNATURE_64, END_RECORD_64.size - 12, 45, 45, 0, 0, count, count, whole, 0
    )
    locator = LOCATOR.pack(LOCATOR_SIGNATURE, 0, whole, 1)
    end = END_RECORD.pack(END_SIGNATURE, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    with zipfile.ZipFile(io.BytesIO(directory + end_64 + locator + end)) as file:
        infos = file.infolist()
    _place(descriptor, infos)
    return infos


def _read_directory(descriptor: int, size: int) -> tuple[bytes, int]:
    """The bytes of the directory, and the number of its entries. It ends at the end records."""
    end = size - END_RECORD.size
    *_, count, directory_size, _, _ = END_RECORD.unpack(os.pread(descriptor, END_RECORD.size, end))
    at_64 = max(0, end - LOCATOR.size - END_RECORD_64.size)
    record_64 = os.pread(descriptor, END_RECORD_64.size, at_64)
    if record_64.startswith(END_SIGNATURE_64):
        end = at_64
        *_, count, directory_size, _ = END_RECORD_64.unpack(record_64)
    directory = os.pread(descriptor, directory_size, max(0, end - directory_size))
    if len(directory) < directory_size or (count and not directory.startswith(ENTRY_SIGNATURE)):
        raise NotJoined("the parts are not joined, or not all: the directory is not whole")
    return directory, count


def _place(descriptor: int, infos: Sequence[zipfile.ZipInfo]) -> None:
    """Set the offset of each member's header to that in the joined file. Raises NotJoined, OSError."""
    offset = len(MARK) if os.pread(descriptor, len(MARK), 0) == MARK else 0
    for info in sorted(infos, key=lambda info: (info.volume, info.header_offset)):
        header = os.pread(descriptor, LOCAL_HEADER.size, offset)
        if len(header) < LOCAL_HEADER.size or not header.startswith(LOCAL_SIGNATURE):
            raise NotJoined(
                f"the parts are not joined, or not all: {info.filename!r} is not behind the others"
            )
        info.header_offset = offset
        _, name_length, extra_length = LOCAL_HEADER.unpack(header)
        offset += LOCAL_HEADER.size + name_length + extra_length + info.compress_size
        if info.flag_bits & SIZES_BEHIND:
            offset = behind_descriptor(descriptor, offset)


def behind_descriptor(descriptor: int, offset: int) -> int:
    """The offset behind the sizes that follow the data of a member at `offset`."""
    for length in SIZES_OF_DESCRIPTORS:
        following = os.pread(descriptor, 4, offset + length)
        if following.startswith(b"PK") or not following:
            return offset + length
    return offset + SIZES_OF_DESCRIPTORS[0]
