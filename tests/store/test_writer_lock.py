"""One writer at a time: a lock that a live process holds, and one whose holder is gone."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from imagestore.console import UserError
from imagestore.store import writer_lock
from tests.helpers.commands import ROOT, environment

STORE = Path("store.h5")
HOLD = """
import sys
from pathlib import Path
from imagestore.store import writer_lock
writer_lock.acquire(Path(sys.argv[1]), Path("store.h5"))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path) -> Path:
    return tmp_path / ".store.h5.lock"


@pytest.fixture
def other_process(lock) -> Iterator[subprocess.Popen]:
    """Another process that holds the lock and never releases it."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment({"PYTHONPATH": str(ROOT)}),
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def holder_of(lock: Path) -> dict:
    return json.loads(lock.read_text())


def test_a_lock_names_its_holder_until_it_is_released(lock):
    writer_lock.acquire(lock, STORE)
    assert holder_of(lock)["pid"] == os.getpid()
    assert os.listdir(lock.parent) == [lock.name]
    writer_lock.release(lock)
    assert os.listdir(lock.parent) == []


def test_a_live_process_keeps_its_lock(lock, other_process):
    with pytest.raises(UserError, match=f"store.h5: process {other_process.pid} on .* is writing it"):
        writer_lock.acquire(lock, STORE)
    os.utime(lock, (1, 1))  # on this host it is known to live, however long it is silent
    with pytest.raises(UserError, match="is writing it"):
        writer_lock.acquire(lock, STORE)
    assert holder_of(lock)["pid"] == other_process.pid
    assert os.listdir(lock.parent) == [lock.name]


def test_the_lock_of_a_killed_process_is_taken_over(lock, other_process):
    other_process.kill()
    other_process.wait(120)
    writer_lock.acquire(lock, STORE)
    assert holder_of(lock)["pid"] == os.getpid()
    assert os.listdir(lock.parent) == [lock.name]


def test_a_process_with_the_same_number_is_another(lock):
    """Numbers of processes are used again; the start time tells them apart."""
    writer_lock.acquire(lock, STORE)
    ours = holder_of(lock)
    lock.write_text(json.dumps(ours | {"started": "1"}))
    writer_lock.acquire(lock, STORE)
    assert holder_of(lock) == ours


@pytest.mark.parametrize("text", ['{"host": "another-node", "pid": 1, "started": "1"}', "", "{cut sho"])
def test_a_holder_that_cannot_be_seen_has_300_seconds(lock, text):
    lock.write_text(text)
    for silence in (0, 290):
        os.utime(lock, (time.time() - silence,) * 2)
        with pytest.raises(UserError, match="another-node" if text.endswith("}") else "another process"):
            writer_lock.acquire(lock, STORE)
        assert lock.read_text() == text
    os.utime(lock, (time.time() - 310,) * 2)
    writer_lock.acquire(lock, STORE)
    assert holder_of(lock)["pid"] == os.getpid()


def test_a_touched_lock_stays_alive(lock):
    lock.write_text('{"host": "another-node", "pid": 1, "started": "1"}')
    os.utime(lock, (1, 1))
    writer_lock.touch(lock)
    with pytest.raises(UserError, match="another-node"):
        writer_lock.acquire(lock, STORE)


def test_touch_and_release_work_without_a_lock(lock):
    writer_lock.touch(lock)
    writer_lock.release(lock)
    assert not lock.exists()


@pytest.mark.parametrize("name", [".store.h5.lock", ".[a*].h5.lock"])
def test_leftovers_of_killed_takers_are_removed(tmp_path, name):
    lock = tmp_path / name
    for ending in ("0123abcd", "takeover", "takeover.0123abcd"):
        lock.with_name(f"{lock.name}.{ending}").touch()
    lock.with_name(".store.h5.0123abcd.journal").touch()
    writer_lock.acquire(lock, STORE)
    assert set(os.listdir(tmp_path)) == {".store.h5.0123abcd.journal", name}


def test_a_lock_and_its_takeover_may_both_be_abandoned(lock):
    gone = json.dumps({"host": "another-node", "pid": 1, "started": "1"})
    for path in (lock, lock.with_name(f"{lock.name}.takeover")):
        path.write_text(gone)
        os.utime(path, (1, 1))
    writer_lock.acquire(lock, STORE)
    assert holder_of(lock)["pid"] == os.getpid()
    assert os.listdir(lock.parent) == [lock.name]


def test_the_longest_name_can_be_locked(tmp_path):
    """215 bytes, as a StoreWriter makes them; with characters that mean something in a glob."""
    lock = tmp_path / (".[" + "n" * 207 + "].lock")
    writer_lock.acquire(lock, STORE)
    with pytest.raises(UserError, match="is writing it"):
        writer_lock.acquire(lock, STORE)
    lock.write_text(json.dumps(holder_of(lock) | {"started": "1"}))
    writer_lock.acquire(lock, STORE)
    assert os.listdir(tmp_path) == [lock.name]


# ----- races -----


def race(lock: Path, rounds: int, begin: Barrier, end: Barrier, results: multiprocessing.Queue) -> None:
    """Try to take the lock once a round, at the same moment as the other processes; hold it to its end."""
    for number in range(rounds):
        begin.wait(120)
        time.sleep(random.random() * 0.0005)
        try:
            writer_lock.acquire(lock, STORE)
            has_it = True
        except UserError as error:
            has_it = False
            assert "takeover" not in str(error), "the file exists for a few milliseconds only"
        end.wait(120)
        if has_it:
            writer_lock.release(lock)
        results.put((number, has_it))


@pytest.mark.parametrize("abandoned", [True, False], ids=["taken over", "free"])
def test_of_several_takers_one_wins(lock, abandoned):
    processes, rounds = 6, 300
    context = multiprocessing.get_context("fork")
    begin, end = context.Barrier(processes + 1), context.Barrier(processes + 1)
    results = context.Queue()
    takers = [
        context.Process(target=race, args=(lock, rounds, begin, end, results), daemon=True)
        for _ in range(processes)
    ]
    for taker in takers:
        taker.start()
    writer_lock.acquire(lock, STORE)
    gone = json.dumps(holder_of(lock) | {"started": "1"})
    writer_lock.release(lock)
    for number in range(rounds):
        if abandoned:
            lock.write_text(gone)
        begin.wait(120)
        end.wait(120)
        winners = [results.get(timeout=120) for _ in range(processes)]
        assert sorted(winners) == [(number, False)] * (processes - 1) + [(number, True)]
        assert os.listdir(lock.parent) == []
    for taker in takers:
        taker.join(120)


def test_a_lock_that_changed_hands_meanwhile_is_kept(lock, other_process, monkeypatch):
    """A process reads an abandoned lock, and another takes it over before it can be removed."""
    theirs = lock.read_text()
    lock.write_text(json.dumps(json.loads(theirs) | {"started": "1"}))
    is_abandoned = writer_lock._is_abandoned

    def be_slow(*arguments: object) -> bool:
        answer = is_abandoned(*arguments)
        lock.write_text(theirs)
        return answer

    monkeypatch.setattr(writer_lock, "_is_abandoned", be_slow)
    with pytest.raises(UserError, match=f"process {other_process.pid}"):
        writer_lock.acquire(lock, STORE)
    assert lock.read_text() == theirs
