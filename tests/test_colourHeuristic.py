"""The command line of colourHeuristic.py: what it refuses, and how it says so."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest
from PIL import Image

from tests.helpers.archives import pack
from tests.helpers.commands import ROOT
from tests.helpers.mended_stores import heuristic
from tests.helpers.stored_images import stored_images


def test_options_may_stand_between_archives_and_outputs(run, tmp_path):
    for name in ("red", "blue"):
        Image.new("RGB", (40, 40), name).save(tmp_path / f"{name}.png")
        data = (tmp_path / f"{name}.png").read_bytes()
        (tmp_path / f"{name}.tar").write_bytes(pack([(f"{name}.png", data)]))
    run(
        "colourHeuristic.py",
        "partition",
        "red.tar",
        "--seed",
        1,
        "blue.tar",
        "--workers",
        1,
        "a.h5",
        "b.h5",
        1,
    )
    run("colourHeuristic.py", "merge", "c.h5", "a.h5")
    assert sorted(stored_images(tmp_path / "a.h5")) == sorted(stored_images(tmp_path / "c.h5"))
    assert sorted(stored_images(tmp_path / "a.h5")) == ["blue.png", "red.png"]
    done = run("colourHeuristic.py", "identify", "red.tar", "--json", "red.png")
    assert '"red.png"' in done.stdout
    assert "red" in run("colourHeuristic.py", "summary", "a.h5", "--csv", "c.h5").stdout
    assert "2 files" in run("h5vfs.py", "verify", "a.h5", "--follow-external", "c.h5").stdout
    run("h5vfs.py", "unpack", "a.h5", "--include", "*.png", "c.h5", "out")
    assert len(list((tmp_path / "out").rglob("*.png"))) == 4


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--unlabelled", "x"], "--unlabelled goes with other --labels than colours"),
        (["--class-names", "x"], "--class-names goes with other --labels than colours"),
        (["--labels", "folder", "--label-column", "x"], "--label-column goes with --labels FILE"),
        (["--labels", "source", "--name-column", "x"], "--name-column goes with --labels FILE or"),
        (["--no-palette"], "--no-palette decodes no image: say with --labels"),
    ],
)
def test_flags_that_do_not_fit_the_labels_are_refused(flags, message):
    done = heuristic("partition", "a.tar", "a.h5", "b.h5", 1, *flags)
    assert done.status == 2 and f"error: {message}" in done.err


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        (["sort", "none.tgz", "s.h5", 5, 5], 1, "none.tgz"),
        (["sort", "text.tgz", "s.h5", 5, 5], 1, "text.tgz"),
        (["sort", "noimage.tar", "s.h5", 5, 5], 1, "noimage.tar"),
        (["partition", "noimage.tar", "s.h5", "t.h5", 0.5], 1, "noimage.tar"),
        (["sort", "red.tar", "text.tgz", 5, 5], 1, "not an HDF5 file"),
        (["sort", "red.tar", "s.h5", 0, 5], 2, "COUNT"),
        (["sort", "red.tar", "s.h5", 5, -1], 2, "CHUNK"),
        (["sort", "red.tar", "s.h5", "many", 5], 2, "COUNT"),
        (["partition", "red.tar", "s.h5", "t.h5", 1.5], 2, "FRACTION"),
        (["partition", "red.tar", "s.h5", "t.h5", "nan"], 2, "FRACTION"),
        (["partition", "red.tar", "s.h5", "s.h5", 0.5], 1, "twice"),
        (["sort", "red.tar", "s.h5", 5, 5, "--shard", "3/2"], 2, "--shard"),
        (["sort", "red.tar", "s.h5", 5, 5, "--shard", "auto"], 2, "Slurm"),
        (["merge", "s.h5", "none.h5"], 1, "none.h5"),
        (["merge", "s.h5", "none*.h5"], 1, "none*.h5"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(run, tmp_path, arguments, status, words):
    (tmp_path / "text.tgz").write_text("no archive")
    (tmp_path / "noimage.tar").write_bytes(pack([("files.txt", b"nothing to see")]))
    Image.new("RGB", (40, 40), "red").save(tmp_path / "red.png")
    (tmp_path / "red.tar").write_bytes(pack([("red.png", (tmp_path / "red.png").read_bytes())]))
    before = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    done = run("colourHeuristic.py", *arguments, check=False)
    assert done.returncode == status and words in done.stderr and not done.stdout
    assert status == 2 or len(done.stderr.splitlines()) == 1, done.stderr
    after = {path.name: path.stat().st_size for path in tmp_path.iterdir() if path.name != "cache"}
    assert after == before


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("colourHeuristic.py", ("sort", "x.tgz", "", 3, 1)),
        ("colourHeuristic.py", ("merge", "", "a.h5")),
        ("h5vfs.py", ("unpack", "a.h5", "")),
        ("h5vfs.py", ("pack", "", "a.h5")),
        ("h5vfs.py", ("a.h5", "")),
        ("h5vfs.py", ("-u", "")),
    ],
)
def test_an_empty_path_is_refused(run, script, arguments):
    done = run(script, *arguments, check=False)
    assert done.returncode == 2 and "a path is empty: is a variable unset?" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("sort", "{sample}", "pipe", 3, 1),
        ("merge", "pipe", "{store}"),
        ("summary", "pipe"),
        ("identify", "pipe", "x"),
        ("show", "{store}", "-o", "pipe"),
    ],
    ids=["sort", "merge", "summary", "identify", "show"],
)
def test_a_pipe_in_place_of_a_file_is_refused(run, sample, sample_store, tmp_path, arguments):
    os.mkfifo(tmp_path / "pipe")
    filled_in = [str(argument).format(sample=sample, store=sample_store) for argument in arguments]
    done = run("colourHeuristic.py", *filled_in, check=False, timeout=120)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams(sample, tmp_path, closed):
    command = f"'{sys.executable}' '{ROOT}/colourHeuristic.py' sort '{sample}' a.h5 9 3 --index i {closed}"
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, timeout=120).returncode == 0
    assert len(stored_images(tmp_path / "a.h5")) == 9


def test_auto_refuses_a_step_of_zero(run, sample):
    array = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_ARRAY_TASK_STEP": "0"}
    done = run("colourHeuristic.py", "sort", sample, "a.h5", 3, 1, "--shard", "auto", env=array, check=False)
    assert done.returncode == 2 and "needs a Slurm array job" in done.stderr
