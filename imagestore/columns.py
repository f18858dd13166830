"""Columns of numbers in a file, each with a checksum: the format of the indexes of stores and archives.

    columns, each at a multiple of 8 bytes | a JSON header that says where each column is | the footer

The footer is the end of the file. The header also holds facts, which are whatever the owner of the file
wants to keep. Columns are loaded when they are first asked for. They are never mapped into memory: a file
that another tool cuts short must end in an error, not in SIGBUS.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from isal.isal_zlib import crc32

from imagestore.files import write_all

FOOTER = struct.Struct("<16sQQI4x")  # magic, where the data begin, length of the header, its CRC-32
FOOTER_FIELDS = struct.calcsize("<16sQQI")  # bytes; behind them is padding
PIECE = 1 << 20  # bytes that are read at once to compare checksums


class DamagedColumn(OSError):
    """A column is damaged, or was cut off after the file was opened."""


@dataclass(frozen=True)
class StoredColumns:
    """The columns of the open file `fd`; keep it open as long as columns are loaded.

    `places` says for each column its dtype, its position in the file, its length and its CRC-32.
    """

    fd: int
    facts: dict
    places: dict[str, list]

    def load(self, key: str) -> np.ndarray:
        """One column. Raises DamagedColumn where its checksum does not fit."""
        dtype, at, count, checksum = self.places[key]
        values = np.empty(count, dtype)
        if count and os.preadv(self.fd, [values.view(np.uint8)], at) != values.nbytes:
            raise DamagedColumn(f"the column {key!r} of the index is cut short")
        if crc32(values.view(np.uint8)) != checksum:
            raise DamagedColumn(f"the column {key!r} of the index is damaged")
        return values

    def intact(self) -> bool:
        """Whether every column has its checksum; reads all of them in pieces and keeps none."""
        return all(self._checksum(key) == place[3] for key, place in self.places.items())

    def _checksum(self, key: str) -> int:
        dtype, at, count, _ = self.places[key]
        value, end = 0, at + count * np.dtype(dtype).itemsize
        while at < end and (piece := os.pread(self.fd, min(end - at, PIECE), at)):
            value, at = crc32(piece, value), at + len(piece)
        return value


def write_columns(
    fd: int, begin: int, magic: bytes, facts: Mapping[str, object], columns: Iterable[tuple[str, np.ndarray]]
) -> None:
    """Write columns, header and footer behind the first `begin` bytes of the file `fd`. Raises OSError.

    `magic` (16 bytes) says what kind of file it is.
    """
    at = _aligned(begin)
    places = {}
    for key, column in columns:
        values = np.ascontiguousarray(column)
        data = memoryview(values.view(np.uint8)) if len(values) else b""
        write_all(fd, data, at)
        places[key] = [values.dtype.str, at, len(values), crc32(data)]
        at = _aligned(at + len(data))
    header = json.dumps({**facts, "columns": places}).encode()
    write_all(fd, header + FOOTER.pack(magic, begin, len(header), crc32(header)), at)


def read_columns(fd: int, begin: int | None, magic: bytes) -> StoredColumns | None:
    """The columns behind the first `begin` bytes of the open file `fd`; None where there are none to believe.

    They are believed if the footer names the same magic and beginning, the header has its checksum, and the
    gaps between the columns are empty. The checksums of the columns themselves are not compared here.
    """
    size = os.fstat(fd).st_size
    footer = os.pread(fd, FOOTER.size, max(0, size - FOOTER.size))
    if len(footer) < FOOTER.size or not footer.startswith(magic):
        return None
    _, begun, length, checksum = FOOTER.unpack(footer)
    if begun != begin or length > size - FOOTER.size - begun or any(footer[FOOTER_FIELDS:]):
        return None
    header = os.pread(fd, length, size - FOOTER.size - length)
    if len(header) != length or crc32(header) != checksum:
        return None
    facts = json.loads(header)
    places = facts.pop("columns")
    return StoredColumns(fd, facts, places) if _gaps_are_empty(fd, begun, places) else None


def _gaps_are_empty(fd: int, begin: int, places: Mapping[str, list]) -> bool:
    """Whether nothing but zeros stands between the columns: a byte there has no checksum."""
    at = begin
    for dtype, place, count, _ in places.values():
        if any(os.pread(fd, place - at, at)):
            return False
        at = place + count * np.dtype(dtype).itemsize
    return not any(os.pread(fd, _aligned(at) - at, at))


def _aligned(position: int) -> int:
    return (position + 7) // 8 * 8
