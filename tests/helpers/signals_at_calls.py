"""Scripts that send themselves a signal at a chosen call of a function of their own.

A signal from outside could come too late, or too early, on a busy machine.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.helpers.commands import ROOT, environment

SECONDS_TO_WAIT = 120
PROGRAM = """
import importlib, os, pkgutil, sys

script, function, left, signum = importlib.import_module(sys.argv[1]), *sys.argv[2:5]
place, name = function.rsplit(".", 1)
place, left, signum = pkgutil.resolve_name(place), int(left), int(signum)
function = getattr(place, name)

def call(*arguments, **named):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signum)
    return function(*arguments, **named)

setattr(place, name, call)
sys.argv[:5] = [script.__file__]
sys.exit(script.main())
"""


def start(
    script: str, function: str, number: int, signum: int, arguments: list[object], cwd: Path
) -> subprocess.Popen:
    """Start a script of the checkout ("h5vfs"), which gets the signal at call `number` of the function.

    The function is named by its module and name, and may be a method.
    """
    words = [sys.executable, "-c", PROGRAM, script, function, number, int(signum), *arguments]
    return subprocess.Popen(
        list(map(str, words)), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment({"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cwd / "cache")}),
    )  # fmt: skip


def run(*arguments: object) -> tuple[int, str]:
    """As `start`, to the end: the exit status, and standard error."""
    with start(*arguments) as process:
        try:
            _, messages = process.communicate(timeout=SECONDS_TO_WAIT)
        finally:
            process.kill()
    return process.returncode, messages


def wait_until_stopped(process: subprocess.Popen) -> None:
    """Wait until a process has been stopped by SIGSTOP. Fails if it ends before."""
    deadline = time.monotonic() + SECONDS_TO_WAIT
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
