"""Work that threads do ahead of time: its order, its errors, and the end of its threads."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch

from imagestore.loading.ahead import run_ahead
from tests.helpers.commands import ROOT, environment

Job = tuple[int, list[Callable[[], int]]]


def jobs(count: int, work: Callable[[int, int], int]) -> Iterator[Job]:
    return ((job, [partial(work, job, task) for task in range(3)]) for job in range(count))


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_results_come_in_the_order_of_the_jobs(workers: int) -> None:
    def work(job: int, task: int) -> int:
        time.sleep(0.002 * ((job * 7 + task) % 3))
        return 10 * job + task

    expected = [(job, [10 * job + task for task in range(3)]) for job in range(20)]
    assert list(run_ahead(jobs(20, work), workers)) == expected
    assert list(run_ahead(iter(()), workers)) == []


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_each_worker_is_a_thread(workers: int) -> None:
    """All of them work at the same time: each waits for the others."""
    meeting = threading.Barrier(workers, timeout=120)
    ((_, places),) = run_ahead([(0, [meeting.wait] * workers)], workers)
    assert sorted(places) == [*range(workers)]


def test_only_so_many_jobs_are_begun_ahead() -> None:
    begun: list[int] = []

    def counted() -> Iterator[Job]:
        for job in jobs(100, lambda job, task: job):
            begun.append(job[0])
            yield job

    results = run_ahead(counted(), 2, ahead=3)
    assert begun == []
    next(results)
    assert len(begun) == 4
    results.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_the_error_of_a_task_is_raised(workers: int) -> None:
    def work(job: int, task: int) -> int:
        if (job, task) == (2, 1):
            raise ZeroDivisionError
        return job

    done = []
    with pytest.raises(ZeroDivisionError):
        for job, _ in run_ahead(jobs(9, work), workers):
            done.append(job)
    assert done in ([0, 1], [0], [])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_an_error_of_a_later_job_is_raised_at_once() -> None:
    failed = threading.Event()

    def work(job: int, task: int) -> int:
        if job == 3:
            failed.set()
            raise ZeroDivisionError
        return job

    def jobs_behind_the_error() -> Iterator[Job]:
        yield from jobs(3, work)
        yield 3, [partial(work, 3, 0)]
        assert failed.wait(120)
        yield from jobs(100, work)

    with pytest.raises(ZeroDivisionError):
        assert next(run_ahead(jobs_behind_the_error(), 2, ahead=4)) is None


def test_torch_uses_one_thread_in_each_of_them() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        ((_, numbers),) = run_ahead([(0, [torch.get_num_threads] * 4)], 2)
        assert numbers == [1] * 4
        assert torch.get_num_threads() == 3
        with ThreadPoolExecutor() as others:
            assert others.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)


def test_no_thread_can_be_started() -> None:
    """A limit of the address space stands for all limits."""
    code = """
import resource
from imagestore.console import UserError
from imagestore.loading.ahead import run_ahead
from pathlib import Path
used = int(Path("/proc/self/statm").read_bytes().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 20), -1))
try:
    list(run_ahead([(0, [int])], 2))
except UserError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120,
        env=environment({"PYTHONPATH": str(ROOT)}),
    )  # fmt: skip
    assert done.stdout == "can't start new thread: use fewer --workers\n", done.stderr
