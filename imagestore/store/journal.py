"""The journal of a store in the making: what has been put where, one record an image.

A process may be killed at any instant. The HDF5 file it was writing is then of no use to HDF5, but the
images' bytes are in it, and the journal, to which a record is appended once the bytes are there, says
where. Each record carries a checksum, so a half-written one at the end is noticed. Used by writer.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from isal.isal_zlib import crc32

from imagestore.store.record import PALETTE_COLUMNS, ImageRecord

FRAME = struct.Struct("<II")  # length of the record, its CRC-32


NUMBERS = struct.Struct("<qqqqIIIII")  # offset, size, mtime, created, crc32, lengths of the parts


def append(journal: BinaryIO, image: ImageRecord, offset: int) -> None:
    """Add a record: the bytes of `image` are at `offset` of the file in the making."""
    palette = b"" if image.palette is None else image.palette.astype("<f4").tobytes()
    parts = (image.label, image.name, image.member, palette)
    numbers = (offset, image.size, image.mtime, image.created, image.crc32)
    record = NUMBERS.pack(*numbers, *map(len, parts)) + b"".join(parts)
    journal.write(FRAME.pack(len(record), crc32(record)) + record)


def read(path: Path) -> Iterator[tuple[ImageRecord, int]]:
    """The images of a journal and their offsets, up to the first record that is not whole."""
    with path.open("rb") as journal:
        while len(frame := journal.read(FRAME.size)) == FRAME.size:
            length, checksum = FRAME.unpack(frame)
            record = journal.read(length)
            if len(record) != length or crc32(record) != checksum:
                return
            yield _decode(record)


def _decode(record: bytes) -> tuple[ImageRecord, int]:
    offset, size, mtime, created, checksum, *lengths = NUMBERS.unpack_from(record)
    parts, at = [], NUMBERS.size
    for length in lengths:
        parts.append(record[at : at + length])
        at += length
    label, name, member, table = parts
    palette = np.frombuffer(table, "<f4").reshape(-1, len(PALETTE_COLUMNS)) if table else None
    image = ImageRecord(
        label=label, name=name, size=size, member=member, crc32=checksum,
        mtime=mtime, created=created, palette=palette,
    )  # fmt: skip
    return image, offset
