"""Work that threads do ahead of time: the next results are made while one is used.

The threads need no shared memory, and end with the process.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import torch

from imagestore.console import UserError

T = TypeVar("T")
R = TypeVar("R")
AHEAD = 3  # jobs


def run_ahead(
    jobs: Iterable[tuple[T, Sequence[Callable[[], R]]]], workers: int, ahead: int = AHEAD
) -> Iterator[tuple[T, list[R]]]:
    """For each job, in order: its first part, and what its tasks return.

    `workers` threads do the tasks, up to `ahead` jobs before they are asked for. With 0 workers, the tasks
    are done when their job is asked for. The first error of a task is raised at once. Closing the iterator
    ends the threads; tasks that have begun are finished. Raises UserError if no thread can be started.
    """
    if not workers:
        for job, tasks in jobs:
            yield job, [task() for task in tasks]
        return
    waiting: deque[tuple[T, list[Future[R]]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode", initializer=use_one_thread)
    try:
        for job, tasks in jobs:
            waiting.append((job, _submit(pool, tasks)))
            if len(waiting) > ahead:
                yield _first(waiting)
        while waiting:
            yield _first(waiting)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def use_one_thread() -> None:
    """Have torch use no further threads for what this thread asks of it. Other threads are not affected.

    Otherwise each thread that decodes would get as many threads of OpenMP as there are processors.
    torch.set_num_threads would affect the whole process.
    """
    torch.get_num_threads()  # which sets the number for this thread when it is first called
    with contextlib.suppress(OSError, AttributeError):  # torch was built in another way
        ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so")).omp_set_num_threads(1)


def _submit(pool: ThreadPoolExecutor, tasks: Sequence[Callable[[], R]]) -> list[Future[R]]:
    try:
        return [pool.submit(task) for task in tasks]
    except RuntimeError as error:  # a limit of processes or of the address space
        raise UserError(f"{error}: use fewer --workers") from None


def _first(waiting: deque[tuple[T, list[Future[R]]]]) -> tuple[T, list[R]]:
    """The first job, when it is done. An error of a later one is raised now."""
    job, futures = waiting.popleft()
    results = [future.result() for future in futures]
    for _, later in waiting:
        for future in later:
            if future.done() and (error := future.exception()):
                raise error
    return job, results
