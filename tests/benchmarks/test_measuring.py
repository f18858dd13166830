"""Time and memory of programs."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from common.measuring import (
    PeakMemory,
    command,
    is_installed,
    median_of,
    memory_of,
    peak_memory,
    process_tree,
    seconds,
)  # fmt: skip

HOLD_MEMORY = """
import os, sys, time
readable, writable = os.pipe()
child = os.fork()
memory = bytearray(os.urandom(1 << 20)) * 64  # 64 MiB in parent and child each, with no copy
if child:
    os.read(readable, 1)
    sys.stdin.read()
    os.kill(child, 9)
    os.waitpid(child, 0)
else:
    os.write(writable, b"x")
    time.sleep(300)
"""


def test_the_median_leaves_out_what_runs_before():
    calls = []
    taken = median_of(lambda: calls.append("timed"), runs=3, before=lambda: calls.append("before"))
    assert calls == ["before", "timed"] * 3
    assert 0 <= taken < 60
    assert seconds(lambda: None) >= 0


def test_a_script_of_the_checkout_is_run_by_python():
    assert command("h5vfs.py", "--help").stdout.startswith("usage: h5vfs")
    assert command("echo", 1, "two").stdout == "1 two\n"
    with pytest.raises(subprocess.CalledProcessError):
        command("false")


def test_memory_of_all_descendants_is_added():
    """The program holds it until its standard input ends."""
    process = subprocess.Popen([sys.executable, "-c", HOLD_MEMORY], stdin=subprocess.PIPE)
    with process, PeakMemory(process.pid) as memory:
        deadline = time.monotonic() + 120
        while memory.peak < 128 << 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.stdin.close()
        assert process.wait(timeout=120) == 0
    assert 128 << 20 <= memory.peak < 256 << 20
    assert peak_memory([sys.executable, "-c", "import time; time.sleep(1)"]) > 0
    with pytest.raises(subprocess.CalledProcessError):
        peak_memory(["false"])


def test_the_tree_of_a_process_has_its_descendants():
    script = "sleep 30 & sleep 30 & echo; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True) as shell:
        shell.stdout.readline()
        pids = process_tree(shell.pid)
        os.killpg(shell.pid, 9)
    assert len(pids) == 3
    assert pids[0] == shell.pid
    assert memory_of(shell.pid) == 0


def test_a_missing_yardstick_is_named(capsys: pytest.CaptureFixture[str]):
    assert is_installed("sh")
    assert capsys.readouterr().err == ""
    assert not is_installed("no-such-program")
    assert capsys.readouterr().err == "no-such-program is not installed: left out of the comparison\n"
