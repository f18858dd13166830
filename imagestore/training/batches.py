"""Batches of images: from memory, or decoded as they are needed."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from imagestore.decode import NotAnImage
from imagestore.processes import Stop, blocked
from imagestore.store.reader import StoreError
from imagestore.training.dataset import HDF5Dataset

DECODED_AT_ONCE = 256  # images between two looks at whether a signal asked for an end


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


Batches = Decoded | Streamed


def _collate(items: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
    if not items:
        return torch.empty((0, 3, 1, 1), dtype=torch.uint8), torch.empty(0, dtype=torch.int64)
    images, labels = default_collate(items)
    return images, labels
