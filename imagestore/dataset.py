"""Images of one or several stores as torch wants them: a Dataset, splits, batches, all of it in memory.

    dataset = HDF5Dataset("train.h5", transform=transforms.ToTensor(), size=224)
    loader = DataLoader(dataset, batch_size=64, shuffle=True, num_workers=4)

Used by train_model.py, classify.py and by anyone's own training loop. A dataset may be pickled, used
after a fork (DataLoader workers), and its images read from several threads.
"""

from __future__ import annotations

import contextlib
import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from imagestore.console import Stop, blocked
from imagestore.decode import NotAnImage, open_image
from imagestore.store import ImageStore, StoreError, crc32, open_stores

V1_MEMORY, V2_MEMORY = (  # files of a control group: its limit, and what it uses, in bytes
    ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ("memory.max", "memory.current"),
)
DECODED_AT_ONCE = 256  # images between two looks at whether a signal asked for an end


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


def split(dataset: HDF5Dataset, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions to train on and positions to validate with, int64, ascending.

    `fraction` (0 to below 1) is the share of the latter: at least one of two images, where it is not 0.
    Decided by each image's own checksum (or its path, where the store keeps none): the same picture is
    always on the same side, twice stored or not, whatever the order of the stores.
    """
    keys = _keys(dataset, seed)
    held_back = round(len(dataset) * fraction)
    if fraction > 0:
        held_back = min(max(held_back, 1), len(dataset) - 1)
    validation = keys < np.sort(keys)[held_back]
    return np.flatnonzero(~validation), np.flatnonzero(validation)


def _keys(dataset: HDF5Dataset, seed: int) -> np.ndarray:
    """uint64 (N,): well mixed numbers, by the finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    key = np.concatenate([_checksums(store) for store in dataset.stores]).astype(np.uint64)
    with np.errstate(over="ignore"):
        key += np.uint64(seed % 2**32) * np.uint64(0x9E3779B97F4A7C15)
        key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


def _checksums(store: ImageStore) -> np.ndarray:
    """uint32 (N,): the images' own checksums, their paths' where there is none."""
    checksums = store.index.crc32.copy()
    for i in np.flatnonzero(store.index.has_crc == 0).tolist():
        checksums[i] = crc32(os.fsencode(store.path_of(i)))
    return checksums


# In memory: every image decoded once, small, as one array.


@dataclass
class Decoded:
    """Decoded images, ready to be cut into batches; those that could not be decoded keep their places.

    So an order of N positions means the same batches here and in Streamed, which cannot know beforehand.
    """

    images: Tensor  # uint8 (N, 3, size, size); anything where not good
    labels: Tensor  # int64 (N,)
    good: Tensor  # bool (N,): whether it could be decoded
    skipped: list[str] = field(default_factory=list)  # path and reason of each that could not be decoded

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def usable(self) -> int:
        """How many could be decoded."""
        return int(self.good.sum())

    def batches(self, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """uint8 (B, 3, size, size) and int64 (B,) of the images `order` (int64), in this order.

        Without those that could not be decoded, so that B varies, down to 0.
        """
        for chunk in order.split(batch_size):
            chunk = chunk[self.good[chunk]]
            yield self.images[chunk], self.labels[chunk]


def decode_all(
    dataset: HDF5Dataset,
    positions: Sequence[int] | np.ndarray,
    workers: int,
    done: Callable[[int], object] = lambda count: None,
    stop: Stop | None = None,
) -> Decoded:
    """Decode the images at `positions` with `workers` threads (Pillow decodes outside Python's lock).

    `done` hears how many more are finished; a `stop` that is requested ends it early.
    """
    positions = np.asarray(positions)
    images = torch.empty((len(positions), 3, dataset.size, dataset.size), dtype=torch.uint8)
    good = torch.zeros(len(positions), dtype=torch.bool)
    skipped: dict[int, str] = {}

    def one(at: int) -> None:
        try:
            images[at] = dataset[int(positions[at])][0]
            good[at] = True
        except (NotAnImage, StoreError) as error:
            skipped[at] = f"{dataset.path_of(int(positions[at]))}: {error}"

    with ThreadPoolExecutor(max(1, workers)) as pool:
        for first in range(0, len(positions), DECODED_AT_ONCE):
            if stop is not None and stop.requested:
                break
            chunk = range(first, min(first + DECODED_AT_ONCE, len(positions)))
            list(pool.map(one, chunk))
            done(len(chunk))
    labels = torch.from_numpy(dataset.targets[positions])
    return Decoded(images, labels, good, [skipped[at] for at in sorted(skipped)])


def decoded_bytes(count: int, size: int) -> int:
    """The memory that `count` decoded images take, in bytes."""
    return count * 3 * size * size


def available_memory() -> int:
    """Bytes this process may still use: what the machine has left, and what its control group leaves."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) * 1024
        groups = Path("/proc/self/cgroup").read_text()
        free = min([free, *left_by_groups(groups, Path("/sys/fs/cgroup"))])
    except (OSError, KeyError):
        pass  # no Linux, or no control group: the machine's memory is the bound
    return max(free, 0)


def left_by_groups(groups: str, mounted: Path) -> Iterator[int]:
    """Bytes that each control group with a limit leaves: the process's own, and all those around it.

    `groups` is what /proc/self/cgroup says, lines "number:controllers:/path" (version 2 names no
    controllers); `mounted` is where the groups are folders. The limit of a Slurm job is on a folder above
    its step's.
    """
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = mounted / "memory" if controllers else mounted
        limit, used = V1_MEMORY if controllers else V2_MEMORY
        own = top / path.strip("/")
        for group in (own, *own.parents[: len(own.parents) - len(top.parents)]):
            with contextlib.suppress(OSError, ValueError):  # not to be seen from here, or "max": no limit
                yield int((group / limit).read_text()) - int((group / used).read_text())


@dataclass
class Streamed:
    """Images that memory cannot hold: the same batches, decoded by worker processes as they are needed."""

    dataset: HDF5Dataset
    positions: np.ndarray  # int64 (N,)
    workers: int

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def usable(self) -> int:
        """How many may be decodable: all of them, for all that is known."""
        return len(self.positions)

    def batches(self, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """As those of Decoded."""
        chunks = [self.positions[chunk.numpy()].tolist() for chunk in order.split(batch_size)]
        workers = min(self.workers, len(chunks))
        # `timeout` and `scancel` send signals to all: the parent acts on them, and ends its workers itself.
        with warnings.catch_warnings(), blocked(signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            # Of more workers than processors, each epoch; they were asked for.
            warnings.simplefilter("ignore")
            loader = DataLoader(self.dataset, batch_sampler=chunks, num_workers=workers, collate_fn=_collate)
            batches = iter(loader)
        yield from batches


Source = Decoded | Streamed


def _collate(items: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
    if not items:
        return torch.empty((0, 3, 1, 1), dtype=torch.uint8), torch.empty(0, dtype=torch.int64)
    images, labels = default_collate(items)
    return images, labels
