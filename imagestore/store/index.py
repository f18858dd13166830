"""The index of an image store: what the store knows of its images, in columns.

A store that was written here has its index in its file (`trailer.py`). For other files, the same columns
are read by visiting every dataset (`walk.py`), which takes 0.1 ms for an image that has attributes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from imagestore import stored_names
from imagestore.store.record import ImageRecord
from imagestore.store.remarks import Remarks

# Column -> type code of `array`, which is also NumPy's. The order is that of IndexBuilder.add.
NUMBER_COLUMNS = {"offset": "q", "size": "q", "mtime": "q", "created": "q", "crc32": "I", "has_crc": "b"}
TEXT_COLUMNS = ("name", "member")  # each is two columns: all texts joined, and where each of them ends


def column_names() -> list[str]:
    """The names of all columns, in the order in which they stand in a file."""
    return [*NUMBER_COLUMNS, *(f"{text}_{part}" for text in TEXT_COLUMNS for part in ("end", "text"))]


class StoreIndex:
    """The images of a store, sorted by label, then by name (as bytes). The properties give their dtypes.

    Threads and forked processes may share an index: its only change is that it loads columns.
    """

    def __init__(
        self,
        *,
        labels: list[bytes],
        start: np.ndarray,
        columns: dict[str, np.ndarray],
        load: Callable[[str], np.ndarray] | None = None,
        written_with_store: bool = False,
        covers_whole_file: bool = True,
        remarks: Remarks | None = None,
    ) -> None:
        """`start` is int64 (len(labels) + 1,): the images of label i are start[i]:start[i + 1].

        `columns` holds the columns that are in memory already; `load` gets the others. `written_with_store`:
        the index was written together with the store, so its checksums are those of the bytes.
        `covers_whole_file`: the file holds only these images (no other datasets, links or permissions).
        Images at the root have the label b"". `remarks` tells what a walk left out; none by default.
        """
        self.label_bytes = labels
        self.labels = [stored_names.decode(label) for label in labels]
        self.start = start
        self.written_with_store = written_with_store
        self.covers_whole_file = covers_whole_file
        self.remarks = remarks or Remarks()
        self._columns = columns
        self._load = load

    def __len__(self) -> int:
        return int(self.start[-1])

    def __getstate__(self) -> dict[str, object]:
        """The arguments for __init__ in another process: all columns, without the open file."""
        return {
            "labels": self.label_bytes,
            "start": self.start,
            "columns": {key: self.column(key) for key in column_names()},
            "written_with_store": self.written_with_store,
            "covers_whole_file": self.covers_whole_file,
            "remarks": self.remarks,
        }

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__init__(**state)

    def copy_as_walked(self) -> StoreIndex:
        """A copy in memory, without the open file, as `walk` returns it: not written with the store."""
        return StoreIndex(**self.__getstate__() | {"written_with_store": False})

    def column(self, key: str) -> np.ndarray:
        """A column by its name, loaded when somebody first asks for it. Raises DamagedColumn."""
        if key not in self._columns and self._load is not None:
            self._columns[key] = self._load(key)
        return self._columns[key]

    @property
    def offset(self) -> np.ndarray:
        """int64 (N,): where the images' bytes are in the file; NO_OFFSET if only HDF5 can read them."""
        return self.column("offset")

    @property
    def size(self) -> np.ndarray:
        """int64 (N,): the images' sizes in bytes."""
        return self.column("size")

    @property
    def mtime(self) -> np.ndarray:
        """int64 (N,): the members' modification times, seconds since 1970; see ImageRecord for 0."""
        return self.column("mtime")

    @property
    def created(self) -> np.ndarray:
        """int64 (N,): when the images were stored, seconds since the epoch, 0 if unknown."""
        return self.column("created")

    @property
    def crc32(self) -> np.ndarray:
        """uint32 (N,): the stored checksums; 0 if `has_crc` is 0."""
        return self.column("crc32")

    @property
    def has_crc(self) -> np.ndarray:
        """int8 (N,): 1 if the store keeps a checksum."""
        return self.column("has_crc")

    def name(self, i: int) -> bytes:
        """The name of image `i` below its label."""
        return _text(self.column("name_end"), self.column("name_text"), i)

    def member(self, i: int) -> bytes:
        """The archive member that image `i` came from, or empty."""
        return _text(self.column("member_end"), self.column("member_text"), i)

    def label_of(self, i: int) -> int:
        """The position of image `i`'s label in `labels`."""
        return int(np.searchsorted(self.start, i, side="right")) - 1

    def record(self, i: int) -> ImageRecord:
        """Image `i`, without its palette."""
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
        """The position of an image; -1 if there is no such image."""
        label, name = _in_bytes(label), _in_bytes(name)
        group = bisect_left(self.label_bytes, label)
        if group == len(self.label_bytes) or self.label_bytes[group] != label:
            return -1
        images = range(int(self.start[group]), int(self.start[group + 1]))
        i = images.start + bisect_left(images, name, key=self.name)
        return i if i < images.stop and self.name(i) == name else -1


