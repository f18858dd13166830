"""The journal of a partial file: where each image's bytes are, one record for each image.

A process may be killed at any instant. HDF5 can then not read the file that it was writing, but the images'
bytes are in the file, and the journal tells where. A record is appended once the bytes are written. Its
checksum tells whether the record is complete.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from isal.isal_zlib import crc32

from imagestore.store.record import PALETTE_COLUMNS, ImageRecord

FRAME = struct.Struct("<II")  # length of the record, its CRC-32
# offset, size, mtime, created, crc32, then the lengths of: label, name, member, palette
NUMBERS = struct.Struct("<qqqqIIIII")


def append(journal: BinaryIO, image: ImageRecord, offset: int) -> None:
    """Add a record: the bytes of `image` are at `offset` of the partial file. Raises OSError."""
    palette = b"" if image.palette is None else image.palette.astype("<f4").tobytes()
    parts = (image.label, image.name, image.member, palette)
    numbers = (offset, image.size, image.mtime, image.created, image.crc32)
    record = NUMBERS.pack(*numbers, *map(len, parts)) + b"".join(parts)
    journal.write(FRAME.pack(len(record), crc32(record)) + record)


def read(path: Path) -> Iterator[tuple[ImageRecord, int]]:
    """The images of a journal and their offsets, up to the first record that is cut short or damaged."""
    with path.open("rb") as journal:
        while len(frame := journal.read(FRAME.size)) == FRAME.size:
            length, checksum = FRAME.unpack(frame)
            record = journal.read(length)
            if len(record) != length or crc32(record) != checksum:
                return
            yield _parse(record)


def take_back(path: Path, journal: BinaryIO, count: int) -> None:
    """Remove the last `count` records of the journal at `path`, which is open for writing. Raises OSError."""
    with path.open("rb") as written:
        ends = [0]
        while len(frame := written.read(FRAME.size)) == FRAME.size:
            ends.append(written.seek(FRAME.unpack(frame)[0], os.SEEK_CUR))
    end = ends[-1 - count]
    journal.truncate(end)
    journal.seek(end)


def _parse(record: bytes) -> tuple[ImageRecord, int]:
    offset, size, mtime, created, checksum, *lengths = NUMBERS.unpack_from(record)
    parts, begin = [], NUMBERS.size
    for length in lengths:
        parts.append(record[begin : begin + length])
        begin += length
    label, name, member, table = parts
    palette = np.frombuffer(table, "<f4").reshape(-1, len(PALETTE_COLUMNS)) if table else None
    image = ImageRecord(
        label=label,
        name=name,
        size=size,
        member=member,
        crc32=checksum,
        mtime=mtime,
        created=created,
        palette=palette,
    )
    return image, offset
