"""The images of one or several stores as a torch Dataset.

    dataset = HDF5Dataset("train.h5", transform=transforms.ToTensor(), size=224)
    loader = DataLoader(dataset, batch_size=64, shuffle=True, num_workers=4)

A dataset may be pickled and used after a fork (by the workers of a DataLoader). Several threads may read its
images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from imagestore.console import UserError
from imagestore.decode.decode_image import decode_rgb
from imagestore.decode.errors import NotAnImage
from imagestore.decode.memory_bound import memory_bound
from imagestore.store.labels import NO_LABEL, TRAIN, StoreLabels, begins_as_image, find_labels
from imagestore.store.open_stores import open_stores
from imagestore.store.reader import ImageStore, StoreError

SMALL_SIDE = 8  # pixels: enough to see whether an image can be decoded
HOW_TO_LABEL = (
    "to give them labels, pack a folder that has a folder for each label (./h5vfs.py pack FOLDER FILE.h5), "
    "or label them by colour (./colourHeuristic.py partition FOLDER TRAIN.h5 TEST.h5 0.8)"
)


class HDF5Dataset(Dataset):
    """The images of HDF5 stores and their labels, as torchvision's `ImageFolder` has those of a folder.

    `paths` is one store or several (files or quoted globs). Several stores are one dataset. An item is
    `(image, label)`. The image is what `transform` returns for a Pillow RGB image, or without a transform
    uint8 (3, size, size). The label is an index into `classes`, the sorted names of the labels. These are the
    top-level groups, or the groups below train/, val/ and test/ (see imagestore/store/labels.py). If `labels`
    are given, they are the classes, and images with other labels have the index -1. Images without a label
    are no part of the dataset, nor are groups in which no image can be decoded: `left_out` tells about them.

    With a `size` (pixels), a JPEG is decoded at the smallest scale (1/1, 1/2, 1/4, 1/8) whose sides are at
    least `size`. That is several times as fast, and the transform works on fewer pixels. Leave `size` out if
    the transform needs the full picture.

    `dataset[i]` raises `NotAnImage` if the image cannot be decoded and `StoreError` if it cannot be read. A
    DataLoader leaves such images out of its batches, which may then be shorter.
    Raises UserError if a file is missing, is not HDF5, or holds no image, or if no image has a label.
    """

    def __init__(
        self,
        paths: str | Path | Sequence[str | Path] | Sequence[ImageStore],
        transform: Callable[[Image.Image], Any] | None = None,
        size: int | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        if transform is None and size is None:
            raise ValueError("give a transform, or the size of the square pictures wanted")
        memory_bound()  # a wrong setting is an error here, not in a worker
        self.stores = _open_all(paths)
        self.transform, self.size = transform, size
        self.labels = [find_labels(store, _is_decodable) for store in self.stores]
        self.left_out = list(_what_is_left_out(self.stores, self.labels))
        self.classes = list(labels or sorted(set().union(*(found.names for found in self.labels))))
        if not any(found.names for found in self.labels):
            raise UserError(_why_no_label(self.stores, self.labels))
        self.class_to_idx = {label: i for i, label in enumerate(self.classes)}
        self.ends = np.cumsum([len(store) for store in self.stores])  # int64 (stores,): after the last image
        label = np.concatenate([found.label for found in self.labels])  # int64 (images of all stores,)
        self.positions = np.flatnonzero(label != NO_LABEL)  # int64 (N,): among the images of all stores
        self.targets = np.concatenate([self._targets_of(found) for found in self.labels])  # int64 (N,)
        self.split = _split_of_stores(self.labels, self.positions)

    def _targets_of(self, found: StoreLabels) -> np.ndarray:
        classes = [self.class_to_idx.get(label, -1) for label in found.names]
        return np.array(classes, np.int64)[found.label[found.label != NO_LABEL]]

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, i: int) -> tuple[Any, int]:
        image = decode_image(self.read(i), self.size)
        item = self.transform(image) if self.transform else square_pixels(image, self.size)
        return item, int(self.targets[i])

    def __getitems__(self, positions: Sequence[int]) -> list[tuple[Any, int]]:
        """The items at `positions` whose images can be decoded. A DataLoader calls this for each batch."""
        return self.items_and_skipped(positions)[0]

    def items_and_skipped(self, positions: Sequence[int]) -> tuple[list[tuple[Any, int]], dict[int, str]]:
        """The items at `positions` whose images can be decoded, and why each other one cannot be.

        The reasons are lines with the path of the image, by its position.
        """
        items, skipped = [], {}
        for i in positions:
            try:
                items.append(self[i])
            except (NotAnImage, StoreError) as error:
                skipped[i] = f"{self.path_of(i)}: {error}"
        return items, skipped

    def locate(self, i: int) -> tuple[ImageStore, int]:
        """The store that holds image `i`, and the image's position in it. Raises IndexError."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"image {i} of {len(self)}")
        i = int(self.positions[i])
        store = int(np.searchsorted(self.ends, i, side="right"))
        return self.stores[store], i - (int(self.ends[store - 1]) if store else 0)

    def read(self, i: int) -> bytes:
        """The encoded bytes of image `i`. Raises StoreError."""
        store, position = self.locate(i)
        return store.read(position)

    def path_of(self, i: int) -> str:
        """The path of image `i` in its store, such as 'red/image_0001.jpg'."""
        store, position = self.locate(i)
        return store.path_of(position)


