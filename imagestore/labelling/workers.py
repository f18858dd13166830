"""Label images in worker processes: encoded images go in, labels come out in the same order.

Create `Workers` before the process opens HDF5 files or starts threads, because the processes are forked.
They end when the process that created them ends, even if it is killed. The number and the size of the
batches that are under way at a time are bounded.

concurrent.futures.ProcessPoolExecutor does not fit. After the death of a worker, it waits for the other
workers for ever in Python 3.10 and from 3.12.1 on, because these workers ignore SIGTERM.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Generic, TypeVar

import numpy as np

from imagestore.colour.label import label_of
from imagestore.colour.palette import find_palette
from imagestore.colour.sample_pixels import decode_small
from imagestore.decode.errors import NotAnImage
from imagestore.decode.memory_bound import memory_bound
from imagestore.decode.quiet import ignoring_warnings
from imagestore.processes import STOPPING, end_with_parent

BATCH_IMAGES = 16
BATCH_BYTES = 4 << 20
BATCHES_AHEAD = 2  # for each worker, beside the batch that it works on
BYTES_UNDER_WAY = 64 << 20  # for all workers together

Key = TypeVar("Key")


@dataclass(frozen=True, eq=False)
class Labelled:
    """The label of an image, and the table of its palette: float32 (k, 7), see `Palette.table`."""

    label: str
    palette: np.ndarray
    is_incomplete: bool = False  # only the end of the file is missing
    is_first_of_several: bool = False  # frames or pages; the label is that of the first


@dataclass(frozen=True)
class Undecodable:
    """An image that has no label, and the reason why it could not be decoded."""

    reason: str


Result = Labelled | Undecodable


class Workers:
    """`count` processes that label images; a context manager."""

    def __init__(self, count: int) -> None:
        """Fork the processes. Raises OSError, or UserError for a wrong setting of the memory for decoding."""
        memory_bound()  # here, because an error in a worker would look like a crash
        self.count = count
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        try:
            for _ in range(count):
                self._idle.put(_Worker())
        except OSError:
            self._end_idle()
            raise
        self._threads = ThreadPoolExecutor(count)  # each thread waits for one worker at a time

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._end_idle()

    def _end_idle(self) -> None:
        while not self._idle.empty():
            self._idle.get().end()

    def label(self, images: Iterable[tuple[Key, bytes]]) -> Iterator[tuple[Key, bytes, Result]]:
        """Label encoded images, each of which comes with a key of the caller's.

        Yields the key, the bytes and the result of each image, in the order of `images`. If `images` raises,
        the images before the error are yielded first.
        """
        until_error = _UntilError(images)
        yield from self._label_batches(_batches(until_error))
        if until_error.error is not None:
            raise until_error.error

    def _label_batches(
        self, batches: Iterator[list[tuple[Key, bytes]]]
    ) -> Iterator[tuple[Key, bytes, Result]]:
        under_way: deque[_Batch[Key]] = deque()
        for images in batches:
            under_way.append(_Batch(images, self._threads.submit(self._label_batch, images)))
            while under_way and (under_way[0].results.done() or self._are_enough(under_way)):
                yield from under_way.popleft().labelled_images()
        while under_way:
            yield from under_way.popleft().labelled_images()

    def _are_enough(self, under_way: deque[_Batch[Key]]) -> bool:
        """Whether the next batch has to wait until the first of these is labelled."""
        size = sum(len(data) for batch in under_way for _, data in batch.images)
        return len(under_way) > self.count * (1 + BATCHES_AHEAD) or size > BYTES_UNDER_WAY

    def _label_batch(self, images: list[tuple[Key, bytes]]) -> list[Result]:
        """Have one worker label a batch; if the worker dies, replace it and try each image by itself."""
        worker = self._idle.get()
        try:
            return worker.label([data for _, data in images])
        except WorkerDied:
            worker = _Worker()
            results: list[Result] = []
            for _, data in images:
                try:
                    results += worker.label([data])
                except WorkerDied:
                    results.append(Undecodable("the decoder crashed, or ran out of memory"))
                    worker = _Worker()
            return results
        finally:
            self._idle.put(worker)


@dataclass(frozen=True)
class _Batch(Generic[Key]):
    """Images that are being labelled, and their results to come."""

    images: list[tuple[Key, bytes]]
    results: Future[list[Result]]

    def labelled_images(self) -> Iterator[tuple[Key, bytes, Result]]:
        """Wait for the results; yield each image with its result."""
        for (key, data), result in zip(self.images, self.results.result(), strict=True):
            yield key, data, result


class _UntilError(Generic[Key]):
    """The images up to the first exception, which is kept in `error`."""

    def __init__(self, images: Iterable[tuple[Key, bytes]]) -> None:
        self._images = images
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[tuple[Key, bytes]]:
        try:
            yield from self._images
        except Exception as error:
            self.error = error


def _batches(images: Iterable[tuple[Key, bytes]]) -> Iterator[list[tuple[Key, bytes]]]:
    """Group images until there are BATCH_IMAGES of them, or they have BATCH_BYTES."""
    batch: list[tuple[Key, bytes]] = []
    size = 0
    for image in images:
        batch.append(image)
        size += len(image[1])
        if len(batch) == BATCH_IMAGES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class WorkerDied(Exception):
    """A worker process ended in the middle of its work."""


class _Worker:
    """A worker process, as its parent process sees it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("fork")
        self._connection, worker_connection = context.Pipe()
        self._process = context.Process(target=_serve, args=(worker_connection, os.getpid()))
        self._process.start()
        worker_connection.close()

    def label(self, images: list[bytes]) -> list[Result]:
        """Label encoded images. Raises WorkerDied; the worker is then of no more use."""
        try:
            self._connection.send(images)
            return self._connection.recv()
        except (EOFError, OSError):
            self.end()
            raise WorkerDied from None

    def end(self) -> None:
        """Ask the process to end, and wait for it."""
        with contextlib.suppress(OSError):
            self._connection.send(None)
        self._connection.close()
        self._process.join()


def _serve(connection: Connection, parent: int) -> None:
    """Answer requests in the worker process until it gets None."""
    for signum in STOPPING:  # the parent process handles them
        signal.signal(signum, signal.SIG_IGN)
    end_with_parent(signal.SIGKILL, parent)
    with ignoring_warnings:  # once, instead of for each image
        while (images := connection.recv()) is not None:
            connection.send([label_image(data) for data in images])


def label_image(data: bytes) -> Result:
    """Label one encoded image in this process."""
    try:
        decoded = decode_small(data)
        palette = find_palette(decoded.image)
    except NotAnImage as error:
        return Undecodable(str(error))
    return Labelled(label_of(palette), palette.table(), decoded.is_incomplete, decoded.is_first_of_several)
