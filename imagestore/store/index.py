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

import os
from array import array
from bisect import bisect_left
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from imagestore.store.record import ImageRecord

NUMBERS = {"offset": "q", "size": "q", "mtime": "q", "created": "q", "crc32": "I", "has_crc": "b"}


TEXTS = ("name", "member")


READ_ONLY_THROUGH_HDF5 = -1


class StoreIndex:
    """The images of a store, sorted by label, then by name (as bytes); see the properties' dtypes."""

    def __init__(
        self,
        labels: list[bytes],
        start: np.ndarray,
        columns: dict[str, np.ndarray],
        load: Callable[[str], np.ndarray] | None = None,
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
        self._load = load

    def __len__(self) -> int:
        return int(self.start[-1])

    def __getstate__(self) -> tuple:
        """Whole, without the open file: every column is loaded."""
        columns = {key: self.column(key) for key in column_names()}
        return self.label_bytes, self.start, columns, None, self.fresh, self.whole

    def __setstate__(self, state: tuple) -> None:
        self.__init__(*state)

    def walked_copy(self) -> StoreIndex:
        """The same, whole and without the open file, as a walk would have it: not fresh."""
        label_bytes, start, columns, _, _, whole = self.__getstate__()
        return StoreIndex(label_bytes, start, columns, whole=whole)

    def column(self, key: str) -> np.ndarray:
        """A column by its name; loaded when it is first asked for. Raises DamagedColumn."""
        if key not in self._columns and self._load is not None:
            self._columns[key] = self._load(key)
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

    def record(self, i: int) -> ImageRecord:
        """All that is known of image `i`, but for its palette."""
        return ImageRecord(
            label=self.label_bytes[self.label_of(i)],
            name=self.name(i),
            size=int(self.size[i]),
            member=self.member(i),
            crc32=int(self.crc32[i]) if self.has_crc[i] else None,
            mtime=int(self.mtime[i]),
            created=int(self.created[i]),
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


def column_names() -> list[str]:
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

    def add(self, image: ImageRecord, offset: int) -> None:
        """Add one image, whose bytes are at `offset` of the file."""
        self.label.append(self.labels.setdefault(image.label, len(self.labels)))
        has_crc = image.crc32 is not None
        values = (offset, image.size, image.mtime, image.created, image.crc32 or 0, has_crc)
        for column, value in zip(self.numbers.values(), values, strict=True):
            column.append(value)
        for key, text in (("name", image.name), ("member", image.member)):
            self.texts[key] += text
            self.ends[key].append(len(self.texts[key]))
        if self.seen:
            self.seen()

    def extend(self, index: StoreIndex) -> None:
        """Add all images of another index."""
        self.whole = self.whole and index.whole
        numbers = [self.labels.setdefault(label, len(self.labels)) for label in index.label_bytes]
        self.label.frombytes(np.repeat(np.array(numbers, np.int32), np.diff(index.start)).tobytes())
        for key, column in self.numbers.items():
            column.frombytes(index.column(key).astype(column.typecode).tobytes())
        for key, text in self.texts.items():
            self.ends[key].frombytes((index.column(f"{key}_end") + len(text)).tobytes())
            text += index.column(f"{key}_text").tobytes()

    def build(self) -> StoreIndex:
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
        return StoreIndex(labels, start, columns, whole=self.whole)

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
