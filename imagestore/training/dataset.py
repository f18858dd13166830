"""Images of one or several stores as torch wants them: a Dataset, splits, batches, all of it in memory.

    dataset = HDF5Dataset("train.h5", transform=transforms.ToTensor(), size=224)
    loader = DataLoader(dataset, batch_size=64, shuffle=True, num_workers=4)

Used by train_model.py, classify.py and by anyone's own training loop. A dataset may be pickled, used
after a fork (DataLoader workers), and its images read from several threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from imagestore.decode import NotAnImage, open_image
from imagestore.store.open import open_stores
from imagestore.store.reader import ImageStore, StoreError


class HDF5Dataset(Dataset):
    """The images of HDF5 stores and their labels; what `ImageFolder` is for a folder.

    `paths` is one store, or several (files, quoted globs), seen as one. An item is `(image, label)`: the
    image as `transform` returns it from a Pillow RGB image, or without a transform as uint8
    (3, size, size); the label as an index into `classes`, the sorted names of the top-level groups, or
    into `labels` where given (then images with other labels have the index -1).

    With a `size` (pixels), JPEGs are decoded at the smallest of the sizes 1/1, 1/2, 1/4, 1/8 whose sides
    are not below it: several times as fast as decoding them whole, and what follows works on fewer
    pixels. Leave it out where the transform needs the full picture.

    `dataset[i]` raises `NotAnImage` or `StoreError` where an image cannot be decoded or read; a
    DataLoader gets its batch without it (batches may be short), so that it never ends a training.
    Raises UserError where a file is missing, not HDF5, or holds no image.
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
        self.stores = _as_stores(paths)
        self.transform, self.size = transform, size
        self.classes = list(labels or sorted({label for store in self.stores for label in _used(store)}))
        self.class_to_idx = {label: i for i, label in enumerate(self.classes)}
        self.ends = np.cumsum([len(store) for store in self.stores])  # int64 (stores,)
        self.targets = np.concatenate([self._labels_of(store) for store in self.stores])  # int64 (N,)

    def _labels_of(self, store: ImageStore) -> np.ndarray:
        numbers = [self.class_to_idx.get(label, -1) for label in store.labels]
        return np.repeat(np.array(numbers, np.int64), np.diff(store.index.start))

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, i: int) -> tuple[Any, int]:
        image = decode(self.read(i), self.size)
        return (self.transform(image) if self.transform else pixels(image, self.size)), int(self.targets[i])

    def __getitems__(self, positions: Sequence[int]) -> list[tuple[Any, int]]:
        """The images at `positions` that can be decoded; DataLoader fetches its batches with this."""
        items = []
        for i in positions:
            try:
                items.append(self[i])
            except (NotAnImage, StoreError):
                continue
        return items

    def locate(self, i: int) -> tuple[ImageStore, int]:
        """The store that image `i` is in, and its position there."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"image {i} of {len(self)}")
        i %= len(self)
        which = int(np.searchsorted(self.ends, i, side="right"))
        return self.stores[which], i - (int(self.ends[which - 1]) if which else 0)

    def read(self, i: int) -> bytes:
        """The encoded bytes of image `i`. Raises StoreError."""
        store, position = self.locate(i)
        return store.read(position)

    def path_of(self, i: int) -> str:
        """The path of image `i` in its store, 'red/image_0001.jpg'."""
        store, position = self.locate(i)
        return store.path_of(position)


def _as_stores(paths: str | Path | Sequence[str | Path] | Sequence[ImageStore]) -> list[ImageStore]:
    several = [paths] if isinstance(paths, (str, Path)) else paths
    opened = [path for path in several if isinstance(path, ImageStore)]
    return opened or open_stores([path for path in several if not isinstance(path, ImageStore)])


def _used(store: ImageStore) -> list[str]:
    return [label for label, count in zip(store.labels, np.diff(store.index.start), strict=True) if count]


def decode(data: bytes, size: int | None) -> Image.Image:
    """The image as Pillow RGB; a JPEG no larger than `size` (pixels a side) needs. Raises NotAnImage."""
    return open_image(data, (size, size) if size else None)


def pixels(image: Image.Image, size: int) -> Tensor:
    """uint8 (3, size, size): the whole picture, squeezed into a square, each pixel a mean of its own."""
    small = image.resize((size, size), Image.Resampling.BOX)
    return torch.from_numpy(np.array(small).transpose(2, 0, 1).copy())
