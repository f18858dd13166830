"""The labels of a store's images: usually the top-level groups.

There are four exceptions:

- A group that only stores what other labels divide is no label (see storage_groups.py).
- A group that holds no image is no label: flags, masks or lists of numbers, as other programs keep them.
- Images at the root have no label.
- If all labels are called train, val and test (or as SPLIT_NAMES has it), they are the split of a data set.
  The groups below them are the labels. An image directly in such a group has no label.

A store that this suite wrote needs no such search, and is not looked through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imagestore import stored_names
from imagestore.console import counted, note, printable
from imagestore.image_formats import FIRST_BYTES, is_image_file
from imagestore.store.label_names import label_of_group
from imagestore.store.reader import ImageStore, StoreError
from imagestore.store.walk import NO_LABEL as ROOT

NO_LABEL = -1  # in place of the number of a label
TRAIN, VAL, TEST = range(3)  # the parts of a split
NO_PART = -1
NO_IMAGE = "no image that can be decoded"
PART_NAMES = ("train", "val", "test")
SPLIT_NAMES = {  # in lower case
    "train": TRAIN, "training": TRAIN,
    "val": VAL, "valid": VAL, "validation": VAL,
    "test": TEST, "testing": TEST,
}  # fmt: skip

IsImage = Callable[[ImageStore, int], bool]  # whether an image of a store is one


@dataclass(kw_only=True)
class StoreLabels:
    """The labels of one store's images, in the order of the store's index."""

    names: list[str]  # sorted as bytes; each has an image
    label: np.ndarray  # int64 (N,): a position in `names`, or NO_LABEL
    is_counted: np.ndarray  # bool (N,): False if it is left out: no image, or in a group that is no label
    split: np.ndarray | None = None  # int8 (N,): TRAIN, VAL, TEST or NO_PART; None if there are no parts
    left_out: list[str]  # what is left out, and why

    @property
    def without_label(self) -> int:
        """The number of images without a label."""
        return int((self.is_counted & (self.label == NO_LABEL)).sum())

    def name_of(self, i: int) -> str | None:
        """The label of image `i`; None if it has none."""
        return None if self.label[i] == NO_LABEL else self.names[self.label[i]]

    def images_of(self, label: int) -> np.ndarray:
        """int64 (n,): the images with the label of this number, or those with NO_LABEL, ascending."""
        return np.flatnonzero(self.is_counted & (self.label == label))

    def parts_text(self) -> str:
        """How many images each part of a split has: "train/ 16, val/ 8"; "" if there are no parts."""
        if self.split is None:
            return ""
        counts = [int((self.is_counted & (self.split == part)).sum()) for part in (TRAIN, VAL, TEST)]
        return ", ".join(
            f"{name}/ {count:,}" for name, count in zip(PART_NAMES, counts, strict=True) if count
        )

    def left_out_text(self) -> str:
        """What is left out, as one line; "" if nothing is."""
        return f"left out: {'; '.join(self.left_out)}" if self.left_out else ""


def find_labels(store: ImageStore, is_image: IsImage | None = None) -> StoreLabels:
    """The labels of a store. `is_image` tells whether an image is one; by default, its first bytes do."""
    index = store.index
    groups = np.repeat(np.arange(len(index.label_bytes)), np.diff(index.start))  # int64 (N,)
    if index.written_with_store and index.covers_whole_file:
        return _numbered(index.label_bytes, groups, np.ones(len(index), bool), [])
    return _Search(store, is_image or begins_as_image).find(groups)


def note_what_is_left_out(program: str, store: ImageStore, labels: StoreLabels) -> None:
    """Tell the user what is left out of a store, if anything is."""
    if text := labels.left_out_text():
        note(f"{program}: {store.path}: {text}")


def begins_as_image(store: ImageStore, i: int) -> bool:
    """Whether the first bytes of an image are those of one. The bytes of a TGA need its name beside them."""
    try:
        beginning = store.read_start(i, FIRST_BYTES)
    except StoreError:
        return True  # a damaged image is none the less one; whoever reads it gets the error
    return is_image_file(beginning, stored_names.decode(store.index.name(i)))


def _numbered(
    groups: list[bytes], group: np.ndarray, is_counted: np.ndarray, left_out: list[str]
) -> StoreLabels:
    """The labels of images in `groups`, of which `group` has the position for each image, or NO_LABEL."""
    with_images = np.unique(group[is_counted & (group != NO_LABEL)])
    number = np.full(len(groups) + 1, NO_LABEL)  # the last is that of NO_LABEL
    number[with_images] = np.arange(len(with_images))
    label = np.where(is_counted, number[group], NO_LABEL)
    names = [label_of_group(stored_names.decode(groups[i])) for i in with_images.tolist()]
    return StoreLabels(names=names, label=label, is_counted=is_counted, left_out=left_out)


def _why_storage(images: np.ndarray, without_label: int) -> str:
    if not without_label:
        return f"{counted(len(images), 'image')}, under other labels too"
    return f"{counted(len(images), 'image')}, {without_label:,} of them under no other label"


class _Search:
    """The search for the labels of a store that another program may have written."""

    def __init__(self, store: ImageStore, is_image: IsImage) -> None:
        self._store, self._index, self._is_image = store, store.index, is_image
        self._is_counted = np.ones(len(store), bool)
        self._left_out: list[str] = []

    def find(self, groups: np.ndarray) -> StoreLabels:
        """The labels. `groups` is int64 (N,): the number of each image's top-level group in the index."""
        names = self._index.label_bytes
        storage = self._index.remarks.storage_groups
        for number, name in enumerate(names):
            images = np.arange(self._index.start[number], self._index.start[number + 1])
            if name == ROOT:
                groups[images] = NO_LABEL
                self._leave_out_what_is_no_image(images)
            elif (group := stored_names.decode(name)) in storage:
                self._leave_out(images, name, _why_storage(images, storage[group]))
            elif not self._holds_an_image(images):
                self._leave_out(images, name, f"{NO_IMAGE} among {counted(len(images), 'dataset')}")
        parts = self._parts(groups)
        labels = self._below_the_split(groups, parts) if parts else None
        labels = labels or _numbered(names, groups, self._is_counted, self._left_out)
        if links := self._index.remarks.links_as_text():
            labels.left_out.append(links.removeprefix("; "))
        return labels

    def _holds_an_image(self, images: np.ndarray) -> bool:
        return any(self._is_image(self._store, i) for i in images.tolist())

    def _leave_out(self, images: np.ndarray, group: bytes, reason: str) -> None:
        self._is_counted[images] = False
        self._left_out.append(f"{printable(group)} ({reason})")

    def _leave_out_what_is_no_image(self, images: np.ndarray) -> None:
        """Leave out each of these that is no image: no group tells that they belong together."""
        others = [i for i in images.tolist() if not self._is_image(self._store, i)]
        self._is_counted[others] = False
        if others:
            more = ", …" if len(others) > 1 else ""
            name = printable(self._index.name(others[0]))
            self._left_out.append(f"{name}{more} at the root (no image: {counted(len(others), 'dataset')})")

    def _parts(self, groups: np.ndarray) -> dict[int, int]:
        """The part of a split that each group is; empty if some group is no part of one."""
        numbers = np.unique(groups[self._is_counted & (groups != NO_LABEL)]).tolist()
        parts = {number: SPLIT_NAMES.get(self._index.labels[number].lower(), NO_PART) for number in numbers}
        return {} if NO_PART in parts.values() else parts

    def _below_the_split(self, groups: np.ndarray, parts: dict[int, int]) -> StoreLabels | None:
        """The labels below the parts of a split; None if there are none in the first part.

        Groups that hold one image each are the images of a data set (train/00017/img), and no labels.
        """
        split = np.full(len(groups), NO_PART, np.int8)
        numbers: dict[bytes, int] = {}  # label -> its number, in the order of appearance
        below = np.full(len(groups), NO_LABEL)
        for i in np.flatnonzero(self._is_counted & (groups != NO_LABEL)).tolist():
            split[i] = parts[int(groups[i])]
            name, slash, _ = self._index.name(i).partition(b"/")
            if slash:
                below[i] = numbers.setdefault(name, len(numbers))
        learned = below[(split == min(parts.values())) & (below != NO_LABEL)]
        if not len(learned) or len(np.unique(learned)) == len(learned) > 1:
            return None
        return self._numbered_below(numbers, below, split)

    def _numbered_below(self, numbers: dict[bytes, int], below: np.ndarray, split: np.ndarray) -> StoreLabels:
        in_order = sorted(numbers)
        position = {name: i for i, name in enumerate(in_order)}
        group = np.array([*(position[name] for name in numbers), NO_LABEL])[below]
        by_label = np.argsort(group, kind="stable")
        ends = np.searchsorted(group[by_label], np.arange(len(in_order) + 1))
        for name, first, last in zip(in_order, ends[:-1], ends[1:], strict=True):
            images = by_label[first:last]
            if not self._holds_an_image(images):
                self._leave_out(images, name, f"{NO_IMAGE} among {counted(len(images), 'dataset')}")
        labels = _numbered(in_order, group, self._is_counted, self._left_out)
        labels.split = split
        return labels
