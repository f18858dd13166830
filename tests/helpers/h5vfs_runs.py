"""Run h5vfs.py with wrong arguments, or as another user."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import ROOT, Run, environment

each_ending_signal = pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGHUP, 143)]
)


def check_error(run: Run, cwd: Path, arguments: list[str], message: str) -> None:
    """Check that h5vfs.py fails with one line, which contains `message`, and makes no file in `cwd`."""
    before = sorted(os.listdir(cwd))
    done = run("h5vfs.py", *arguments, check=False, cwd=cwd, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("h5vfs: error: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(os.listdir(cwd)) == before


def h5vfs_as_nobody(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    """Run h5vfs.py as a user without files; as the user of the tests if that is not root.

    The imports come first, since nobody may not be able to read this checkout.
    """
    script = (
        "import concurrent.futures.thread, ctypes, hashlib, locale, multiprocessing.connection, os, sys\n"
        "import h5vfs\n"
        "from imagestore.tools import pack, unpack; from imagestore.vfs import hdf5_source\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE: without it, root owns /proc/self\n"
        "sys.exit(h5vfs.main())"
    )
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120,
        env=environment({"PYTHONPATH": str(ROOT)}),
    )  # fmt: skip
