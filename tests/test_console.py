"""console.py: exit statuses, one-line errors, signals and progress, in processes of their own."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import textwrap
from pathlib import Path

import pytest

from imagestore.processes import cpu_count
from tests.helpers.commands import ROOT, environment

PROGRAM = """
import argparse, os, signal, sys, time
from imagestore import console
from imagestore.console import UserError, note, progress
from imagestore.processes import stopping

def command(arguments):
{body}

sys.exit(console.main("tool", argparse.ArgumentParser("tool"), command))
"""


def start(body: str, env: dict[str, str | None] | None = None, **options: object) -> subprocess.Popen:
    """A process that runs `body` as a command does, under console.main."""
    source = PROGRAM.format(body=textwrap.indent(textwrap.dedent(body), "    "))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    environ = environment({"PYTHONPATH": str(ROOT), "IMAGESTORE_DEBUG": None, **(env or {})})
    return subprocess.Popen([sys.executable, "-c", source], text=True, env=environ, **pipes)


def run_body(body: str, env: dict[str, str | None] | None = None) -> tuple[int, str, str]:
    process = start(body, env)
    output, messages = process.communicate(timeout=30)
    return process.returncode, output, messages


@pytest.mark.parametrize(("body", "status"), [("pass", 0), ("return 0", 0), ("return 7", 7)])
def test_the_status_is_what_the_command_returns(body: str, status: int) -> None:
    assert run_body(body) == (status, "", "")


def test_an_error_is_one_line() -> None:
    status, output, messages = run_body('raise UserError("no such file: x.h5:\\n  give another")')
    assert (status, output) == (1, "")
    assert messages == "tool: error: no such file: x.h5: give another\n"


def test_an_error_of_the_system_names_the_file() -> None:
    status, _, messages = run_body('open("/nowhere/at/all")')
    assert status == 1
    assert messages == "tool: error: /nowhere/at/all: No such file or directory\n"


def test_a_full_disk_says_what_to_do() -> None:
    status, _, messages = run_body('with open("/dev/full", "w") as file: file.write("x")')
    assert status == 1
    assert "No space left on device" in messages
    assert "run the same command again" in messages
    assert len(messages.splitlines()) == 1


def test_what_nobody_foresaw_is_one_line_and_debugging_shows_where() -> None:
    status, _, messages = run_body("return {}['missing']")
    assert (status, len(messages.splitlines())) == (1, 1)
    assert "KeyError" in messages
    status, _, messages = run_body("return {}['missing']", {"IMAGESTORE_DEBUG": "1"})
    assert status == 1
    assert "Traceback" in messages


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_and_cleans_up(signum: signal.Signals, status: int) -> None:
    process = start("""
        try:
            print("ready", flush=True)
            time.sleep(30)
        finally:
            print("cleaned up")
    """)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signum)
    output, messages = process.communicate(timeout=30)
    assert (process.returncode, output) == (status, "cleaned up\n")
    assert len(messages.splitlines()) == 1
    assert "Traceback" not in messages


@pytest.mark.parametrize("script", ["train_model.py", "classify.py"])
def test_an_interrupt_during_the_imports_ends_without_a_word(script: str, tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = subprocess.run(
        [sys.executable, ROOT / script, "--help"], capture_output=True, text=True, timeout=30,
        env=environment({"PYTHONPATH": str(tmp_path)}),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_a_pipe_closed_early_is_no_error() -> None:
    process = start('for i in range(100_000): print("line", i)')
    assert process.stdout.readline() == "line 0\n"
    process.stdout.close()
    assert process.wait(timeout=30) == 0
    assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 1)]
)
def test_stopping_lets_the_work_in_hand_end(signum: signal.Signals, status: int) -> None:
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
    output, _ = process.communicate(timeout=30)
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
    process.communicate(timeout=30)
    assert process.returncode == 130


def test_progress_in_a_log_is_lines_and_not_results() -> None:
    status, output, messages = run_body("""
        console.SECONDS_BETWEEN_LOG_LINES = 0
        with progress(4, "labelling") as bar:
            bar.update(3)
            bar.update()
    """)
    assert (status, output) == (0, "")
    first, second = messages.splitlines()
    assert first.startswith("labelling: 3 of 4 images, ")
    assert second.startswith("labelling: 4 of 4 images, ")
    assert "\r" not in messages


@pytest.mark.parametrize(("seconds", "bar"), [(0.5, True), (0, False)])
def test_progress_on_a_terminal_is_a_bar_unless_it_is_done_at_once(seconds: float, bar: bool) -> None:
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    process = start(
        f'with progress(4, "labelling") as bar: bar.update(3); time.sleep({seconds}); bar.update(1)\n'
        'print("done", file=sys.stderr)',
        stderr=terminal,
    )
    assert process.wait(timeout=30) == 0
    shown = os.read(main, 10_000).decode()
    os.close(main)
    os.close(terminal)
    assert ("labelling" in shown) == ("\r" in shown.replace("\r\n", "")) == bar


def test_cpu_count_honours_affinity_and_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_log_that_cannot_be_written_costs_no_results() -> None:
    with open("/dev/full", "w") as full:
        process = start('note("lost"); print("kept")', stderr=full)
        output, _ = process.communicate(timeout=30)
    assert (process.returncode, output) == (0, "kept\n")
