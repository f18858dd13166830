"""The index of an image store: what is where, in columns, kept in a trailer behind the HDF5 data.

HDF5 ignores what stands behind its end-of-file address, and cuts it off whenever any tool opens the
file for writing. So a trailer that is there, that the superblock's end-of-file address points at, and
whose checksums are right was written after the last change: it can be believed. Where there is none,
the same columns are read by walking the file (0.1 ms an image that has attributes).

Columns are loaded when first asked for, and never mapped: a file that another tool cuts short must end
in an error, not in SIGBUS. Used by store (reading) and writer (writing). An index only changes by
loading columns, so threads and forked processes may share it.
"""

from __future__ import annotations

import json
import os
import struct
from array import array
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5o, h5t
from isal import isal_zlib

MAGIC = b"imagestore-index"
FOOTER = struct.Struct("<16sQQI4x")  # magic, end-of-file address, length of the header, its CRC-32
SUPERBLOCK = struct.Struct("<8sB4xB26xQ")  # signature, version, size of addresses, end-of-file address
SIGNATURE = b"\x89HDF\r\n\x1a\n"
NUMBERS = {"offset": "q", "size": "q", "mtime": "q", "created": "q", "crc32": "I", "has_crc": "b"}
TEXTS = ("name", "member")
READ_ONLY_THROUGH_HDF5 = -1
PIECE = 1 << 20


class DamagedIndex(OSError):
    """A column of the trailer is damaged, or was cut off after the file was opened."""


def crc32(data: bytes | bytearray | memoryview | np.ndarray, value: int = 0) -> int:
    """The CRC-32 of `data`, by isal: several times as fast as zlib's."""
    return isal_zlib.crc32(data, value)


@dataclass(frozen=True)
class Row:
    """One image of a store: where its bytes are, and what is known of it.

    `offset` is the place of its bytes in the file, -1 where only HDF5 can read them (chunked, compressed
    or empty). `mtime` (of the member) and `created` (when it was stored) are seconds since the epoch, 0
    where unknown. `crc32` is the checksum that the store keeps of the bytes, or None. `member` is the
    archive member's name in bytes, or empty.
    """

    label: bytes
    name: bytes
    offset: int
    size: int
    mtime: int = 0
    created: int = 0
    crc32: int | None = None
    member: bytes = b""


class Index:
    """The images of a store, sorted by label, then by name (as bytes); see the properties' dtypes."""

    def __init__(
        self,
        labels: list[bytes],
        start: np.ndarray,
        columns: dict[str, np.ndarray],
        trailer: Trailer | None = None,
        fresh: bool = False,
        whole: bool = True,
    ) -> None:
        """`start` is int64 (len(labels) + 1,): the images of label i are start[i]:start[i + 1].

        `fresh` says that the index was written with the store, so that its checksums are those of the bytes;
        `whole` that the file holds nothing but these images (no other datasets, links or permissions).
        """
        self.label_bytes = labels
        self.labels = [os.fsdecode(label) for label in labels]
        self.start = start
        self.fresh = fresh
        self.whole = whole
        self._columns = columns
        self._trailer = trailer

    def __len__(self) -> int:
        return int(self.start[-1])

    def __getstate__(self) -> tuple:
        """Whole, without the open file: every column is loaded."""
        columns = {key: self.column(key) for key in _column_names()}
        return self.label_bytes, self.start, columns, None, self.fresh, self.whole

    def __setstate__(self, state: tuple) -> None:
        self.__init__(*state)

    def walked_copy(self) -> Index:
        """The same, whole and without the open file, as a walk would have it: not fresh."""
        label_bytes, start, columns, _, _, whole = self.__getstate__()
        return Index(label_bytes, start, columns, whole=whole)

    def column(self, key: str) -> np.ndarray:
        """A column by its name; loaded from the trailer the first time. Raises DamagedIndex."""
        if key not in self._columns and self._trailer is not None:
            self._columns[key] = self._trailer.load(key)
        return self._columns[key]

    @property
    def offset(self) -> np.ndarray:
        """int64 (N,): where the bytes are in the file; -1 where only HDF5 can read them."""
        return self.column("offset")

    @property
    def size(self) -> np.ndarray:
        """int64 (N,): the images' sizes in bytes."""
        return self.column("size")

    @property
    def mtime(self) -> np.ndarray:
        """int64 (N,): the members' modification times, seconds since the epoch, 0 where unknown."""
        return self.column("mtime")

    @property
    def created(self) -> np.ndarray:
        """int64 (N,): when the images were stored, seconds since the epoch, 0 where unknown."""
        return self.column("created")

    @property
    def crc32(self) -> np.ndarray:
        """uint32 (N,): the stored checksums; only meant where `has_crc`."""
        return self.column("crc32")

    @property
    def has_crc(self) -> np.ndarray:
        """int8 (N,): 1 where the store keeps a checksum."""
        return self.column("has_crc")

    def name(self, i: int) -> bytes:
        """The name of image `i` below its label."""
        return _text(self.column("name_end"), self.column("name_text"), i)

    def member(self, i: int) -> bytes:
        """The archive member that image `i` came from, or empty."""
        return _text(self.column("member_end"), self.column("member_text"), i)

    def label_of(self, i: int) -> int:
        """The position of image `i`'s label among `labels`."""
        return int(np.searchsorted(self.start, i, side="right")) - 1

    def row(self, i: int) -> Row:
        """All that is known of image `i`."""
        return Row(
            self.label_bytes[self.label_of(i)],
            self.name(i),
            int(self.offset[i]),
            int(self.size[i]),
            int(self.mtime[i]),
            int(self.created[i]),
            int(self.crc32[i]) if self.has_crc[i] else None,
            self.member(i),
        )

    def find(self, label: str | bytes, name: str | bytes) -> int:
        """The position of an image, or -1 where there is no such image."""
        key, wanted = os.fsencode(label), os.fsencode(name)
        group = bisect_left(self.label_bytes, key)
        if group == len(self.label_bytes) or self.label_bytes[group] != key:
            return -1
        images = range(int(self.start[group]), int(self.start[group + 1]))
        i = images.start + bisect_left(images, wanted, key=self.name)
        return i if i < images.stop and self.name(i) == wanted else -1


