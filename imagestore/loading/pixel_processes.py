"""Processes that make pixels. With more than a few workers, threads would wait for the interpreter's lock.

The processes write into memory that they share with this one, some jobs ahead. On 16 processors, 16 threads
made 2,300 random crops of 224 pixels a second, and 16 processes 36,500. On two processors, two processes made
5 % more than two threads, and nearly twice as many where nothing copied their memory. No thread here waits
for them: it would take the lock from the thread that feeds a GPU.

The processes are forked, so they have the dataset and what is decoded already. They need no room in /dev/shm.
They end when they are closed, or when the thread ends that started them, even if it is killed.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import cycle
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread, current_thread
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from imagestore.console import UserError
from imagestore.decode.quiet import ignoring_warnings
from imagestore.forked_process import ForkedProcess
from imagestore.loading.ahead import AHEAD
from imagestore.loading.pinned_memory import pin

R = TypeVar("R")
MOST_THREADS = 2  # that wait for each other less than processes cost
FEWEST_IMAGES = 256  # that are worth the start of processes


def are_worth_it(workers: int, images: int, most_threads: int = MOST_THREADS) -> bool:
    """Whether so many workers are faster as processes. macOS does not let its libraries be forked."""
    return workers > most_threads and images >= FEWEST_IMAGES and sys.platform == "linux"


class PixelProcesses(Generic[R]):
    """`count` processes that call `fill(request, memory)`, and memory for jobs of up to `job_bytes`.

    `fill` writes pixels to the beginning of `memory`, uint8, and returns what can be pickled.
    """

    def __init__(
        self,
        count: int,
        job_bytes: int,
        fill: Callable[[Any, np.ndarray], R],
        ahead: int = AHEAD,
        pins: bool = False,
    ) -> None:
        """Fork the processes. Raises UserError if the system has no room for them.

        They work up to `ahead` jobs ahead. With `pins`, a GPU copies from their memory by itself.
        """
        self.job_bytes, self._ahead, self._owner = job_bytes, ahead, (os.getpid(), current_thread())
        self._workers: list[_Worker[R]] = []
        self._unpin: Callable[[], object] = lambda: None
        try:
            self._memory = np.frombuffer(mmap.mmap(-1, (ahead + 1) * job_bytes), np.uint8)
            for _ in range(count):
                self._workers.append(_Worker(self._memory, fill))
            if pins:
                self._unpin = pin(self._memory)
        except OSError as error:
            self.close()
            raise UserError(
                f"no more processes can be started ({error.strerror}): use fewer --workers"
            ) from None

    def run(self, jobs: Iterable[Sequence[tuple[int, object]]]) -> Iterator[tuple[list[R], np.ndarray]]:
        """For each job, in order: the results of its requests, and its memory, uint8 (job_bytes,).

        A job is requests, each with the place in the job's memory where its pixels begin. The memory holds
        them until the next result is asked for. One iterator at a time may be in use. Raises what `fill`
        raises, and UserError if a process was killed.
        """
        workers, waiting = cycle(self._workers), deque[tuple[int, list[_Worker[R]]]]()
        try:
            for number, job in enumerate(jobs):
                begin = number % (self._ahead + 1) * self.job_bytes
                waiting.append((begin, []))
                for offset, request in job:
                    worker = next(workers)
                    waiting[-1][1].append(worker)  # first, as an interrupt may come after half of a request
                    worker.send(begin + offset, request)
                if len(waiting) > self._ahead:
                    yield self._first(waiting)
            while waiting:
                yield self._first(waiting)
        finally:
            if any(workers for _, workers in waiting):  # some still write into the memory
                self.close()

    def can_do(self, job_bytes: int) -> bool:
        """Whether jobs of so many bytes have room, and the processes are those of this thread."""
        return job_bytes <= self.job_bytes and self._owner == (os.getpid(), current_thread())

    def _first(self, waiting: deque[tuple[int, list[_Worker[R]]]]) -> tuple[list[R], np.ndarray]:
        begin, workers = waiting[0]
        results = [worker.receive() for worker in workers]
        waiting.popleft()
        return results, self._memory[begin : begin + self.job_bytes]

    @property
    def is_closed(self) -> bool:
        """Whether the processes have ended."""
        return not self._workers

    def close(self) -> None:
        """End the processes. They only read files, so they may be killed."""
        while self._workers:
            self._workers.pop().end()
        self._unpin()
        self._unpin = lambda: None


class _Worker(Generic[R]):
    """A process, as the one that started it sees it."""

    def __init__(self, memory: np.ndarray, fill: Callable[[Any, np.ndarray], R]) -> None:
        self._process = ForkedProcess(lambda connection: _serve(connection, memory, fill))

    def send(self, begin: int, request: object) -> None:
        """Ask for pixels, that begin at the byte `begin` of the memory. Raises UserError."""
        with _killed_as_user_error():
            self._process.connection.send((begin, request))

    def receive(self) -> R:
        """The result of the first request that was not answered yet. Raises what `fill` raises, UserError."""
        with _killed_as_user_error():
            result, error = self._process.connection.recv()
        if error is not None:
            raise error
        return result

    def end(self) -> None:
        """Kill the process, and wait until it is gone."""
        self._process.end()


@contextlib.contextmanager
def _killed_as_user_error() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError):
        raise UserError(
            "a process that decodes images was killed, probably because memory ran out: use fewer --workers"
        ) from None


def _serve(connection: Connection, memory: np.ndarray, fill: Callable[[Any, np.ndarray], object]) -> None:
    """Answer requests in the process that was forked, until the pipe is closed."""
    torch.set_num_threads(1)
    requests: SimpleQueue[tuple[int, object] | None] = SimpleQueue()
    Thread(target=_take_all, args=(connection, requests), daemon=True).start()
    with ignoring_warnings:
        while (taken := requests.get()) is not None:
            begin, request = taken
            try:
                answer = fill(request, memory[begin:]), None
            except Exception as error:
                answer = None, error
            connection.send(answer)


def _take_all(connection: Connection, requests: SimpleQueue[tuple[int, object] | None]) -> None:
    """Take requests out of the pipe as they come, so that the one who sends them never waits.

    It reads no answers meanwhile: if the pipe is full of them, both would wait for ever.
    """
    with contextlib.suppress(EOFError, OSError, MemoryError):
        while True:
            requests.put(connection.recv())
    requests.put(None)
