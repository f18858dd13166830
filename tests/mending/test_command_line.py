"""The command line of mv, rm, add and rename-label."""

from __future__ import annotations

import subprocess
import sys

import pytest

from imagestore.mending.command_line import MENDING
from tests.helpers.commands import ROOT
from tests.helpers.mended_stores import mend


@pytest.mark.parametrize("command", MENDING)
def test_help_has_an_example(command):
    done = mend(command, "--help")
    assert done.status == 0 and f"\n  ./h5vfs.py {command} train.h5 " in done.out and "--dry-run" in done.out


def test_help_loads_nothing_slow():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", ROOT / "h5vfs.py", "mv", "--help"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert done.returncode == 0 and not loaded & {"torch", "numpy", "h5py", "PIL", "matplotlib"}


def test_options_stand_anywhere(store):
    for words in (["--dry-run", store, "02.jpg", "x/"], [store, "02.jpg", "--dry-run", "x/"]):
        assert mend("mv", *words).out.startswith("red/02.jpg -> x/\n")


@pytest.mark.parametrize(
    "words", [["rm"], ["rm", "a.h5"], ["add", "a.h5", "x/"], ["rename-label", "a.h5", "x"]]
)
def test_too_few_arguments_have_status_2(words):
    assert mend(*words).status == 2