def _text(end: np.ndarray, text: np.ndarray, i: int) -> bytes:
    return text[int(end[i - 1]) if i else 0 : int(end[i])].tobytes()


def _column_names() -> list[str]:
    return [*NUMBERS, *(f"{text}_{part}" for text in TEXTS for part in ("end", "text"))]


class IndexBuilder:
    """Collects rows in any order, in compact columns, and puts them in order at the end."""

    def __init__(self, seen: Callable[[], object] | None = None) -> None:
        """`seen` is called for each image that is added."""
        self.seen = seen
        self.labels: dict[bytes, int] = {}
        self.label = array("i")
        self.numbers = {key: array(code) for key, code in NUMBERS.items()}
        self.texts = {key: bytearray() for key in TEXTS}
        self.ends = {key: array("q") for key in TEXTS}
        self.whole = True

    def __len__(self) -> int:
        return len(self.label)

    def add(self, row: Row) -> None:
        """Add one image."""
        self.label.append(self.labels.setdefault(row.label, len(self.labels)))
        values = (row.offset, row.size, row.mtime, row.created, row.crc32 or 0, row.crc32 is not None)
        for column, value in zip(self.numbers.values(), values, strict=True):
            column.append(value)
        for key, text in (("name", row.name), ("member", row.member)):
            self.texts[key] += text
            self.ends[key].append(len(self.texts[key]))
        if self.seen:
            self.seen()

    def extend(self, index: Index) -> None:
        """Add all images of another index."""
        self.whole = self.whole and index.whole
        numbers = [self.labels.setdefault(label, len(self.labels)) for label in index.label_bytes]
        self.label.frombytes(np.repeat(np.array(numbers, np.int32), np.diff(index.start)).tobytes())
        for key, column in self.numbers.items():
            column.frombytes(index.column(key).astype(column.typecode).tobytes())
        for key, text in self.texts.items():
            self.ends[key].frombytes((index.column(f"{key}_end") + len(text)).tobytes())
            text += index.column(f"{key}_text").tobytes()

    def build(self) -> Index:
        """The index of all rows added so far."""
        labels = sorted(self.labels)
        rank = np.zeros(len(labels), np.int64)
        rank[[self.labels[label] for label in labels]] = np.arange(len(labels))
        label = rank[np.frombuffer(self.label, np.int32)] if self.label else np.zeros(0, np.int64)
        start = np.searchsorted(np.sort(label), np.arange(len(labels) + 1))
        order = self._order(label, start)
        columns = {
            key: np.frombuffer(column, column.typecode)[order] if column else np.zeros(0, column.typecode)
            for key, column in self.numbers.items()
        }
        for key in TEXTS:
            columns |= self._text_columns(key, order, start)
        return Index(labels, start, columns, whole=self.whole)

    def _order(self, label: np.ndarray, start: np.ndarray) -> np.ndarray:
        order = np.argsort(label, kind="stable")
        for first, last in pairwise(start.tolist()):
            names = self._pieces("name", order[first:last])
            order[first:last] = order[first + np.array(sorted(range(len(names)), key=names.__getitem__), int)]
        return order

    def _text_columns(self, key: str, order: np.ndarray, start: np.ndarray) -> dict[str, np.ndarray]:
        # A label at a time: as Python objects, the texts of a million images take 100 MB.
        joined = [b"".join(self._pieces(key, order[first:last])) for first, last in pairwise(start.tolist())]
        lengths = np.diff(np.frombuffer(self.ends[key], np.int64), prepend=0)
        return {
            f"{key}_end": np.cumsum(lengths[order]),
            f"{key}_text": np.frombuffer(b"".join(joined), np.uint8),
        }

    def _pieces(self, key: str, positions: np.ndarray) -> list[bytes]:
        text, end = self.texts[key], self.ends[key]
        return [bytes(text[end[i - 1] if i else 0 : end[i]]) for i in positions.tolist()]


