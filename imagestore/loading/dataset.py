"""The images of one or several stores as a torch Dataset, with the manners of torchvision's `ImageFolder`.

    from torch.utils.data import DataLoader
    from torchvision.transforms import v2

    from imagestore import HDF5Dataset

    transform = v2.Compose([v2.RandomResizedCrop(224), v2.RandomHorizontalFlip()])
    dataset = HDF5Dataset("train.h5", transform, as_tensor=True)
    loader = DataLoader(dataset, batch_size=64, shuffle=True, num_workers=2)
    for images, labels in loader:  # uint8 (64, 3, 224, 224), int64 (64,)
        images = images.float() / 255  # on the device that the network is on

A dataset may be pickled and used after a fork (by the workers of a DataLoader), also after a change of
folder. Several threads may read its images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from torch.utils.data import Dataset

from imagestore.console import UserError, counted, note
from imagestore.decode.decode_image import decode_rgb, decode_rgb_array
from imagestore.decode.errors import NotAnImage, NotEnoughMemory
from imagestore.decode.memory_bound import memory_bound
from imagestore.loading.first_crop import decode_and_transform, find_first_crop
from imagestore.loading.replaced_images import ReplacedImages
from imagestore.loading.views import View, as_tensor, as_tv_tensor, decode_view
from imagestore.store.labels import NO_LABEL, TRAIN, StoreLabels, begins_as_image, find_labels
from imagestore.store.open_stores import open_stores
from imagestore.store.reader import ImageStore, StoreError
from imagestore.thread_lock import ThreadLock

T = TypeVar("T")
UNDECODABLE = (NotAnImage, StoreError)  # the errors of one image
SMALL_SIDE = 8  # pixels: enough to see whether an image can be decoded
HOW_TO_LABEL = (
    "to give them labels, pack a folder that has a folder for each label (./h5vfs.py pack FOLDER FILE.h5), "
    "or label them by colour (./colourHeuristic.py partition FOLDER TRAIN.h5 TEST.h5 0.8)"
)


class HDF5Dataset(Dataset):
    """The images of HDF5 stores and their labels, as torchvision's `ImageFolder` has those of a folder.

    `paths` is one store or several (files or quoted globs). Several stores are one dataset. An item is
    `(image, label)`. The image is what `transform` returns for a Pillow RGB image. With `as_tensor`, it gets
    uint8 (3, H, W) as torchvision's `tv_tensors.Image`, which costs less time, least if it begins with a
    `v2.RandomResizedCrop` (see imagestore/loading/first_crop.py). Without a transform the image
    is what the transform would get, or, with a `size`, uint8 (3, size, size). The label is an index into
    `classes`, the sorted names of the labels; `target_transform` may change it. The labels are the top-level
    groups, or the groups below train/, val/ and test/ (see imagestore/store/labels.py). If `labels` are
    given, they are the classes, and images with other labels have the index -1. Images without a label are no
    part of the dataset, nor are groups in which no image can be decoded: `left_out` tells about them.

    With a `size` (pixels), a JPEG is decoded at the smallest scale (1/1, 1/2, 1/4, 1/8) whose sides are at
    least `size`. That is several times as fast, and the transform works on fewer pixels, so a random crop may
    be less sharp. Leave `size` out if the transform needs the full picture. A `loader` gets the encoded bytes
    in place of all that, and returns what the transform gets.

    The length never changes. An image that cannot be decoded or read is replaced by the next one of its
    label; it is named once, and `replaced_count` counts. With `on_error="raise"`, `dataset[i]` raises
    `NotAnImage` or `StoreError` for it. So it does if no image of the label is left.
    Raises UserError if a file is missing, is not HDF5, or holds no image, or if no image has a label.
    """

    def __init__(
        self,
        paths: str | Path | Sequence[str | Path] | Sequence[ImageStore],
        transform: Callable[[Any], Any] | None = None,
        size: int | None = None,
        labels: Sequence[str] | None = None,
        *,
        target_transform: Callable[[int], Any] | None = None,
        loader: Callable[[bytes], Any] | None = None,
        as_tensor: bool = False,
        on_error: Literal["replace", "raise"] = "replace",
    ) -> None:
        if on_error not in ("replace", "raise"):
            raise ValueError(f"on_error={on_error!r} is neither 'replace' nor 'raise'")
        memory_bound()  # a wrong setting is an error here, not in a worker
        self.stores = _open_all(paths)
        self.transform, self.target_transform, self.loader = transform, target_transform, loader
        self.size, self.as_tensor, self.on_error = size, as_tensor, on_error
        self.labels = [find_labels(store, _is_decodable) for store in self.stores]
        self.left_out = list(_what_is_left_out(self.stores, self.labels))
        self.classes = list(labels or sorted(set().union(*(found.names for found in self.labels))))
        if not any(found.names for found in self.labels):
            raise UserError(_why_no_label(self.stores, self.labels))
        if self.stores is not paths:  # a program that opens the stores itself tells the user in its own words
            for line in self.left_out:
                note(line)
        self.class_to_idx = {label: i for i, label in enumerate(self.classes)}
        self.ends = np.cumsum([len(store) for store in self.stores])  # int64 (stores,): after the last image
        label = np.concatenate([found.label for found in self.labels])  # int64 (images of all stores,)
        self.positions = np.flatnonzero(label != NO_LABEL)  # int64 (N,): among the images of all stores
        self.label_numbers = np.concatenate([self._targets_of(found) for found in self.labels])  # int64 (N,)
        self.split = _split_of_stores(self.labels, self.positions)
        self._replaced = ReplacedImages(len(self.positions))
        self._hdf5_lock = ThreadLock()

    def _targets_of(self, found: StoreLabels) -> np.ndarray:
        classes = [self.class_to_idx.get(label, -1) for label in found.names]
        return np.array(classes, np.int64)[found.label[found.label != NO_LABEL]]

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def targets(self) -> list[int]:
        """The label of each image; made when first asked for. `label_numbers` is the same as an array."""
        return self.label_numbers.tolist()

    @cached_property
    def samples(self) -> list[tuple[str, int]]:
        """The path in its store and the label of each image; made when first asked for."""
        return [(self.path_of(i), target) for i, target in enumerate(self.targets)]

    @property
    def imgs(self) -> list[tuple[str, int]]:
        """`samples`, by another name of ImageFolder's."""
        return self.samples

    @property
    def replaced_count(self) -> int:
        """The number of images that could not be decoded so far, here and in workers that were forked."""
        return self._replaced.count

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        if not -len(self) <= i < len(self):
            raise IndexError(f"image {i} of {len(self)}")
        if self.on_error == "raise":
            return self._named_item(i)
        return self._replaced.first(self, i % len(self), self.item)

    def item(self, i: int) -> tuple[Any, Any]:
        """The image `i` itself, transformed, and its label. Raises NotAnImage, StoreError, IndexError."""
        image, label = self.decode(i, self._load_and_transform), int(self.label_numbers[i])
        return image, self.target_transform(label) if self.target_transform else label

    def _named_item(self, i: int) -> tuple[Any, Any]:
        """`item`, whose errors name the image."""
        try:
            return self.item(i)
        except NotAnImage as error:
            raise NotAnImage(f"{self.path_of(i)}: {error}") from error

    def _load_and_transform(self, data: bytes) -> object:
        if self.as_tensor and not self.loader and (crop := find_first_crop(self.transform)):
            image = decode_and_transform(data, crop, self.size)
            if image is not None:
                return image
        image = self._load(data)
        return self.transform(image) if self.transform else image

    def _load(self, data: bytes) -> object:
        """What the transform gets, or what the item is without a transform."""
        if self.loader:
            return self.loader(data)
        if self.as_tensor:
            return as_tv_tensor(decode_rgb_array(data, (self.size, self.size) if self.size else None))
        if self.size and not self.transform:
            return as_tensor(decode_view(data, View(self.size)))
        return decode_rgb(data, (self.size, self.size) if self.size else None)

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
        if store.index.offset[position] >= 0:
            return store.read(position)
        with self._hdf5_lock:
            return store.read(position)

    def decode(self, i: int, decoder: Callable[[bytes], T]) -> T:
        """What `decoder` makes of the bytes of image `i`. Raises NotAnImage, StoreError, MemoryError."""
        data = self.read(i)
        return self.run(i, lambda: decoder(data))

    def run(self, i: int, decode: Callable[[], T]) -> T:
        """What `decode` returns, which decodes image `i`. Raises NotAnImage, MemoryError."""
        try:
            return decode()
        except NotEnoughMemory as error:  # is no fault of the image
            raise MemoryError(f"{self.path_of(i)}: {error}") from error

    def path_of(self, i: int) -> str:
        """The path of image `i` in its store, such as 'red/image_0001.jpg'."""
        store, position = self.locate(i)
        return store.path_of(position)


