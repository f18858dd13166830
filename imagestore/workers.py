"""Labelling in worker processes: batches of encoded images in, labels out, in the order they came.

Used by pipeline. The processes are forked before the caller opens HDF5 files or starts threads; they end
when the caller does, however it ends. What is under way at any time is bounded.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from imagestore import colour

BATCH_IMAGES = 16
BATCH_BYTES = 4 << 20
MOST_BYTES = 64 << 20  # of images under way at a time, however many workers there are
BATCHES_AHEAD = 2  # for each worker, beside the one it works on
PR_SET_PDEATHSIG = 1  # prctl(2)

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
        self._pool = self._new_pool(count)

    def _new_pool(self, count: int) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("fork")
        pool = ProcessPoolExecutor(count, context, initializer=_in_worker, initargs=(os.getpid(),))
        for ready in [pool.submit(_nothing) for _ in range(count)]:  # fork now
            ready.result()
        return pool

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._pool.submit(_nothing)
        except BrokenProcessPool:
            _kill_workers()
        self._pool.shutdown(cancel_futures=True)

    def label(self, images: Iterable[tuple[Key, bytes]]) -> Iterator[tuple[Key, bytes, Labelled]]:
        """Label images as they come; yields them in the same order with what was found.

        Where `images` raises, everything that came before is yielded first.
        """
        under_way: deque[tuple[list[tuple[Key, bytes]], Future]] = deque()
        errors: list[Exception] = []
        for batch in _batches(_until_error(images, errors)):
            under_way.append((batch, self._submit(batch)))
            while under_way and (
                under_way[0][1].done() or self._is_enough([batch for batch, _ in under_way])
            ):
                yield from self._finished(*under_way.popleft())
        while under_way:
            yield from self._finished(*under_way.popleft())
        for error in errors:
            raise error

    def _is_enough(self, batches: list[list[tuple[Key, bytes]]]) -> bool:
        size = sum(len(data) for batch in batches for _, data in batch)
        return len(batches) > self.count * (1 + BATCHES_AHEAD) or size > MOST_BYTES

    def _submit(self, batch: list[tuple[Key, bytes]]) -> Future:
        try:
            return self._pool.submit(_label_all, [data for _, data in batch])
        except BrokenProcessPool as error:
            failed: Future = Future()
            failed.set_exception(error)
            return failed

    def _finished(
        self, batch: list[tuple[Key, bytes]], future: Future
    ) -> Iterator[tuple[Key, bytes, Labelled]]:
        try:
            results = future.result()
        except BrokenProcessPool:  # some image killed its worker: find out which, one at a time
            _kill_workers()
            results = [self._label_alone(data) for _, data in batch]
            self._pool = self._new_pool(self.count)
        for (key, data), found in zip(batch, results, strict=True):
            yield key, data, found

    def _label_alone(self, data: bytes) -> Labelled:
        with self._new_pool(1) as pool:
            try:
                return pool.submit(_label_all, [data]).result()[0]
            except BrokenProcessPool:
                return Labelled(reason="the decoder crashed, or ran out of memory")


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


def _in_worker(parent: int) -> None:
    # Signals are the parent's affair: it finishes what is under way. If it is killed, so are we.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _kill_workers() -> None:
    """End what is left of a broken pool: it waits for workers, with a lock held from Python 3.12.1 on.

    The pool has sent them SIGTERM, which they ignore.
    """
    for worker in multiprocessing.active_children():
        worker.kill()


def _nothing() -> None:
    pass


def _label_all(images: list[bytes]) -> list[Labelled]:
    return [label_one(data) for data in images]


def label_one(data: bytes) -> Labelled:
    """Label one encoded image."""
    try:
        palette = colour.palette(data)
    except colour.NotAnImage as error:
        return Labelled(reason=str(error))
    return Labelled(colour.label(palette), palette.table())
