"""The commonest dataset, read without HDF5: a contiguous 1-D array of unsigned bytes, without attributes.

HDF5 takes 30 microseconds to open such a dataset and to answer what is asked about it. Its header is a few
messages, which are read here in 5. Whatever is not exactly as expected is left to HDF5.

HDF5 File Format Specification, IV.A, "Data Object Headers", version 1. A header of version 2 has a checksum,
which only HDF5 compares.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from h5py import h5f

from imagestore.hdf5.entry import NO_OFFSET
from imagestore.hdf5.superblock import is_live

HEADER_BYTES = 512  # that are read at once; h5py's headers have 272
LARGEST_ADDRESS = 1 << 62  # which pread takes
UNDEFINED = (1 << 64) - 1  # the address of bytes that were never allocated

_PREFIX = struct.Struct("<BxHII4x")  # version, number of messages, hard links, bytes of all messages
_MESSAGE = struct.Struct("<HHB3x")  # type, bytes, flags
_SHARED = 2  # a flag: the message stands elsewhere
_SPACE, _TYPE, _LAYOUT = 1, 3, 8  # types of messages
_NEEDED, _IGNORED = {_SPACE, _TYPE, _LAYOUT}, {0, 4, 5, 14, 18}  # padding, fill values, modification times
_LENGTH_AT = {b"\1\1": 8, b"\2\1": 4}  # by a dataspace's version and rank
_NUMBER, _ADDRESS_AND_SIZE = struct.Struct("<Q"), struct.Struct("<QQ")
_ONE_BYTE = struct.pack("<IHH", 1, 0, 8)  # size in bytes, first bit, number of bits
_INTEGER_VERSIONS = {0x10, 0x20, 0x30}  # of a datatype; the low digit is its class
_SIGNED = 8  # a flag of integers
_CONTIGUOUS = {b"\3\1", b"\4\1"}  # a layout's version and class


class PlainDataset(NamedTuple):
    """A contiguous 1-D array of unsigned bytes without attributes."""

    links: int  # hard links to it
    length: int  # bytes
    stored: int = 0  # bytes that the file has for it
    offset: int = NO_OFFSET  # of its bytes in the file, if they were ever allocated


def first_byte(file: h5f.FileID, fd: int) -> int | None:
    """The offset of address 0 in a file: the size of its user block; `fd` is the same file.

    None if `read_plain_dataset` does not know its addresses, or if another program is writing to it.
    """
    properties = file.get_create_plist()
    return properties.get_userblock() if properties.get_sizes() == (8, 8) and not is_live(fd) else None


def read_plain_dataset(fd: int, first_byte: int, address: int) -> PlainDataset | None:
    """The dataset with its header at an address of a file; None for anything else, and for damage."""
    header = os.pread(fd, HEADER_BYTES, first_byte + address) if address <= LARGEST_ADDRESS else b""
    messages = _messages(header)
    if messages is None:
        return None
    space, kind, layout = (messages[number] for number in (_SPACE, _TYPE, _LAYOUT))
    length_at = _LENGTH_AT.get(space[:2], len(space))
    if len(space) < length_at + _NUMBER.size or len(kind) < 12 or len(layout) < 2 + _ADDRESS_AND_SIZE.size:
        return None
    is_unsigned_byte = kind[0] in _INTEGER_VERSIONS and not kind[1] & _SIGNED and kind[4:12] == _ONE_BYTE
    (length,), (place, stored) = (
        _NUMBER.unpack_from(space, length_at),
        _ADDRESS_AND_SIZE.unpack_from(layout, 2),
    )
    is_stored = place <= LARGEST_ADDRESS and stored == length
    if not is_unsigned_byte or layout[:2] not in _CONTIGUOUS or not (is_stored or place == UNDEFINED):
        return None
    links = _PREFIX.unpack_from(header)[2]
    return (
        PlainDataset(links, length, stored, first_byte + place) if is_stored else PlainDataset(links, length)
    )


def _messages(header: bytes) -> dict[int, bytes] | None:
    """The messages that are needed, by type; None if one is missing, or there is any that is not expected."""
    if len(header) < _PREFIX.size:
        return None
    version, count, _, size = _PREFIX.unpack_from(header)
    at, end = _PREFIX.size, _PREFIX.size + size
    if version != 1 or end > len(header):
        return None
    messages: dict[int, bytes] = {}
    for _ in range(count):
        if at + _MESSAGE.size > end:
            return None
        kind, length, flags = _MESSAGE.unpack_from(header, at)
        at += _MESSAGE.size + length
        if kind in _NEEDED and not flags & _SHARED and kind not in messages and at <= end:
            messages[kind] = header[at - length : at]
        elif kind not in _IGNORED:
            return None
    return messages if len(messages) == len(_NEEDED) else None
