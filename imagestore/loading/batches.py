"""Images of a dataset in batches, at the speed of decoding: workers make the next ones while one is used.

    from imagestore import HDF5Dataset
    from imagestore.loading.batches import Batches
    from imagestore.loading.views import View

    batches = Batches(HDF5Dataset("train.h5"), View(side=224, augment="crop", seed=1), workers=2)
    for epoch in range(2):
        for images, labels, _ in batches.epoch(epoch, batch_size=64):  # uint8 (64, 3, 224, 224), int64 (64,)
            images = images.float() / 255  # on the device that the network is on

One worker is a thread, which starts at once. Several are processes (see pixel_processes.py). For few images
they are threads, too, and for two workers with `squares` and without `lends`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from imagestore.loading.ahead import AHEAD, run_ahead
from imagestore.loading.crops import draw
from imagestore.loading.dataset import UNDECODABLE, HDF5Dataset
from imagestore.loading.image_keys import epoch_order, image_keys
from imagestore.loading.pixel_processes import MOST_THREADS, PixelProcesses, are_worth_it
from imagestore.loading.skipped_images import SkippedImages
from imagestore.loading.squares import Squares
from imagestore.loading.views import BegunView, View, begin_view, cut_view, finish_view

TASKS = 4  # of a batch, for each thread: so all threads finish at about the same time
BEGUN, BEGUN_BYTES = 8, 1 << 20  # images that a worker begins before it decodes the first; see begin_view
SMALL_TASK = 1 << 18  # bytes of pixels: less is not worth a task of its own
MOST_DECODING_THREADS = 1  # two wait for each other more than two processes cost
REQUESTS_AHEAD = 2  # of each process, so that none waits for the slowest one
REQUEST_BYTES = 4 << 20  # of pixels that a process is asked for at a time: each request wakes it
MOST_ROWS = 256  # of a request, which must fit into a pipe


class Batch(NamedTuple):
    """Some images. B is 0 if none of them can be decoded."""

    images: Tensor  # uint8 (B, 3, side, side), channels last
    labels: Tensor  # int64 (B,)
    positions: Tensor  # int64 (B,): among the N images of the Batches


@dataclass
class Batches:
    """Some or all images of a dataset, given out in batches.

    An image that cannot be decoded is left out of its batch, and the batch is shorter. It is named once, and
    counted in `skipped`. With `squares`, the views are cut from these pictures and nothing is decoded.

    With `lends`, the pixels of a batch hold only until the next one is asked for. They stay where the
    processes made them, and a GPU copies them from there: see copy_ahead.py. A copy that is `non_blocking`
    has to be complete before the next batch is asked for.
    """

    dataset: HDF5Dataset
    view: View
    workers: int = 1  # threads or processes; 0: a batch is made when it is asked for
    positions: np.ndarray | None = None  # int64 (N,), in the dataset; None: all images
    squares: Squares | None = None  # N pictures, of a side of view.side_to_keep
    lends: bool = False
    skipped: SkippedImages = field(default_factory=lambda: SkippedImages("imagestore"))

    def __post_init__(self) -> None:
        if self.positions is None:
            self.positions = np.arange(len(self.dataset))
        self._is_decodable = np.ones(len(self), bool) if self.squares is None else self.squares.is_decodable
        self._pixels = _Pixels(self.dataset, self.view, self.positions, self.squares)
        self._idle: list[PixelProcesses[_Failed]] = []
        weakref.finalize(self, _close_all, self._idle)

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
        most_threads = MOST_DECODING_THREADS if self.squares is None or self.lends else MOST_THREADS
        by_processes = are_worth_it(self.workers, len(self), most_threads)
        make = self._by_processes if by_processes else self._by_threads
        with closing(make(chunks, epoch)) as batches:
            for made, failed in batches:
                yield self._finish(made, failed)
        if self.skipped.count > count_before:
            self.skipped.note_count()

    def _by_threads(self, chunks: Iterable[Tensor], epoch: int | None) -> Iterator[tuple[_Made, _Failed]]:
        def begin(chunk: Tensor) -> tuple[_Made, list[Callable[[], _Failed]]]:
            made = self._empty(self._decodable(chunk))
            rows = len(made.chunk)
            step = max(-(-rows // (TASKS * max(self.workers, 1))), SMALL_TASK // self._image_bytes, 1)
            return made, [partial(self._fill, made, epoch, part) for part in _parts(rows, step)]

        for made, failed in run_ahead(map(begin, chunks), self.workers):
            yield made, {row: line for part in failed for row, line in part.items()}

    def _by_processes(self, chunks: Iterable[Tensor], epoch: int | None) -> Iterator[tuple[_Made, _Failed]]:
        known = list(map(self._decodable, chunks))
        most_rows = self._rows_of_a_request(sum(map(len, known)))
        jobs = (
            [
                (rows.start * self._image_bytes, self._request(chunk[rows.start : rows.stop], epoch))
                for rows in _equal_parts(len(chunk), most_rows)
            ]
            for chunk in known
        )
        job_bytes = max(map(len, known), default=0) * self._image_bytes
        with self._processes(max(job_bytes, 1)) as processes, closing(processes.run(jobs)) as results:
            for chunk, (failed, memory) in zip(known, results, strict=True):
                made = self._lent(chunk, memory) if self.lends else self._copied(chunk, memory)
                lines = {
                    rows[row]: line
                    for rows, part in zip(_equal_parts(len(chunk), most_rows), failed, strict=True)
                    for row, line in part.items()
                }
                yield made, lines

    @contextmanager
    def _processes(self, job_bytes: int) -> Iterator[PixelProcesses[_Failed]]:
        """Processes that nobody else uses. They are kept for the next time."""
        while self._idle and not self._idle[-1].can_do(job_bytes):
            self._idle.pop().close()
        if self._idle:
            processes = self._idle.pop()
        else:
            requests = max(job_bytes // max(REQUEST_BYTES, self._image_bytes), 1)
            ahead = max(AHEAD, -(-REQUESTS_AHEAD * self.workers // requests))
            processes = PixelProcesses(self.workers, job_bytes, self._pixels.fill_memory, ahead, self.lends)
        try:
            yield processes
        finally:
            if not processes.is_closed:
                self._idle.append(processes)

    @property
    def _image_bytes(self) -> int:
        return 3 * self.view.side**2

    def _rows_of_a_request(self, rows: int) -> int:
        """How many rows a process is asked for at a time, if all of them are asked for `rows`."""
        fair = rows // (REQUESTS_AHEAD * self.workers)
        few, many = (max(size // self._image_bytes, 1) for size in (SMALL_TASK, REQUEST_BYTES))
        return min(max(fair, few), many, MOST_ROWS)

    def _decodable(self, chunk: Tensor) -> np.ndarray:
        """int64 (B,): those of a chunk that can be decoded, as far as that is known."""
        positions = chunk.numpy()
        return positions[self._is_decodable[positions]]

    def _empty(self, chunk: np.ndarray) -> _Made:
        images = torch.empty(
            (len(chunk), 3, self.view.side, self.view.side), dtype=torch.uint8,
            pin_memory=self.lends and torch.cuda.is_initialized(), memory_format=torch.channels_last,
        )  # fmt: skip
        return _Made(chunk, images)

    def _lent(self, chunk: np.ndarray, memory: np.ndarray) -> _Made:
        """The batch whose pixels are in the beginning of `memory`, uint8 (bytes,)."""
        side = self.view.side
        pixels = memory[: len(chunk) * self._image_bytes].reshape(len(chunk), side, side, 3)
        return _Made(chunk, torch.from_numpy(pixels).permute(0, 3, 1, 2))

    def _copied(self, chunk: np.ndarray, memory: np.ndarray) -> _Made:
        lent, made = self._lent(chunk, memory), self._empty(chunk)
        made.images.copy_(lent.images)
        return made

    def _request(self, chunk: np.ndarray, epoch: int | None) -> _Request:
        return chunk, None if epoch is None else (epoch, self.keys[chunk])

    def _fill(self, made: _Made, epoch: int | None, rows: range) -> _Failed:
        """Fill some rows of a batch. Returns a line for each image that cannot be decoded, by its row."""
        part = slice(rows.start, rows.stop)
        failed = self._pixels.fill(self._request(made.chunk[part], epoch), made.pixels[part])
        return {rows[row]: line for row, line in failed.items()}

    def _finish(self, made: _Made, reasons: _Failed) -> Batch:
        """The batch without the images that cannot be decoded."""
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
_Request = tuple[np.ndarray, tuple[int, np.ndarray] | None]
# int64 (n,): positions among the N images; if they are augmented, the epoch and their keys, uint64 (n,)


def _close_all(processes: list[PixelProcesses]) -> None:
    while processes:
        processes.pop().close()


class _Pixels(NamedTuple):
    """Where the pixels of a batch come from. See `Batches`."""

    dataset: HDF5Dataset
    view: View
    positions: np.ndarray
    squares: Squares | None

    def fill_memory(self, request: _Request, memory: np.ndarray) -> _Failed:
        """`fill`, as a process does it: the pixels come first in `memory`, uint8 (bytes,)."""
        side, count = self.view.side, len(request[0])
        return self.fill(request, memory[: count * 3 * side * side].reshape(count, side, side, 3))

    def fill(self, request: _Request, pixels: np.ndarray) -> _Failed:
        """Write the images of a request to `pixels`, uint8 (n, side, side, 3).

        Returns a line for each that cannot be decoded, by its row.
        """
        chunk, drawn = request
        numbers = None if drawn is None else draw(self.view.seed, *drawn)  # float64 (n, NUMBERS)
        failed: _Failed = {}
        if self.squares is not None:
            for row, i in enumerate(chunk.tolist()):
                size, own = tuple(self.squares.sizes[i].tolist()), None if numbers is None else numbers[row]
                pixels[row] = cut_view(self.squares.pixels[i], size, self.view, own)
            return failed
        rows = iter(enumerate(self.positions[chunk].tolist()))
        while begun := self._begin_some(rows, numbers, failed):
            for row, i, view in begun:
                try:
                    pixels[row] = self.dataset.run(i, partial(finish_view, view))
                except UNDECODABLE as error:
                    failed[row] = f"{self.dataset.path_of(i)}: {error}"
        return failed

    def _begin_some(
        self, rows: Iterator[tuple[int, int]], numbers: np.ndarray | None, failed: _Failed
    ) -> list[tuple[int, int, BegunView]]:
        """The next rows, their images in the dataset, and their views. None at the end."""
        begun, size = [], 0
        for row, i in rows:
            try:
                data = self.dataset.read(i)
            except UNDECODABLE as error:
                failed[row] = f"{self.dataset.path_of(i)}: {error}"
                continue
            begun.append((row, i, begin_view(data, self.view, None if numbers is None else numbers[row])))
            size += len(data)
            if len(begun) == BEGUN or size >= BEGUN_BYTES:
                break
        return begun


class _Made(NamedTuple):
    """A batch that workers fill or have filled."""

    chunk: np.ndarray  # int64 (B,): positions among the N images
    images: Tensor  # uint8 (B, 3, side, side), channels last

    @property
    def pixels(self) -> np.ndarray:
        """uint8 (B, side, side, 3): the memory of the images."""
        return self.images.permute(0, 2, 3, 1).numpy()


def _parts(rows: int, step: int) -> Iterator[range]:
    return (range(first, min(first + step, rows)) for first in range(0, rows, max(step, 1)))


def _equal_parts(rows: int, most: int) -> Iterator[range]:
    count = max(-(-rows // most), 1)
    return _parts(rows, -(-rows // count))
