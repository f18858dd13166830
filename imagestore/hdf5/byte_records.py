"""A dataset seen as records of equal width: opaque values, texts of fixed length, or rows of bytes."""

from __future__ import annotations

import math
from typing import NamedTuple

from h5py import h5t

from imagestore.image_formats import suffix_of

LARGEST_RECORD = 1 << 30  # bytes
NUMPY_TAG = b"NUMPY:"  # h5py's mark of opaque values that are dates and the like
ENDS_WITHOUT_ZERO = {".jpg", ".png", ".gif"}  # formats whose last byte is never 0
SIZE_FIELDS = {".webp": (4, 8), ".bmp": (2, 0)}  # where 4 bytes hold the size, and how much more there is


class ByteRecords(NamedTuple):
    """How many records a dataset has, and of how many bytes."""

    count: int
    width: int
    is_list: bool  # False: the dataset is one record
    is_opaque: bool = (
        False  # its type says that it is nothing but bytes; other records may be numbers or text
    )


def may_be_bytes(kind: h5t.TypeID) -> bool:
    """Whether `records_of` finds records of this type, if the shape is right."""
    is_text = isinstance(kind, h5t.TypeStringID) and not kind.is_variable_str()
    return is_text or is_byte(kind)


def records_of(kind: h5t.TypeID, shape: tuple[int, ...] | None) -> ByteRecords | None:
    """The records of a dataset of this type and shape; None if there are none, or they are huge.

    An array of single bytes is one record if only one of its axes is longer than 1, and rows if two are.
    """
    if not may_be_bytes(kind) or shape is None or 0 in shape:
        return None
    if isinstance(kind, h5t.TypeIntegerID):
        records = _rows([length for length in shape if length > 1])
    else:
        is_opaque = isinstance(kind, h5t.TypeOpaqueID)
        records = ByteRecords(math.prod(shape), kind.get_size(), is_list=bool(shape), is_opaque=is_opaque)
    return records if records and records.width <= LARGEST_RECORD else None


def is_byte(kind: h5t.TypeID) -> bool:
    """Whether values of a type are nothing but bytes: integers of one byte, or opaque values of any size."""
    if isinstance(kind, h5t.TypeOpaqueID):
        return not kind.get_tag().startswith(NUMPY_TAG)
    return isinstance(kind, h5t.TypeIntegerID) and kind.get_size() == 1


def _rows(long_axes: list[int]) -> ByteRecords | None:
    if len(long_axes) == 1:
        return ByteRecords(1, long_axes[0], is_list=False)
    return ByteRecords(*long_axes, is_list=True) if len(long_axes) == 2 else None


def content_size(record: bytes) -> int:
    """The size of the image in a record that is padded with zeros; the record's own if it cannot be told."""
    suffix = suffix_of(record)
    if suffix in SIZE_FIELDS:
        place, more = SIZE_FIELDS[suffix]
        size = int.from_bytes(record[place : place + 4], "little") + more
        return min(size, len(record)) if size > more else len(record)
    without_zeros = len(record.rstrip(b"\0"))
    return without_zeros if suffix in ENDS_WITHOUT_ZERO or not without_zeros else len(record)
