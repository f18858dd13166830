"""Processes: CPUs, signals, and children that end with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imagestore.processes import Stop, cpu_count, thread_count
from tests.helpers.commands import ROOT, environment
from tests.helpers.small_commands import start

SECONDS_TO_WAIT = 120


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_TO_WAIT
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def python(code: str) -> subprocess.Popen:
    """A Python process that runs `code`."""
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment({"PYTHONPATH": str(ROOT)}),
    )  # fmt: skip


# ----- signals -----


@pytest.mark.parametrize(
    ("signum", "status"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
        (signal.SIGUSR1, 1),
        (signal.SIGUSR2, 1),
        (signal.SIGXCPU, 1),
        (signal.SIGHUP, 1),
    ],
)
def test_a_signal_lets_the_current_work_end(signum: signal.Signals, status: int) -> None:
    process = start("""
        with stopping() as stop:
            print("ready", flush=True)
            while not stop.requested:
                time.sleep(0.01)
            print("published")
            return stop.status
    """)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signum)
    output, _ = process.communicate(timeout=120)
    assert (process.returncode, output) == (status, "published\n")


def test_a_second_interrupt_ends_at_once() -> None:
    process = start("""
        with stopping() as stop:
            print("ready", flush=True)
            while not stop.requested:
                time.sleep(0.01)
            print("stuck", flush=True)
            time.sleep(30)
    """)
    for line in ("ready\n", "stuck\n"):
        assert process.stdout.readline() == line
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130


def test_without_a_signal_no_stop_is_requested() -> None:
    assert not Stop().requested
    assert Stop().status == 0


def test_blocked_signals_arrive_after_the_block() -> None:
    process = python("""
import os, signal
from imagestore.processes import blocked
signal.signal(signal.SIGTERM, lambda *_: print("arrived", flush=True))
with blocked(signal.SIGTERM):
    os.kill(os.getpid(), signal.SIGTERM)
    print("inside", flush=True)
print("after", flush=True)
""")
    output, messages = process.communicate(timeout=SECONDS_TO_WAIT)
    assert (output.split(), messages) == (["inside", "arrived", "after"], "")


def test_a_signal_that_another_thread_takes_waits_too() -> None:
    process = python("""
import os, signal, threading, time
from imagestore.processes import blocked
signal.signal(signal.SIGTERM, lambda *_: print("arrived", flush=True))
end = threading.Event()
threading.Thread(target=end.wait).start()
with blocked(signal.SIGTERM):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.2)
    print("inside", flush=True)
print("after", flush=True)
end.set()
""")
    output, messages = process.communicate(timeout=SECONDS_TO_WAIT)
    assert (output.split(), messages) == (["inside", "arrived", "after"], "")


def test_an_ignored_interrupt_stays_ignored() -> None:
    process = python("""
import os, signal
from imagestore.processes import let_interrupts_end_python
signal.signal(signal.SIGINT, signal.SIG_IGN)
let_interrupts_end_python()
os.kill(os.getpid(), signal.SIGINT)
print("alive")
""")
    assert process.communicate(timeout=SECONDS_TO_WAIT) == ("alive\n", "")


# ----- CPUs -----


def test_the_cpu_count_obeys_affinity_and_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    allowed = os.sched_getaffinity(0)
    assert cpu_count() == len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert cpu_count() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    for share, expected in [("1", 1), ("1000", len(allowed)), ("", len(allowed)), ("0", len(allowed))]:
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", share)
        assert cpu_count() == expected


@pytest.mark.parametrize("processes", [1, 2, 1000])
def test_processes_of_torchrun_share_the_cpus(monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    alone = cpu_count()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    assert cpu_count() == max(alone // processes, 1)


@pytest.mark.parametrize(("value", "expected"), [("3", 3), ("2,4", 2), ("", 1), ("many", 1), ("0", 1)])
def test_omp_num_threads_is_obeyed(monkeypatch: pytest.MonkeyPatch, value: str, expected: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert thread_count(workers=1) == expected


def test_no_more_threads_than_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert thread_count(workers=10_000) == cpu_count()
    assert thread_count(workers=0) == 1


@pytest.mark.parametrize("chosen", [None, "2"])
def test_numpy_is_loaded_without_threads(chosen: str | None) -> None:
    code = """
import os, sys
from imagestore.processes import load_numpy_without_threads
load_numpy_without_threads()
assert "numpy" in sys.modules
print(len(os.listdir("/proc/self/task")), os.environ.get("OPENBLAS_NUM_THREADS"))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, timeout=SECONDS_TO_WAIT,
        env=environment({"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": chosen}),
    )  # fmt: skip
    threads, variable = done.stdout.split()
    assert variable == str(chosen)
    assert threads == "1" if chosen is None else int(threads) <= int(chosen)


# ----- child processes -----


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or dead and not yet waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_child_ends_when_its_parent_is_killed() -> None:
    process = python("""
import os, signal, time
from imagestore.processes import end_with_parent
parent = os.getpid()
child = os.fork()
if child == 0:
    end_with_parent(signal.SIGKILL, parent)
    print(os.getpid(), flush=True)
time.sleep(60)
""")
    child = int(process.stdout.readline())
    assert not has_ended(child)
    process.kill()
    process.wait(timeout=SECONDS_TO_WAIT)
    wait_until(lambda: has_ended(child))


def test_a_child_whose_parent_is_gone_ends_at_once() -> None:
    process = python("""
import os, signal
from imagestore.processes import end_with_parent
end_with_parent(signal.SIGKILL, os.getpid())  # its parent is another process
print("alive")
""")
    assert process.communicate(timeout=SECONDS_TO_WAIT) == ("", "")
    assert process.returncode == 1


def test_a_process_keeps_only_the_files_it_names(tmp_path: Path) -> None:
    process = python(f"""
import os
from imagestore.processes import keep_only
files = [os.open({str(tmp_path)!r} + f"/{{i}}", os.O_RDWR | os.O_CREAT) for i in range(9)]
keep_only(files[7], files[2])
for i, descriptor in enumerate(files):
    try:
        os.write(descriptor, b"kept")
    except OSError:
        pass
print("lost")
""")
    assert process.communicate(timeout=SECONDS_TO_WAIT) == ("", "")
    written = [path.name for path in sorted(tmp_path.iterdir()) if path.read_bytes()]
    assert written == ["2", "7"]
