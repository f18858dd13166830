"""Images of a dataset in batches, at the speed of decoding: threads make the next ones while one is used.

    from imagestore import HDF5Dataset
    from imagestore.loading.batches import Batches
    from imagestore.loading.views import View

    batches = Batches(HDF5Dataset("train.h5"), View(side=224, augment="crop", seed=1), workers=2)
    for epoch in range(2):
        for images, labels, _ in batches.epoch(epoch, batch_size=64):  # uint8 (64, 3, 224, 224), int64 (64,)
            images = images.float() / 255  # on the device that the network is on

The decoder and torch release the interpreter's lock while they work. So threads are as fast as processes, and
they need no shared memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from imagestore.loading.ahead import run_ahead
from imagestore.loading.crops import draw
from imagestore.loading.dataset import UNDECODABLE, HDF5Dataset
from imagestore.loading.image_keys import epoch_order, image_keys
from imagestore.loading.skipped_images import SkippedImages
from imagestore.loading.squares import Squares
from imagestore.loading.views import View, cut_view, decode_view

TASKS = 4  # of a batch, for each thread: so all threads finish at about the same time
SMALL_TASK = 1 << 18  # bytes of pixels: less is not worth a task of its own


class Batch(NamedTuple):
    """Some images. B is 0 if none of them can be decoded."""

    images: Tensor  # uint8 (B, 3, side, side), channels last; in pinned memory if it goes to CUDA
    labels: Tensor  # int64 (B,)
    positions: Tensor  # int64 (B,): among the N images of the Batches


@dataclass
class Batches:
    """Some or all images of a dataset, given out in batches.

    An image that cannot be decoded is left out of its batch, and the batch is shorter. It is named once, and
    counted in `skipped`. With `squares`, the views are cut from these pictures and nothing is decoded.
    """

    dataset: HDF5Dataset
    view: View
    workers: int = 1  # threads; 0: a batch is made when it is asked for
    positions: np.ndarray | None = None  # int64 (N,), in the dataset; None: all images
    squares: Squares | None = None  # N pictures, of a side of view.side_to_keep
    pin_memory: bool = False
    skipped: SkippedImages = field(default_factory=lambda: SkippedImages("imagestore"))

    def __post_init__(self) -> None:
        if self.positions is None:
            self.positions = np.arange(len(self.dataset))
        self._is_decodable = np.ones(len(self), bool) if self.squares is None else self.squares.is_decodable

    def __len__(self) -> int:
        """N: the number of images, those included that cannot be decoded."""
        return len(self.positions)

    @property
    def decodable_count(self) -> int:
        """The number of images that can be decoded, as far as that is known."""
        return int(self._is_decodable.sum())

    @property
    def labels(self) -> Tensor:
        """int64 (N,): the label of each image."""
        return torch.from_numpy(self.dataset.label_numbers[self.positions])

    @cached_property
    def keys(self) -> np.ndarray:
        """uint64 (N,): see image_keys.py."""
        return image_keys(self.dataset)[self.positions]

    def epoch(self, number: int, batch_size: int) -> Iterator[Batch]:
        """All images, augmented, in an order that the seed of the view and the number of the epoch decide."""
        order = epoch_order(self.keys, self.view.seed, number)
        return self.iterate(order.split(batch_size) if len(order) else (), number)

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """All images in the order of the dataset, not augmented."""
        order = torch.arange(len(self))
        return self.iterate(order.split(batch_size) if len(order) else ())

    def iterate(self, chunks: Iterable[Tensor], epoch: int | None = None) -> Iterator[Batch]:
        """A batch for each chunk, int64 (n,), of positions among the N images.

        In an `epoch` they are augmented, by the seed, the epoch and the key of each image alone. Without,
        they have their plain view. Any error that is no fault of an image is raised. Closing the iterator
        ends its threads.
        """
        count_before = self.skipped.count
        for made, failed in run_ahead((self._begin(chunk.numpy(), epoch) for chunk in chunks), self.workers):
            yield self._finish(made, failed)
        if self.skipped.count > count_before:
            self.skipped.note_count()

    def _begin(self, chunk: np.ndarray, epoch: int | None) -> tuple[_Unfinished, list[Callable[[], _Failed]]]:
        """An empty batch, and the tasks that fill it."""
        chunk = chunk[self._is_decodable[chunk]]
        side = self.view.side
        images = torch.empty(
            (len(chunk), 3, side, side), dtype=torch.uint8, pin_memory=self.pin_memory,
            memory_format=torch.channels_last,
        )  # fmt: skip
        made = _Unfinished(chunk, images, images.permute(0, 2, 3, 1).numpy())
        numbers = None if epoch is None else draw(self.view.seed, epoch, self.keys[chunk])
        step = max(-(-len(chunk) // (TASKS * max(self.workers, 1))), SMALL_TASK // (3 * side * side), 1)
        parts = (range(first, min(first + step, len(chunk))) for first in range(0, len(chunk), step))
        return made, [partial(self._fill, made, rows, numbers) for rows in parts]

    def _fill(self, made: _Unfinished, rows: range, numbers: np.ndarray | None) -> _Failed:
        """Fill some rows of a batch. Returns a line for each image that cannot be decoded, by its row."""
        failed = {}
        for row in rows:
            i, own = int(made.chunk[row]), None if numbers is None else numbers[row]
            try:
                made.pixels[row] = self._square(i, own)
            except UNDECODABLE as error:
                failed[row] = f"{self.dataset.path_of(int(self.positions[i]))}: {error}"
        return failed

    def _square(self, i: int, numbers: np.ndarray | None) -> np.ndarray:
        """uint8 (side, side, 3)."""
        if self.squares is not None:
            width, height = self.squares.sizes[i].tolist()
            return cut_view(self.squares.pixels[i], (width, height), self.view, numbers)
        decoder = partial(decode_view, view=self.view, numbers=numbers)
        return self.dataset.decode(int(self.positions[i]), decoder)

    def _finish(self, made: _Unfinished, failed: list[_Failed]) -> Batch:
        """The batch without the images that cannot be decoded."""
        reasons = {row: line for part in failed for row, line in part.items()}
        chunk, images = made.chunk, made.images
        if reasons:
            kept = np.delete(np.arange(len(chunk)), [*reasons])
            self._note(chunk, reasons)
            made.pixels[: len(kept)] = made.pixels[kept]
            chunk, images = chunk[kept], images[: len(kept)]
        positions = torch.from_numpy(chunk)
        return Batch(images, torch.from_numpy(self.dataset.label_numbers[self.positions[chunk]]), positions)

    def _note(self, chunk: np.ndarray, reasons: _Failed) -> None:
        for row, line in sorted(reasons.items()):
            if self._is_decodable[chunk[row]]:
                self._is_decodable[chunk[row]] = False
                self.skipped.add(line)


_Failed = dict[int, str]  # rows of a batch, and why they cannot be decoded


class _Unfinished(NamedTuple):
    """A batch that threads fill."""

    chunk: np.ndarray  # int64 (B,): positions among the N images
    images: Tensor  # uint8 (B, 3, side, side), channels last
    pixels: np.ndarray  # uint8 (B, side, side, 3): the same memory
