"""Build the index of an image store: images are added in any order, and sorted at the end."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from imagestore.store.index import NUMBER_COLUMNS, TEXT_COLUMNS, StoreIndex
from imagestore.store.record import ImageRecord
from imagestore.store.remarks import Remarks


class IndexBuilder:
    """Collects images in any order, in compact columns. `build` sorts them.

    Set `covers_whole_file` to False if the file holds anything else; see StoreIndex.
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