def _in_bytes(name: str | bytes) -> bytes:
    return name if isinstance(name, bytes) else stored_names.encode(name)


def _text(end: np.ndarray, text: np.ndarray, i: int) -> bytes:
    return text[int(end[i - 1]) if i else 0 : int(end[i])].tobytes()


class IndexBuilder:
    """Collects images in any order, in compact columns. `build` sorts them.

    Set `covers_whole_file` to False if the file holds anything else (see StoreIndex).
    """

    def __init__(self, on_add: Callable[[], object] | None = None) -> None:
        """`on_add` is called for each image that is added."""
        self.covers_whole_file = True
        self.remarks = Remarks()
        self._on_add = on_add
        self._label_numbers: dict[bytes, int] = {}
        self._label_of_image = array("i")
        self._numbers = {key: array(code) for key, code in NUMBER_COLUMNS.items()}
        self._texts = {key: bytearray() for key in TEXT_COLUMNS}
        self._ends = {key: array("q") for key in TEXT_COLUMNS}

    def __len__(self) -> int:
        return len(self._label_of_image)

    def add(self, image: ImageRecord, offset: int, name: bytes | None = None) -> None:
        """Add one image, whose bytes are at `offset` of the file (or NO_OFFSET).

        `name` is its name in the store if that is not `image.name`.
        """
        self._label_of_image.append(self._label_numbers.setdefault(image.label, len(self._label_numbers)))
        has_crc = image.crc32 is not None
        values = (offset, image.size, image.mtime, image.created, image.crc32 or 0, has_crc)
        for column, value in zip(self._numbers.values(), values, strict=True):
            column.append(value)
        for key, text in (("name", image.name if name is None else name), ("member", image.member)):
            self._texts[key] += text
            self._ends[key].append(len(self._texts[key]))
        if self._on_add:
            self._on_add()

    def take_back(self, count: int) -> list[ImageRecord]:
        """Forget the last `count` images; return what the index knows of them."""
        kept = len(self) - count
        label_of_number = list(self._label_numbers)
        images = [
            ImageRecord(
                label=label_of_number[self._label_of_image[i]],
                name=self._text_of("name", i),
                member=self._text_of("member", i),
                size=self._numbers["size"][i],
                crc32=self._numbers["crc32"][i],
            )
            for i in range(kept, len(self))
        ]
        for key, ends in self._ends.items():
            del self._texts[key][ends[kept - 1] if kept else 0 :]
            del ends[kept:]
        for column in (self._label_of_image, *self._numbers.values()):
            del column[kept:]
        # Labels have their numbers in the order of their first images, so the unused ones are the last.
        used = max(self._label_of_image, default=-1) + 1
        self._label_numbers = {label: i for label, i in self._label_numbers.items() if i < used}
        return images

    def leave_out(self, positions: Sequence[int]) -> None:
        """Forget the images at these positions in the order of adding; `take_back` may not follow."""
        is_kept = np.ones(len(self), bool)
        is_kept[positions] = False
        for key, ends in self._ends.items():
            lengths = np.diff(np.frombuffer(ends, np.int64), prepend=0)
            text = np.frombuffer(self._texts[key], np.uint8)[np.repeat(is_kept, lengths)]
            self._texts[key] = bytearray(text.tobytes())
            self._ends[key] = array("q", np.cumsum(lengths[is_kept]).tobytes())
        for key, column in self._numbers.items():
            kept = np.frombuffer(column, column.typecode)[is_kept]
            self._numbers[key] = array(column.typecode, kept.tobytes())
        label = np.frombuffer(self._label_of_image, np.int32)[is_kept]
        used = np.unique(label)
        self._label_of_image = array("i", np.searchsorted(used, label).astype(np.int32).tobytes())
        names = list(self._label_numbers)
        self._label_numbers = {names[old]: new for new, old in enumerate(used.tolist())}

    def labels(self) -> set[bytes]:
        """The labels that have an image."""
        return set(self._label_numbers)

    def extend(self, index: StoreIndex) -> None:
        """Add all images of another index."""
        self.covers_whole_file = self.covers_whole_file and index.covers_whole_file
        self.remarks = self.remarks or index.remarks
        numbers = [
            self._label_numbers.setdefault(label, len(self._label_numbers)) for label in index.label_bytes
        ]
        labels = np.repeat(np.array(numbers, np.int32), np.diff(index.start))
        self._label_of_image.frombytes(labels.tobytes())
        for key, column in self._numbers.items():
            column.frombytes(index.column(key).astype(column.typecode).tobytes())
        for key, text in self._texts.items():
            self._ends[key].frombytes((index.column(f"{key}_end") + len(text)).tobytes())
            text += index.column(f"{key}_text").tobytes()

    def build(self) -> StoreIndex:
        """The index of all images that were added."""
        labels = sorted(self._label_numbers)
        rank = np.zeros(len(labels), np.int64)
        rank[[self._label_numbers[label] for label in labels]] = np.arange(len(labels))
        label = rank[np.frombuffer(self._label_of_image, np.int32)] if len(self) else np.zeros(0, np.int64)
        start = np.searchsorted(np.sort(label), np.arange(len(labels) + 1))
        order = self._order(label, start)
        columns = {
            key: np.frombuffer(column, column.typecode)[order] if column else np.zeros(0, column.typecode)
            for key, column in self._numbers.items()
        }
        for key in TEXT_COLUMNS:
            columns |= self._sorted_text(key, order, start)
        return StoreIndex(
            labels=labels, start=start, columns=columns, covers_whole_file=self.covers_whole_file,
            remarks=self.remarks,
        )  # fmt: skip

    def _order(self, label: np.ndarray, start: np.ndarray) -> np.ndarray:
        """The images sorted by label, then by name, as their positions in the order of adding."""
        order = np.argsort(label, kind="stable")
        for first, last in pairwise(start.tolist()):
            names = self._texts_of("name", order[first:last])
            order[first:last] = order[first + np.array(sorted(range(len(names)), key=names.__getitem__), int)]
        return order

    def _sorted_text(self, key: str, order: np.ndarray, start: np.ndarray) -> dict[str, np.ndarray]:
        # One label at a time: as Python objects, the texts of a million images take 100 MB.
        joined = [
            b"".join(self._texts_of(key, order[first:last])) for first, last in pairwise(start.tolist())
        ]
        lengths = np.diff(np.frombuffer(self._ends[key], np.int64), prepend=0)
        return {
            f"{key}_end": np.cumsum(lengths[order]),
            f"{key}_text": np.frombuffer(b"".join(joined), np.uint8),
        }

    def _text_of(self, key: str, i: int) -> bytes:
        text, end = self._texts[key], self._ends[key]
        return bytes(text[end[i - 1] if i else 0 : end[i]])

    def _texts_of(self, key: str, images: np.ndarray) -> list[bytes]:
        text, end = self._texts[key], self._ends[key]
        return [bytes(text[end[i - 1] if i else 0 : end[i]]) for i in images.tolist()]
