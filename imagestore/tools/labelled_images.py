"""The labelled images of stores, as a data set of another format gets them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from imagestore import stored_names
from imagestore.image_formats import begins_as_image, has_image_suffix
from imagestore.store.labels import (
    NO_LABEL,
    NO_PART,
    PART_NAMES,
    StoreLabels,
    find_labels,
    note_what_is_left_out,
)
from imagestore.store.reader import ImageStore, StoreError
from imagestore.tools.copy_report import IMAGES, NOT_IMAGES, CopyReport
from imagestore.tools.globs import Choice, Globs

ORDER_SEED = 0  # of the order of images in shards: the same each time


@dataclass(frozen=True)
class LabelledImage:
    """One image."""

    name: bytes  # below its label
    label: str | None
    data: bytes
    member: bytes  # its name in the archive, or empty
    modified: int | None  # seconds since 1970


@dataclass(frozen=True)
class ImageList:
    """Images of one store that belong together: all, or one part of a split."""

    store: ImageStore
    labels: StoreLabels
    positions: np.ndarray  # int64 (n,)
    name: str  # of the store without its suffix, or of the part
    report: CopyReport
    is_part: bool = False  # of a split

    def __len__(self) -> int:
        return len(self.positions)

    def shuffled(self) -> ImageList:
        """The same images in a random order: then each shard has images of all labels."""
        return replace(self, positions=np.random.default_rng(ORDER_SEED).permutation(self.positions))

    def shards(self, most_bytes: int) -> list[ImageList]:
        """The same images in lists of at most `most_bytes`, or of one larger image."""
        firsts, total = [0], 0
        for i, size in enumerate(self.store.index.size[self.positions].tolist()):
            if total and total + size > most_bytes:
                firsts.append(i)
                total = 0
            total += size
        lasts = [*firsts[1:], len(self)]
        return [
            replace(self, positions=self.positions[first:last])
            for first, last in zip(firsts, lasts, strict=True)
        ]

    def read(self, on_image: Callable[[], object]) -> Iterator[LabelledImage]:
        """The images; the report counts them and all else. `on_image` is called for each position."""
        for i in self.positions.tolist():
            image = self._read_one(i)
            if image is not None:
                self.report.done[IMAGES] += 1
                yield image
            on_image()

    def _read_one(self, i: int) -> LabelledImage | None:
        try:
            data = self.store.read(i)
        except StoreError as error:
            self.report.add_failure(stored_names.encode(self.store.path_of(i)), error)
            return None
        record = self.store.index.record(i)
        if not (has_image_suffix(stored_names.decode(record.name)) or begins_as_image(data)):
            self.report.skipped[NOT_IMAGES] += 1
            return None
        return LabelledImage(record.name, self.labels.name_of(i), data, record.member, record.modified)


def list_images(stores: Sequence[ImageStore], globs: Globs, report: CopyReport) -> list[ImageList]:
    """The images of all stores that the globs choose. The user is told what is left out as no image."""
    lists: list[ImageList] = []
    for store in stores:
        labels = find_labels(store)
        note_what_is_left_out("h5vfs", store, labels)
        counted = np.flatnonzero(labels.is_counted).tolist()
        positions = np.array([i for i in counted if _is_chosen(store, i, globs)], np.int64)
        whole = ImageList(store, labels, positions, _free_name(store.path.stem, lists), report)
        lists += [whole] if labels.split is None else _parts(whole, labels.split, lists)
    return [images for images in lists if len(images)]


def _is_chosen(store: ImageStore, i: int, globs: Globs) -> bool:
    if not globs.include and not globs.exclude:
        return True
    path = stored_names.encode(store.path_of(i))
    folders = [path[:end] for end, byte in enumerate(path) if byte == ord("/")]
    is_copied = False
    for part in (*folders, path):
        choice = globs.choose(part, folder_is_copied=is_copied)
        if choice is Choice.EXCLUDED:
            return False
        is_copied = choice is Choice.COPIED
    return is_copied


def _parts(whole: ImageList, split: np.ndarray, others: Sequence[ImageList]) -> list[ImageList]:
    """The images of each part of the split, and those of none."""
    found = []
    for part, name in (*enumerate(PART_NAMES), (NO_PART, whole.name)):
        positions = whole.positions[split[whole.positions] == part]
        found.append(
            replace(
                whole, positions=positions, name=_free_name(name, [*others, *found]), is_part=part != NO_PART
            )
        )
    return found


def _free_name(name: str, others: Sequence[ImageList]) -> str:
    """The name, with a number behind it if one of the others has it."""
    taken = {images.name for images in others}
    numbered = (f"{name}~{number}" for number in count(2))
    return name if name not in taken else next(free for free in numbered if free not in taken)


def labels_of(lists: Sequence[ImageList]) -> list[str]:
    """The labels of all images, sorted as bytes."""
    names = {
        images.labels.names[number]
        for images in lists
        for number in np.unique(images.labels.label[images.positions]).tolist()
        if number != NO_LABEL
    }
    return sorted(names, key=stored_names.encode)