# The trailer: the columns, 8-byte aligned; a JSON header that says where each is; the footer.


def write_trailer(fd: int, end_of_file: int, index: Index) -> None:
    """Write `index` behind the HDF5 data of the file `fd`, which ends at `end_of_file`. Raises OSError."""
    at = _aligned(end_of_file)
    places = {}
    for key in _column_names():
        values = np.ascontiguousarray(index.column(key))
        data = memoryview(values.view(np.uint8)) if len(values) else b""
        _write_all(fd, data, at)
        places[key] = [values.dtype.str, at, len(values), crc32(data)]
        at = _aligned(at + len(data))
    labels = [os.fsdecode(label) for label in index.label_bytes]
    fields = {"labels": labels, "start": index.start.tolist(), "whole": index.whole, "columns": places}
    header = json.dumps(fields).encode()
    footer = FOOTER.pack(MAGIC, end_of_file, len(header), crc32(header))
    _write_all(fd, header + footer, at)


def _aligned(position: int) -> int:
    return (position + 7) // 8 * 8


def _write_all(fd: int, data: bytes | memoryview, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, at)
        view, at = view[written:], at + written


class Trailer:
    """The columns of a trailer, loaded from the open file `fd` when they are asked for."""

    def __init__(self, fd: int, places: dict[str, list]) -> None:
        self.fd, self.places = fd, places

    def load(self, key: str) -> np.ndarray:
        """One column. Raises DamagedIndex where its checksum does not fit."""
        dtype, at, count, checksum = self.places[key]
        values = np.empty(count, dtype)
        if count and os.preadv(self.fd, [values.view(np.uint8)], at) != values.nbytes:
            raise DamagedIndex(f"the column {key!r} of the index is cut short")
        if crc32(values.view(np.uint8)) != checksum:
            raise DamagedIndex(f"the column {key!r} of the index is damaged")
        return values

    def intact(self) -> bool:
        """Whether every column has its checksum; reads all of them in pieces, keeps none."""
        return all(self._checksum(key) == place[3] for key, place in self.places.items())

    def _checksum(self, key: str) -> int:
        dtype, at, count, _ = self.places[key]
        value, end = 0, at + count * np.dtype(dtype).itemsize
        while at < end and (piece := os.pread(self.fd, min(end - at, PIECE), at)):
            value, at = crc32(piece, value), at + len(piece)
        return value


def read_trailer(fd: int, end_of_file: int | None) -> Index | None:
    """The index behind the data of the open file `fd`; None where there is none to be believed.

    The data end at `end_of_file`: of a store, its end_of_file_address. Columns are read through `fd`
    when they are first used: keep it open as long as the index.
    """
    size = os.fstat(fd).st_size
    footer = os.pread(fd, FOOTER.size, max(0, size - FOOTER.size))
    if len(footer) < FOOTER.size or not footer.startswith(MAGIC):
        return None
    _, begin, length, checksum = FOOTER.unpack(footer)
    if begin != end_of_file or length > size - FOOTER.size - begin:
        return None
    header = os.pread(fd, length, size - FOOTER.size - length)
    if len(header) != length or crc32(header) != checksum:
        return None
    fields = json.loads(header)
    labels = [os.fsencode(label) for label in fields["labels"]]
    trailer = Trailer(fd, fields["columns"])
    if not trailer.intact():
        return None
    return Index(labels, np.array(fields["start"], np.int64), {}, trailer, True, fields.get("whole", False))