def _open_all(paths: str | Path | Sequence[str | Path] | Sequence[ImageStore]) -> list[ImageStore]:
    paths = [paths] if isinstance(paths, (str, Path)) else paths
    opened = [path for path in paths if isinstance(path, ImageStore)]
    return opened or open_stores([path for path in paths if not isinstance(path, ImageStore)])


def _is_decodable(store: ImageStore, i: int) -> bool:
    """Whether image `i` of a store can be decoded. Asked of one image of each label, if that is one."""
    if not begins_as_image(store, i):
        return False
    try:
        decode_image(store.read(i), SMALL_SIDE)
    except (NotAnImage, StoreError):
        return False
    return True


def _what_is_left_out(stores: Sequence[ImageStore], labels: Sequence[StoreLabels]) -> Iterator[str]:
    """A line for each store of which something is left out: images without a label, and what is no label."""
    for store, found in zip(stores, labels, strict=True):
        at_fault = [f"{found.without_label:,} images under no label"] if found.without_label else []
        if lines := at_fault + found.left_out:
            yield f"{store.path}: left out: {'; '.join(lines)}"


def _why_no_label(stores: Sequence[ImageStore], labels: Sequence[StoreLabels]) -> str:
    """What was found in place of labels, and what to do."""
    for store, found in zip(stores, labels, strict=True):
        if found.without_label:
            return f"{store.path}: {found.without_label:,} images at the root, under no label: {HOW_TO_LABEL}"
    return f"{'; '.join(_what_is_left_out(stores, labels))}: name another store"


def _split_of_stores(labels: Sequence[StoreLabels], positions: np.ndarray) -> np.ndarray | None:
    """int8 (N,): the part of each image (TRAIN, VAL or TEST); None if no store has parts.

    A store without parts belongs to TRAIN.
    """
    if all(found.split is None for found in labels):
        return None
    parts = [
        np.full(len(found.label), TRAIN, np.int8) if found.split is None else found.split for found in labels
    ]
    return np.concatenate(parts)[positions]


def decode_image(data: bytes, size: int | None) -> Image.Image:
    """The image as Pillow RGB. With a `size`, a JPEG is at least size x size pixels. Raises NotAnImage."""
    return decode_rgb(data, (size, size) if size else None)


def square_pixels(image: Image.Image, size: int) -> Tensor:
    """uint8 (3, size, size): the whole image squeezed into a square; each pixel is the mean of an area."""
    square = image.resize((size, size), Image.Resampling.BOX)
    return torch.from_numpy(np.array(square).transpose(2, 0, 1).copy())
