"""Processes that make pixels: what they answer, and how they end."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from imagestore.console import UserError
from imagestore.loading.batches import Batches
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.pixel_processes import PixelProcesses
from imagestore.loading.views import View


def fill(request: int | str, memory: np.ndarray) -> int:
    """Fill the memory with a number and return the process's own; raise for a word, and end for 0."""
    if isinstance(request, str):
        raise MemoryError(request)
    if not request:
        os._exit(1)
    memory[:10] = request
    return os.getpid()


def answers(processes: PixelProcesses, *numbers: int | str) -> list[tuple[int, int]]:
    """For each number, in a job of its own, the sum of the memory and the process."""
    jobs = ([(0, number)] for number in numbers)
    return [(int(memory.sum()), process) for [process], memory in processes.run(jobs)]


def test_pixels_come_through_memory_that_is_shared() -> None:
    processes = PixelProcesses(2, 10, fill)
    found = answers(processes, *range(1, 20))
    processes.close()
    assert [total for total, _ in found] == [10 * number for number in range(1, 20)]
    assert len({process for _, process in found} - {os.getpid()}) == 2


@pytest.mark.parametrize("ahead", [1, 4])
def test_no_more_than_some_jobs_are_begun_ahead(ahead: int) -> None:
    begun = []

    def jobs() -> Iterator[list[tuple[int, int]]]:
        for number in range(1, 10):
            begun.append(number)
            yield [(0, number)]

    processes = PixelProcesses(2, 10, fill, ahead, pins=True)
    for number, _ in enumerate(processes.run(jobs()), 1):
        assert begun[-1] == min(number + ahead, 9)
    processes.close()


def test_each_request_of_a_job_has_its_place() -> None:
    def fill_two(request: int, memory: np.ndarray) -> int:
        memory[:2] = request
        return request

    processes = PixelProcesses(3, 6, fill_two)
    [(results, memory)] = processes.run([[(0, 1), (2, 2), (4, 3)]])
    processes.close()
    assert (results, memory.tolist()) == ([1, 2, 3], [1, 1, 2, 2, 3, 3])


def test_an_error_is_raised_here() -> None:
    processes = PixelProcesses(1, 10, fill)
    with pytest.raises(MemoryError, match="too little"):
        answers(processes, 1, "too little", 2)
    assert processes.is_closed


def test_a_process_that_dies_is_one_line() -> None:
    with pytest.raises(UserError, match=r"was killed.*use fewer --workers"):
        answers(PixelProcesses(2, 10, fill), 1, 0, 2)


def test_what_was_begun_is_not_waited_for() -> None:
    """Leaving early, as after a signal, ends processes that still work."""

    def sleep(request: int, memory: np.ndarray) -> None:
        time.sleep(request)

    processes, started = PixelProcesses(2, 10, sleep), time.monotonic()
    results = processes.run([[(0, seconds)] for seconds in (0, 60, 60, 60)])
    next(results)
    results.close()
    assert processes.is_closed
    assert time.monotonic() - started < 30


@pytest.mark.timeout(30)
def test_many_large_requests_and_answers_do_not_wait() -> None:
    """More than fits into the pipes of both directions, before the first answer is read."""

    def repeat(request: bytes, memory: np.ndarray) -> bytes:
        return request

    processes = PixelProcesses(1, 10, repeat)
    sent = [[bytes([number]) * (1 << 16) for number in range(16)] for _ in range(6)]
    received = [answers for answers, _ in processes.run([[(0, part) for part in job] for job in sent])]
    processes.close()
    assert received == sent


def test_an_interrupt_while_a_request_is_sent_ends_them() -> None:
    """Half of it may be in the pipe, so that the next request would be misread."""

    class Interrupted:
        def __reduce__(self) -> str:
            raise KeyboardInterrupt

    processes = PixelProcesses(2, 10, fill)
    with pytest.raises(KeyboardInterrupt):
        list(processes.run([[(0, Interrupted())]]))
    assert processes.is_closed


def test_a_batch_system_does_not_end_them_but_their_parent_does() -> None:
    """A signal to all processes of a job is for the one that started them."""
    processes = PixelProcesses(1, 10, fill)
    [(_, process)] = answers(processes, 1)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        os.kill(process, signum)
    assert answers(processes, 1) == [(10, process)]
    processes.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_batches_that_are_gone_end_their_processes(two_stores: list[Path]) -> None:
    batches = Batches(HDF5Dataset(two_stores), View(16), workers=3)
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    before = len(children.read_text().split())
    assert len(list(batches.epoch(0, 4)))
    assert len(list(batches.epoch(1, 5)))
    assert len(children.read_text().split()) == before + 3
    del batches
    gc.collect()
    assert len(children.read_text().split()) == before


def test_batches_may_be_used_by_one_thread_after_another(two_stores: list[Path]) -> None:
    """Processes end with the thread that started them."""
    batches = Batches(HDF5Dataset(two_stores), View(16), workers=3)
    seen: list[int] = []
    for _ in range(2):
        thread = Thread(target=lambda: seen.extend(len(batch.labels) for batch in batches.epoch(0, 100)))
        thread.start()
        thread.join()
    assert seen == [len(batches)] * 2


def test_a_forked_copy_of_the_program_has_its_own(two_stores: list[Path]) -> None:
    """It does not end those of the first one, nor does it ask them."""
    batches = Batches(HDF5Dataset(two_stores), View(16), workers=3)
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    expected = [batch.images for batch in batches.epoch(0, 4)]
    started = children.read_text()
    fork = os.fork()
    if not fork:
        try:
            assert all(a.images.equal(b) for a, b in zip(batches.epoch(0, 4), expected, strict=True))
            assert Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(fork, 0)[1] == 0
    assert all(a.images.equal(b) for a, b in zip(batches.epoch(0, 4), expected, strict=True))
    assert children.read_text() == started


def test_two_epochs_at_a_time_do_not_disturb_each_other(two_stores: list[Path]) -> None:
    batches = Batches(HDF5Dataset(two_stores), View(16, augment="crop"), workers=3)
    alone = [[batch.images for batch in batches.epoch(number, 3)] for number in (0, 1)]
    for (first, second), *expected in zip(
        zip(batches.epoch(0, 3), batches.epoch(1, 3), strict=True), *alone, strict=True
    ):
        assert first.images.equal(expected[0])
        assert second.images.equal(expected[1])