def end_of_file_address(fd: int) -> int | None:
    """Where the HDF5 data of the file ends, by its superblock (version 0, the one written here); else None.

    HDF5 File Format Specification, III.A, "Disk Format: Level 0A".
    """
    superblock = os.pread(fd, SUPERBLOCK.size, 0)
    if len(superblock) < SUPERBLOCK.size:
        return None
    signature, version, size_of_addresses, address = SUPERBLOCK.unpack(superblock)
    return address if (signature, version, size_of_addresses) == (SIGNATURE, 0, 8) else None


# Walking: the same columns from the HDF5 file itself.


def walk(file: h5py.File, seen: Callable[[], object] | None = None) -> Index:
    """The index of an open HDF5 file, by visiting every dataset below its top-level groups.

    `seen` is called for each image.
    """
    builder = IndexBuilder(seen)
    for label in _hard_links(file.id, builder):
        group = h5o.open(file.id, label)
        if isinstance(group, h5g.GroupID):
            _walk_group(group, label, b"", (), builder)
        else:
            builder.whole = False
    return builder.build()


def _hard_links(group: h5g.GroupID, builder: IndexBuilder) -> list[bytes]:
    names = list(group)
    hard = [name for name in names if group.links.get_info(name).type == h5l.TYPE_HARD]
    builder.whole = builder.whole and len(hard) == len(names) and not h5a.exists(group, b"Permissions")
    return hard


def _walk_group(group: h5g.GroupID, label: bytes, prefix: bytes, above: tuple, builder: IndexBuilder) -> None:
    address = h5o.get_info(group).addr
    if address in above:  # a group that holds itself: every image in it has been seen
        return
    for name in _hard_links(group, builder):
        thing = h5o.open(group, name)
        if isinstance(thing, h5g.GroupID):
            builder.whole = False  # what else is known of it is not kept here
            _walk_group(thing, label, prefix + name + b"/", (*above, address), builder)
        elif isinstance(thing, h5d.DatasetID) and is_bytes(thing):
            builder.add(row_of(thing, label, prefix + name))
            builder.whole = builder.whole and not h5a.exists(thing, b"Permissions")
        else:
            builder.whole = False


def is_bytes(dataset: h5d.DatasetID) -> bool:
    """Whether a dataset is a file: one-dimensional, of unsigned bytes."""
    kind = dataset.get_type()
    return (
        dataset.rank == 1
        and isinstance(kind, h5t.TypeIntegerID)
        and kind.get_size() == 1
        and kind.get_sign() == 0
    )


def row_of(dataset: h5d.DatasetID, label: bytes, name: bytes) -> Row:
    """What the store knows of one image, from its dataset and the dataset's attributes."""
    offset = dataset.get_offset()
    return Row(
        label,
        name,
        READ_ONLY_THROUGH_HDF5 if offset is None else offset,
        dataset.shape[0],
        integer_attribute(dataset, b"Modified") or 0,
        integer_attribute(dataset, b"Created") or 0,
        integer_attribute(dataset, b"crc32"),
        _member(dataset),
    )


def integer_attribute(owner: h5g.GroupID | h5d.DatasetID, name: bytes) -> int | None:
    """An attribute that is one integer; None where there is none of that name and kind."""
    if not h5a.exists(owner, name):
        return None
    attribute = h5a.open(owner, name)
    if attribute.shape not in ((), (1,)) or not isinstance(attribute.get_type(), h5t.TypeIntegerID):
        return None
    value = np.zeros(attribute.shape, np.int64)
    attribute.read(value)
    return int(value.item())


def _member(dataset: h5d.DatasetID) -> bytes:
    if not h5a.exists(dataset, b"member"):
        return b""
    attribute = h5a.open(dataset, b"member")
    kind = attribute.get_type()
    if attribute.shape != () or not isinstance(kind, h5t.TypeStringID) or kind.is_variable_str():
        return b""
    value = np.empty((), f"S{kind.get_size()}")
    attribute.read(value, mtype=kind)
    return value.item()
