"""A store that is corrected: one writer at a time, all changes or none, and nothing of others is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.console import UserError
from imagestore.mending.open_to_mend import open_to_mend
from imagestore.store.writer import Change, StoreWriter
from tests.helpers.commands import ROOT, environment
from tests.helpers.full_disks import mounted_tmpfs
from tests.helpers.mended_stores import BY_FOLDER, PHOTOS, bytes_of, heuristic, labels_of, mend
from tests.helpers.stored_images import hidden_files
from tests.helpers.written_stores import add_images

KILLS = 15
COMMANDS = [
    ["mv", "all.h5", "red/*", "rose/"],
    ["rm", "all.h5", "red/*"],
    ["add", "all.h5", "new.jpg", "rose/"],
    ["rename-label", "all.h5", "red", "rose"],
]


@pytest.fixture(autouse=True)
def _a_new_image(made: Path) -> None:
    (made / "new.jpg").write_bytes(PHOTOS[0][1] + b"new")


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_one_writer_at_a_time(store, words):
    before = store.read_bytes()
    with StoreWriter(store):  # as sort and partition have it
        done = mend(*words)
        assert done.status == 1 and "is writing it" in done.err and done.err.count("\n") == 1
        assert mend(*words, "--dry-run").status == 0
    assert store.read_bytes() == before
    with open_to_mend(store, dry_run=False):
        done = heuristic("partition", "a.tar", store, "x.h5", 0.5, *BY_FOLDER)
        assert done.status == 1 and "is writing it" in done.err
        assert "is writing it" in mend(*words).err
    assert mend(*words).status == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, UserError, OSError])
def test_an_error_leaves_the_old_store_alone(store, made, error):
    before = store.read_bytes()
    with pytest.raises(error), open_to_mend(store, dry_run=False) as (_, writer):
        writer.mend([Change(0, None)])
        assert len(hidden_files(made)) == 3  # the lock, the new file and its journal
        raise error("x")
    assert store.read_bytes() == before and hidden_files(made) == []


def test_images_of_a_killed_run_stay_for_the_next_run(store, made):
    with StoreWriter(store) as writer:
        add_images(writer, {("red", b"killed.jpg"): b"bytes" * 100})  # and does not publish them
    assert mend("mv", store, "02.jpg", "rose/").status == 0
    assert "killed.jpg" not in labels_of(store) and len(hidden_files(made)) == 2
    done = heuristic("sort", "a.tar", store, 1, 1, *BY_FOLDER)
    assert "taken over from an interrupted run: 1 image" in done.err
    assert labels_of(store)["killed.jpg"] == "red" and labels_of(store)["photos/red/02.jpg"] == "rose"
    assert hidden_files(made) == []


def test_a_killed_run_brings_no_removed_image_back(store, made):
    """The run was to bring it back by --again; without that, the next run leaves it out."""
    mend("rm", store, "02.jpg")
    with StoreWriter(store) as writer:
        add_images(writer, {("red", b"photos/red/02.jpg"): PHOTOS[2][1]})
    assert heuristic("sort", "a.tar", store, 1, 1, *BY_FOLDER).status == 0
    assert "photos/red/02.jpg" not in labels_of(store) and hidden_files(made) == []


def test_a_change_by_another_tool_is_not_overwritten(store, made):
    message = "another tool changed it during this run; nothing of this run is in it"
    with pytest.raises(UserError, match=message), open_to_mend(store, dry_run=False) as (_, writer):
        writer.mend([Change(0, None)])
        with h5py.File(store, "r+") as file:
            file["red/theirs.jpg"] = np.zeros(5, np.uint8)
        writer.publish()
    assert len(labels_of(store)) == 13 and hidden_files(made) == []


@pytest.mark.slow
def test_a_full_disk_leaves_the_old_store(tmp_path, store):
    folder = tmp_path / "disk"
    folder.mkdir()
    with mounted_tmpfs(folder, "size=3m"):
        path = folder / "all.h5"
        path.write_bytes(store.read_bytes())
        (folder / "filler").write_bytes(bytes(3 * 2**20 - 2 * path.stat().st_size))
        before = path.read_bytes()
        done = mend("mv", path, "red/*", "rose/")
        assert done.status == 1 and "No space left" in done.err and done.err.count("\n") == 1
        assert path.read_bytes() == before and sorted(os.listdir(folder)) == ["all.h5", "filler"]
        (folder / "filler").unlink()
        assert mend("mv", path, "red/*", "rose/").status == 0
    assert len(bytes_of(store)) == 12


@pytest.mark.slow
def test_sigkill_leaves_the_old_store_or_the_new_one(tmp_path, store):
    program = ROOT / "tests" / "helpers" / "killed_mends.py"
    folder = tmp_path / "killed"
    folder.mkdir()
    cache = environment({"XDG_CACHE_HOME": str(folder / "cache")})
    done = subprocess.run(
        [sys.executable, program, store, folder, str(KILLS), "5"],
        capture_output=True, text=True, timeout=280, env=cache,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{KILLS} kills of 4 commands" in done.stdout
