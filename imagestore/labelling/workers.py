"""Labelling in worker processes: batches of encoded images in, labels out, in the order they came.

Used by pipeline. The processes are forked before the caller opens HDF5 files or starts threads; they end
when the caller does, however it ends. What is under way at any time is bounded. ProcessPoolExecutor will not
do: where a worker dies, it hangs in Python 3.10 and from 3.12.1 on, since workers ignore SIGTERM.
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
from typing import TypeVar

import numpy as np

from imagestore.colour.label import label_of
from imagestore.colour.palette import find_palette
from imagestore.decode import NotAnImage
from imagestore.processes import end_with_parent

BATCH_IMAGES = 16


BATCH_BYTES = 4 << 20


MOST_BYTES = 64 << 20  # of images under way at a time, however many workers there are


BATCHES_AHEAD = 2  # for each worker, beside the one it works on


Key = TypeVar("Key")


@dataclass(frozen=True, eq=False)
class Labelled:
    """What the heuristic found: a label and the palette's table, float32 (k, 7); or why there is none."""

    label: str = ""
    palette: np.ndarray | None = None
    reason: str = ""


class Workers:
    """`count` processes that label images. A context manager."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        try:
            for _ in range(count):
                self._idle.put(_Worker())
        except OSError:
            self._end()
            raise
        self._threads = ThreadPoolExecutor(count)  # one waits for each worker

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._end()

    def _end(self) -> None:
        while not self._idle.empty():
            self._idle.get().end()

    def label(self, images: Iterable[tuple[Key, bytes]]) -> Iterator[tuple[Key, bytes, Labelled]]:
        """Label images as they come; yields them in the same order with what was found.

        Where `images` raises, everything that came before is yielded first.
        """
        under_way: deque[tuple[list[tuple[Key, bytes]], Future]] = deque()
        errors: list[Exception] = []
        for batch in _batches(_until_error(images, errors)):
            under_way.append((batch, self._threads.submit(self._label_batch, [data for _, data in batch])))
            while under_way and (
                under_way[0][1].done() or self._is_enough([batch for batch, _ in under_way])
            ):
                yield from _finished(*under_way.popleft())
        while under_way:
            yield from _finished(*under_way.popleft())
        for error in errors:
            raise error

    def _is_enough(self, batches: list[list[tuple[Key, bytes]]]) -> bool:
        size = sum(len(data) for batch in batches for _, data in batch)
        return len(batches) > self.count * (1 + BATCHES_AHEAD) or size > MOST_BYTES

    def _label_batch(self, images: list[bytes]) -> list[Labelled]:
        worker = self._idle.get()
        try:
            return worker.label(images)
        except WorkerDied:  # some image killed it: find out which, one at a time
            worker = _Worker()
            found = []
            for data in images:
                try:
                    found += worker.label([data])
                except WorkerDied:
                    found.append(Labelled(reason="the decoder crashed, or ran out of memory"))
                    worker = _Worker()
            return found
        finally:
            self._idle.put(worker)


class WorkerDied(Exception):
    """A worker ended in the middle of its work."""


class _Worker:
    """A process that labels, seen from its parent."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("fork")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, os.getpid()))
        self._process.start()
        theirs.close()

    def label(self, images: list[bytes]) -> list[Labelled]:
        """Label some images. Raises WorkerDied, after which the worker is of no use."""
        try:
            self._connection.send(images)
            return self._connection.recv()
        except (EOFError, OSError):
            self.end()
            raise WorkerDied from None

    def end(self) -> None:
        """Let it end, which it does once it has nothing to do."""
        with contextlib.suppress(OSError):
            self._connection.send(None)
        self._connection.close()
        self._process.join()


def _work(connection: Connection, parent: int) -> None:
    """What a worker does, until it is sent None."""
    # Signals are the parent's affair: it finishes what is under way. If it is killed, so are we.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    end_with_parent(signal.SIGKILL, parent)
    while (images := connection.recv()) is not None:
        connection.send([label_one(data) for data in images])


def _finished(batch: list[tuple[Key, bytes]], future: Future) -> Iterator[tuple[Key, bytes, Labelled]]:
    for (key, data), found in zip(batch, future.result(), strict=True):
        yield key, data, found


def _until_error(images: Iterable[tuple[Key, bytes]], errors: list[Exception]) -> Iterator[tuple[Key, bytes]]:
    try:
        yield from images
    except Exception as error:
        errors.append(error)


def _batches(images: Iterable[tuple[Key, bytes]]) -> Iterator[list[tuple[Key, bytes]]]:
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


def label_one(data: bytes) -> Labelled:
    """Label one encoded image."""
    try:
        palette = find_palette(data)
    except NotAnImage as error:
        return Labelled(reason=str(error))
    return Labelled(label_of(palette), palette.table())
