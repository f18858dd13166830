"""The index of an image store: what the store knows of its images, in columns.

A store that was written here has its index in its file (`trailer.py`). For other files, the same columns
are read by visiting every dataset (`walk.py`), which takes 0.1 ms for an image that has attributes.
`index_builder.py` makes an index.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

import numpy as np

from imagestore import stored_names
from imagestore.store.record import ImageRecord
from imagestore.store.remarks import Remarks

# Column -> type code of `array`, which is also NumPy's. IndexBuilder.add has the same order.
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
