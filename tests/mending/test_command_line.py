"""The command line of mv, rm, add and rename-label."""

from __future__ import annotations

import json
import subprocess
import sys

import h5py
import pytest

from tests.helpers.commands import ROOT
from tests.helpers.mended_stores import mend
from tests.helpers.small_stores import COLOURS, picture


@pytest.mark.parametrize("command", ["mv", "rm", "add", "rename-label"])
def test_help_has_an_example(command):
    done = mend(command, "--help")
    assert done.status == 0 and f"\n  ./h5vfs.py {command} train.h5 " in done.out and "--dry-run" in done.out


def test_help_loads_nothing_slow():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", ROOT / "h5vfs.py", "mv", "--help"],
        capture_output=True, text=True, timeout=120,
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


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        (["mv", "all.h5", "02.jpg", "05.jpg", "00.jpg", "blue/"], {"relabelled": 2, "unchanged": 1}),
        (["mv", "all.h5", "--from", "table.csv"], {"relabelled": 1, "left out": 1}),
        (["rm", "all.h5", "02.jpg", "--dry-run"], {"removed": 1}),
        (["add", "all.h5", "new.jpg", "red/"], {"added": 1}),
        (["rename-label", "all.h5", "red", "scarlet"], {"relabelled": 4}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_summary_in_json_has_what_was_counted(made, words, counts):
    (made / "table.csv").write_text("name,label\n02.jpg,green\nnone.jpg,green\n")
    (made / "new.jpg").write_bytes(picture(COLOURS["red"], 99, (24, 16)))
    done = mend(*words, "--json-summary", "s.json")
    summary = json.loads((made / "s.json").read_text())
    assert (done.status, summary["status"], summary["command"]) == (0, 0, "h5vfs")
    assert {name: count for name, count in summary["counts"].items() if count} == counts
    assert summary["images"] == next(iter(counts.values()))
    assert summary["outputs"] == ([] if "--dry-run" in words else ["all.h5"])
    assert "peak memory" not in done.err  # the verbs have a last line of their own


def test_a_summary_tells_that_an_image_stays(made):
    with h5py.File("all.h5", "r+") as file:
        file["red/02.jpg"][-1] ^= 1  # damaged
    done = mend("mv", "all.h5", "02.jpg", "blue/", "--json-summary", "s.json")
    summary = json.loads((made / "s.json").read_text())
    assert done.status == summary["status"] == 1 and summary["counts"]["failed"] == 1
    assert mend("rm", "all.h5", "none.jpg", "--json-summary", "s.json").status == 1
    assert "none.jpg" in json.loads((made / "s.json").read_text())["error"]
