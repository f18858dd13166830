"""Columns of numbers in a file, each with a checksum: the format of the indexes of stores and archives.

    the owner's bytes | columns, each at a multiple of 8 bytes | a JSON header | the footer

The header says where each column is, and holds facts that the owner of the file wants to keep. The footer is
the end of the file. It holds the kind of file, where the owner's bytes end, and the header's length and CRC.

A column is loaded when somebody first asks for it. Columns are never mapped into memory: if another tool cuts
the file short, the reader gets an error and not SIGBUS.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from isal.isal_zlib import crc32

from imagestore.files.write_and_copy import write_all

ALIGNMENT = 8  # bytes
FOOTER = struct.Struct("<16sQQI4x")  # magic, end of the owner's bytes, length of the header, its CRC-32
FOOTER_FIELDS = struct.calcsize("<16sQQI")  # bytes; the padding behind them is zero
CHECKED_PIECE = 1 << 20  # bytes that are read at once to compare checksums


class DamagedColumn(OSError):
    """A column is damaged, or was cut off after the file was opened."""


class ColumnPlace(NamedTuple):
    """Where a column is in the file; an entry of the header's "columns"."""

    dtype: str
    offset: int
    count: int
    crc32: int

    @property
    def end(self) -> int:
        """The offset of the first byte behind the column."""
        return self.offset + self.count * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class StoredColumns:
    """The columns of the open file `fd`. Keep the file open as long as columns are loaded."""

    fd: int
    facts: dict
    places: dict[str, ColumnPlace]

    def load(self, key: str) -> np.ndarray:
        """One column, 1-D, with its stored dtype. Raises DamagedColumn if its checksum does not fit."""
        place = self.places[key]
        values = np.empty(place.count, place.dtype)
        if place.count and os.preadv(self.fd, [values.view(np.uint8)], place.offset) != values.nbytes:
            raise DamagedColumn(f"the column {key!r} of the index is cut short")
        if crc32(values.view(np.uint8)) != place.crc32:
            raise DamagedColumn(f"the column {key!r} of the index is damaged")
        return values

    def are_intact(self) -> bool:
        """Whether all columns have their checksums. Reads them in pieces and keeps none."""
        return all(_checksum(self.fd, place) == place.crc32 for place in self.places.values())


def _checksum(fd: int, place: ColumnPlace) -> int:
    value, offset, end = 0, place.offset, place.end
    while offset < end and (piece := os.pread(fd, min(end - offset, CHECKED_PIECE), offset)):
        value, offset = crc32(piece, value), offset + len(piece)
    return value


def write_columns(
    fd: int, begin: int, magic: bytes, facts: Mapping[str, object], columns: Iterable[tuple[str, np.ndarray]]
) -> None:
    """Write columns, header and footer behind the first `begin` bytes of the file `fd`. Raises OSError.

    `magic` (16 bytes) names the kind of file. The columns are 1-D arrays. Nothing may stand behind them in
    the file.
    """
    offset = _aligned(begin)
    places = {}
    for key, column in columns:
        values = np.ascontiguousarray(column)
        data = memoryview(values.view(np.uint8)) if len(values) else b""
        write_all(fd, data, offset)
        places[key] = ColumnPlace(values.dtype.str, offset, len(values), crc32(data))
        offset = _aligned(offset + len(data))
    header = json.dumps({**facts, "columns": places}).encode()
    write_all(fd, header + FOOTER.pack(magic, begin, len(header), crc32(header)), offset)


def read_columns(fd: int, begin: int | None, magic: bytes) -> StoredColumns | None:
    """The columns behind the first `begin` bytes of the open file `fd`; None if there are none to believe.

    They are believed if the footer names the same magic and the same beginning, the header has its checksum,
    and only zeros stand between the columns. The checksums of the columns are not compared here.
    """
    size = os.fstat(fd).st_size
    footer = os.pread(fd, FOOTER.size, max(0, size - FOOTER.size))
    if len(footer) < FOOTER.size or not footer.startswith(magic):
        return None
    _, stored_begin, length, checksum = FOOTER.unpack(footer)
    if stored_begin != begin or length > size - FOOTER.size - begin or any(footer[FOOTER_FIELDS:]):
        return None
    header = os.pread(fd, length, size - FOOTER.size - length)
    if len(header) != length or crc32(header) != checksum:
        return None
    facts = json.loads(header)
    places = {key: ColumnPlace(*place) for key, place in facts.pop("columns").items()}
    return StoredColumns(fd, facts, places) if _gaps_are_zero(fd, begin, places.values()) else None


def begin_of_columns(end_of_file: bytes, magic: bytes) -> int | None:
    """Where the owner's bytes end, by the last bytes of a file; None if they are no footer of this kind."""
    footer = end_of_file[-FOOTER.size :]
    if len(footer) < FOOTER.size or not footer.startswith(magic):
        return None
    return FOOTER.unpack(footer)[1]


def _gaps_are_zero(fd: int, begin: int, places: Iterable[ColumnPlace]) -> bool:
    """Whether only zeros stand between the columns: no checksum covers the bytes there."""
    end = begin
    for place in places:
        if place.offset < end or any(os.pread(fd, place.offset - end, end)):
            return False
        end = place.end
    return not any(os.pread(fd, _aligned(end) - end, end))


def _aligned(offset: int) -> int:
    return (offset + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