def _open_all(paths: str | Path | Sequence[str | Path] | Sequence[ImageStore]) -> list[ImageStore]:
    paths = [paths] if isinstance(paths, (str, Path)) else paths
    opened = [path for path in paths if isinstance(path, ImageStore)]
    return paths if opened else open_stores([path for path in paths if not isinstance(path, ImageStore)])


def _is_decodable(store: ImageStore, i: int) -> bool:
    """Whether image `i` of a store can be decoded. Asked of one image of each label, if that is one."""
    if not begins_as_image(store, i):
        return False
    try:
        decode_rgb(store.read(i), (SMALL_SIDE, SMALL_SIDE))
    except (NotAnImage, StoreError):
        return False
    return True


def _what_is_left_out(stores: Sequence[ImageStore], labels: Sequence[StoreLabels]) -> Iterator[str]:
    """A line for each store of which something is left out: images without a label, and what is no label."""
    for store, found in zip(stores, labels, strict=True):
        at_fault = [f"{counted(found.without_label, 'image')} under no label"] if found.without_label else []
        if lines := at_fault + found.left_out:
            yield f"{store.path}: left out: {'; '.join(lines)}"


def _why_no_label(stores: Sequence[ImageStore], labels: Sequence[StoreLabels]) -> str:
    """What was found in place of labels, and what to do."""
    for store, found in zip(stores, labels, strict=True):
        if found.without_label:
            images = counted(found.without_label, "image")
            return f"{store.path}: {images} at the root, under no label: {HOW_TO_LABEL}"
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
