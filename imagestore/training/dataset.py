"""The images of one or several stores as a torch Dataset.

    dataset = HDF5Dataset("train.h5", transform=transforms.ToTensor(), size=224)
    loader = DataLoader(dataset, batch_size=64, shuffle=True, num_workers=4)

A dataset may be pickled and used after a fork (by the workers of a DataLoader). Several threads may read its
images.
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

from imagestore.decode.decode_image import decode_rgb
from imagestore.decode.errors import NotAnImage
from imagestore.store.open_stores import open_stores
from imagestore.store.reader import ImageStore, StoreError


class HDF5Dataset(Dataset):
    """The images of HDF5 stores and their labels, as torchvision's `ImageFolder` has those of a folder.

    `paths` is one store or several (files or quoted globs). Several stores are one dataset. An item is
    `(image, label)`. The image is what `transform` returns for a Pillow RGB image, or without a transform
    uint8 (3, size, size). The label is an index into `classes`, the sorted names of the top-level groups. If
    `labels` are given, they are the classes, and images with other labels have the index -1.

    With a `size` (pixels), a JPEG is decoded at the smallest scale (1/1, 1/2, 1/4, 1/8) whose sides are at
    least `size`. That is several times as fast, and the transform works on fewer pixels. Leave `size` out if
    the transform needs the full picture.

    `dataset[i]` raises `NotAnImage` if the image cannot be decoded and `StoreError` if it cannot be read. A
    DataLoader leaves such images out of its batches, which may then be shorter.
    Raises UserError if a file is missing, is not HDF5, or holds no image.
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
        self.stores = _open_all(paths)
        self.transform, self.size = transform, size
        self.classes = list(labels or sorted(set().union(*map(_labels_with_images, self.stores))))
        self.class_to_idx = {label: i for i, label in enumerate(self.classes)}
        self.ends = np.cumsum([len(store) for store in self.stores])  # int64 (stores,): after the last image
        self.targets = np.concatenate([self._targets_of(store) for store in self.stores])  # int64 (N,)

    def _targets_of(self, store: ImageStore) -> np.ndarray:
        classes = [self.class_to_idx.get(label, -1) for label in store.labels]
        return np.repeat(np.array(classes, np.int64), np.diff(store.index.start))

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, i: int) -> tuple[Any, int]:
        image = decode_image(self.read(i), self.size)
        item = self.transform(image) if self.transform else square_pixels(image, self.size)
        return item, int(self.targets[i])

    def __getitems__(self, positions: Sequence[int]) -> list[tuple[Any, int]]:
        """The items at `positions` whose images can be decoded. A DataLoader calls this for each batch."""
        items = []
        for i in positions:
            try:
                items.append(self[i])
            except (NotAnImage, StoreError):
                continue
        return items

    def locate(self, i: int) -> tuple[ImageStore, int]:
        """The store that holds image `i`, and the image's position in it. Raises IndexError."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"image {i} of {len(self)}")
        i %= len(self)
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


def _labels_with_images(store: ImageStore) -> set[str]:
    return {label for label, count in zip(store.labels, np.diff(store.index.start), strict=True) if count}


def decode_image(data: bytes, size: int | None) -> Image.Image:
    """The image as Pillow RGB. With a `size`, a JPEG is at least size x size pixels. Raises NotAnImage."""
    return decode_rgb(data, (size, size) if size else None)


def square_pixels(image: Image.Image, size: int) -> Tensor:
    """uint8 (3, size, size): the whole image squeezed into a square; each pixel is the mean of an area."""
    square = image.resize((size, size), Image.Resampling.BOX)
    return torch.from_numpy(np.array(square).transpose(2, 0, 1).copy())
