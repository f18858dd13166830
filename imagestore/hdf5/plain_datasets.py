"""The commonest dataset, read without HDF5: a contiguous 1-D array of unsigned bytes.

HDF5 takes 30 microseconds to open such a dataset and to answer what is asked about it, and 20 more for each
attribute. Its header is a few messages, which are read here in 5 to 20. Whatever is not exactly as expected
is left to HDF5.

HDF5 File Format Specification, IV.A, "Data Object Headers", version 1. A header of version 2 has a checksum,
which only HDF5 compares.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import NamedTuple

from h5py import h5f

from imagestore.hdf5.entry import NO_OFFSET
from imagestore.hdf5.superblock import is_live

HEADER_BYTES = 512  # that are read at once; h5py's headers have 272
MOST_BLOCKS = 8  # of one header
LARGEST_ADDRESS = 1 << 62  # which pread takes
UNDEFINED = (1 << 64) - 1  # the address of bytes that were never allocated

_PREFIX = struct.Struct("<BxHII4x")  # version, number of messages, hard links, bytes of all messages
_MESSAGE = struct.Struct("<HHB3x")  # type, bytes, flags
_ATTRIBUTE_PREFIX = struct.Struct("<BxHHH")  # version, bytes of the name, the type and the dataspace
_SHARED = 2  # a flag: the message stands elsewhere
_ATTRIBUTE, _CONTINUATION = 12, 16  # types of messages that a dataset with attributes has
_TOLD = (b"Modified", b"Created", b"Permissions")
_SCALAR = b"\1\0"  # a dataspace's version and rank
_BIG_ENDIAN = 1  # a flag of integers
_SPACE, _TYPE, _LAYOUT = 1, 3, 8  # types of messages
_NEEDED, _IGNORED = {_SPACE, _TYPE, _LAYOUT}, {0, 4, 5, 14, 18}  # padding, fill values, modification times
_LENGTH_AT = {b"\1\1": 8, b"\2\1": 4}  # by a dataspace's version and rank
_NUMBER, _ADDRESS_AND_SIZE = struct.Struct("<Q"), struct.Struct("<QQ")
_ONE_BYTE = struct.pack("<IHH", 1, 0, 8)  # size in bytes, first bit, number of bits
_INTEGER_VERSIONS = {0x10, 0x20, 0x30}  # of a datatype; the low digit is its class
_SIGNED = 8  # a flag of integers
_CONTIGUOUS = {b"\3\1", b"\4\1"}  # a layout's version and class


class PlainDataset(NamedTuple):
    """A contiguous 1-D array of unsigned bytes, and what its attributes say, if they were asked for."""

    links: int  # hard links to it
    length: int  # bytes
    stored: int = 0  # bytes that the file has for it
    offset: int = NO_OFFSET  # of its bytes in the file, if they were ever allocated
    modified: int | None = None  # the attributes of this name: Modified, Created, Permissions
    created: int | None = None
    permissions: int | None = None


def first_byte(file: h5f.FileID, fd: int) -> int | None:
    """The offset of address 0 in a file: the size of its user block; `fd` is the same file.

    None if `read_plain_dataset` does not know its addresses, or if another program is writing to it.
    """
    properties = file.get_create_plist()
    return properties.get_userblock() if properties.get_sizes() == (8, 8) and not is_live(fd) else None


def read_plain_dataset(
    fd: int, first_byte: int, address: int, *, with_attributes: bool = False
) -> PlainDataset | None:
    """The dataset with its header at an address of a file; None for anything else, and for damage.

    A dataset that has attributes is something else, unless they are asked for.
    """
    header = os.pread(fd, HEADER_BYTES, first_byte + address) if address <= LARGEST_ADDRESS else b""
    attributes: dict[bytes, int] | None = {} if with_attributes else None
    messages = _messages(header, attributes, lambda place, size: os.pread(fd, size, first_byte + place))
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
    links, told = _PREFIX.unpack_from(header)[2], [(attributes or {}).get(name) for name in _TOLD]
    if not is_stored:
        return PlainDataset(links, length, 0, NO_OFFSET, *told)
    return PlainDataset(links, length, stored, first_byte + place, *told)


def _messages(
    header: bytes, attributes: dict[bytes, int] | None, read: Callable[[int, int], bytes]
) -> dict[int, bytes] | None:
    """The messages that are needed, by type; None if one is missing, or there is any that is not expected.

    `attributes` gets the values of those that are told; None if there may be no attribute. `read` gives bytes
    at an address: a header with attributes goes on in other blocks.
    """
    if len(header) < _PREFIX.size:
        return None
    version, count, _, size = _PREFIX.unpack_from(header)
    if version != 1 or _PREFIX.size + size > len(header):
        return None
    messages: dict[int, bytes] = {}
    blocks = [header[_PREFIX.size : _PREFIX.size + size]]
    for block in blocks:  # which grows
        at = 0
        while count and at + _MESSAGE.size <= len(block):
            kind, length, flags = _MESSAGE.unpack_from(block, at)
            at, count = at + _MESSAGE.size + length, count - 1
            body = block[at - length : at]
            if len(body) < length:
                return None
            if kind in _NEEDED and not flags & _SHARED and kind not in messages:
                messages[kind] = body
            elif kind == _ATTRIBUTE and attributes is not None:
                if not _add_attribute(body, flags, attributes):
                    return None
            elif kind == _CONTINUATION and attributes is not None and len(blocks) < MOST_BLOCKS:
                blocks.append(_next_block(body, read))
            elif kind not in _IGNORED:
                return None
    return messages if len(messages) == len(_NEEDED) and not count else None


def _next_block(message: bytes, read: Callable[[int, int], bytes]) -> bytes:
    """The block in which a header goes on; empty if it is too long, or nowhere."""
    if len(message) < _ADDRESS_AND_SIZE.size:
        return b""
    place, size = _ADDRESS_AND_SIZE.unpack_from(message)
    return read(place, size) if place <= LARGEST_ADDRESS and size <= HEADER_BYTES else b""


def _add_attribute(message: bytes, flags: int, attributes: dict[bytes, int]) -> bool:
    """Add the value of an attribute that is told; False if only HDF5 can read it."""
    if flags & _SHARED or len(message) < _ATTRIBUTE_PREFIX.size:
        return False
    version, *sizes = _ATTRIBUTE_PREFIX.unpack_from(message)
    at, parts = _ATTRIBUTE_PREFIX.size, []
    for size in sizes:  # of the name, the type, and the dataspace
        parts.append(message[at : at + size])
        at += -(-size // 8) * 8
    name, kind, space = parts
    name = name.rstrip(b"\0")
    if version != 1 or name not in _TOLD:
        return version == 1
    if len(kind) < 12 or kind[0] not in _INTEGER_VERSIONS or kind[1] & _BIG_ENDIAN or space[:2] != _SCALAR:
        return False
    size, first_bit, bits = struct.unpack_from("<IHH", kind, 4)
    value = message[at : at + size]
    if not len(value) == size <= 8 or (first_bit, bits) != (0, 8 * size):
        return False
    attributes[name] = int.from_bytes(value, "little", signed=bool(kind[1] & _SIGNED))
    return attributes[name] < 1 << 63
