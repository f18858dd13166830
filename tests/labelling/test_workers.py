"""Workers: real processes that label images, are killed and end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagestore.colour.sample_pixels import decode_small
from imagestore.labelling import workers as workers_module
from imagestore.labelling.workers import (
    BATCH_BYTES,
    BATCH_IMAGES,
    BATCHES_AHEAD,
    BYTES_UNDER_WAY,
    Labelled,
    Undecodable,
    Workers,
    label_image,
)
from tests.helpers.commands import ROOT, environment
from tests.helpers.small_stores import COLOURS, picture
from tests.helpers.stored_images import archive_images

PATIENCE = 120  # seconds


@pytest.fixture(scope="module")
def images() -> list[tuple[int, bytes]]:
    """150 small pictures, numbered."""
    colours = list(COLOURS.values())
    return [(i, picture(colours[i % len(colours)], seed=i, size=(32, 24))) for i in range(150)]


def worker_pids() -> list[int]:
    """The child processes of this process."""
    return [process.pid for process in multiprocessing.active_children()]


def is_alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# ----- results -----


def test_results_are_those_of_this_process(images):
    with Workers(2) as workers:
        for _, data, result in workers.label(images[:20]):
            expected = label_image(data)
            assert isinstance(result, Labelled) and isinstance(expected, Labelled)
            assert result.label == expected.label
            assert result.palette.tobytes() == expected.palette.tobytes()


def test_undecodable_images_come_with_a_reason():
    with Workers(1) as workers:
        [(key, data, result)] = workers.label([("key", b"no image")])
    assert (key, data) == ("key", b"no image")
    assert isinstance(result, Undecodable) and result.reason


def test_order_is_kept_if_a_worker_is_slower(images):
    """One worker is stopped for a moment. Meanwhile the other worker labels later batches."""
    with Workers(2) as workers:
        slow = worker_pids()[0]
        os.kill(slow, signal.SIGSTOP)
        timer = threading.Timer(0.3, os.kill, (slow, signal.SIGCONT))
        timer.start()
        keys = [key for key, _, _ in workers.label(images)]
        timer.join()
    assert keys == [key for key, _ in images]


def test_nothing_to_label():
    with Workers(2) as workers:
        assert list(workers.label([])) == []


def test_workers_label_several_series(images):
    with Workers(2) as workers:
        for start in (0, 50, 100):
            series = images[start : start + 50]
            assert [key for key, _, _ in workers.label(series)] == [key for key, _ in series]


# ----- what is under way -----


def count_read_before_first_result(workers: Workers, data: bytes, limit: int, count: int) -> int:
    """How many of `count` copies of an image are read before the first result comes.

    The workers are stopped until `limit` images are read. If `label` has this limit, it waits for them
    then. If it has no limit, it reads on before they can label a batch.
    """
    pids = worker_pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    read = 0

    def reading() -> Iterator[tuple[int, bytes]]:
        nonlocal read
        for i in range(count):
            read += 1
            if read == limit:
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
            yield i, data

    results = workers.label(reading())
    next(results)
    read_before_first = read
    assert len(list(results)) == count - 1
    return read_before_first


def test_number_of_batches_under_way_is_bounded(images):
    limit = (2 * (1 + BATCHES_AHEAD) + 1) * BATCH_IMAGES
    with Workers(2) as workers:
        assert count_read_before_first_result(workers, images[0][1], limit, 4 * limit) == limit


def test_size_of_batches_under_way_is_bounded():
    image = b"no image" * (BATCH_BYTES // 8)  # a batch by itself
    limit = BYTES_UNDER_WAY // len(image) + 1
    with Workers(8) as workers:
        assert limit < 8 * (1 + BATCHES_AHEAD), "else the number of batches would decide"
        assert count_read_before_first_result(workers, image, limit, 2 * limit) == limit


# ----- errors and deaths -----


def test_an_error_comes_after_all_images_before_it(images):
    def breaking_off() -> Iterator[tuple[int, bytes]]:
        yield from images[:21]
        raise ValueError("the archive breaks off")

    keys = []
    with Workers(2) as workers:
        with pytest.raises(ValueError, match="the archive breaks off"):
            for key, _, _ in workers.label(breaking_off()):
                keys.append(key)
        assert keys == list(range(21))
        assert len(list(workers.label(images))) == len(images), "the workers can go on"


def test_a_killed_worker_costs_nothing(images):
    """The worker has a batch when it is killed. It is stopped first, so that it cannot finish the batch."""

    def reading() -> Iterator[tuple[int, bytes]]:
        yield from images[:40]
        os.kill(victim, signal.SIGKILL)
        yield from images[40:]

    with Workers(2) as workers:
        victim = worker_pids()[0]
        os.kill(victim, signal.SIGSTOP)
        results = list(workers.label(reading()))
        assert len(worker_pids()) == 2 and victim not in worker_pids(), "another worker takes its place"
    assert [key for key, _, _ in results] == [key for key, _ in images]
    assert all(isinstance(result, Labelled) for _, _, result in results)


def test_an_image_that_kills_its_worker_costs_only_itself(sample, monkeypatch):
    deadly = b"this image kills its worker"
    monkeypatch.setattr(
        workers_module, "decode_small", lambda data: os._exit(9) if data == deadly else decode_small(data)
    )
    pictures = list(archive_images(sample).items())
    pictures.insert(20, ("deadly.jpg", deadly))
    with Workers(2) as workers:
        results = list(workers.label(pictures))
    assert [name for name, _, _ in results] == [name for name, _ in pictures]
    assert [name for name, _, result in results if isinstance(result, Undecodable)] == ["deadly.jpg"]


# ----- the end -----


def test_workers_end_with_the_context(images):
    with Workers(3) as workers:
        pids = worker_pids()
        next(workers.label(images))
        assert len(pids) == 3 and all(map(is_alive, pids))
    assert not any(map(is_alive, pids))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_workers_ignore_signals_for_their_parent(images, signum):
    with Workers(2) as workers:
        list(workers.label(images[:40]))  # both have started to serve
        pids = worker_pids()
        for pid in pids:
            os.kill(pid, signum)
        assert len(list(workers.label(images))) == len(images)
        assert sorted(worker_pids()) == sorted(pids)


def test_workers_end_if_their_parent_is_killed():
    """One worker is idle, the other is in the middle of an image."""
    source = """
import multiprocessing, sys, threading, time
from imagestore.labelling import workers as workers_module
workers_module.decode_small = lambda data: (print("busy", flush=True), time.sleep(60))
workers = workers_module.Workers(2)
print(*[process.pid for process in multiprocessing.active_children()], flush=True)
list(workers.label([(0, b"image")]))
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env=environment({"PYTHONPATH": str(ROOT)}),
    )  # fmt: skip
    with parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert parent.stdout.readline() == "busy\n"
        assert len(pids) == 2 and all(map(is_alive, pids))
        parent.kill()
    wait_until(lambda: not any(map(is_alive, pids)))
