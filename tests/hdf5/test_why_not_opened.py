"""What the user is told of a file that HDF5 does not open."""

from __future__ import annotations

import contextlib
import os
import resource
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.console import UserError
from imagestore.hdf5.open_hdf5 import open_hdf5
from tests.helpers.commands import Run
from tests.helpers.odd_stores import make_damaged
from tests.helpers.unfinished_files import IMAGES, make_crashed


def commands(store: Path) -> list[list[object]]:
    """A run of each command that opens a store."""
    return [
        ["h5vfs.py", "ls", store], ["h5vfs.py", "cat", store, "rose/1.jpg"], ["h5vfs.py", "verify", store],
        ["h5vfs.py", "unpack", store, "out"], ["h5vfs.py", store, "mnt"],
        ["colourHeuristic.py", "summary", store], ["colourHeuristic.py", "identify", store, "rose/1.jpg"],
        ["colourHeuristic.py", "show", store], ["colourHeuristic.py", "merge", "out.h5", store],
        ["train_model.py", store, "--device", "cpu"],
    ]  # fmt: skip


def messages(run: Run, store: Path) -> set[str]:
    """What all commands say of a store: each fails with one line."""
    found = set()
    for script, *arguments in commands(store):
        done = run(script, *arguments, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        found.add(done.stderr.partition(" error: ")[2].rstrip())
    return found


@pytest.mark.parametrize(("libver", "user_block"), [("latest", 0), ("v110", 2048)])
def test_a_file_that_is_marked_as_written_is_told_apart(run: Run, tmp_path, libver, user_block):
    store = make_crashed(tmp_path / "crashed by night.h5", libver=libver, user_block=user_block)
    (message,) = messages(run, store)
    assert message.startswith(f"{store}: is marked as open for writing: ")
    command = message.rpartition("run: ")[2]
    assert shlex.split(command) == ["h5clear", "-s", str(store)]
    if not shutil.which("h5clear"):
        return
    subprocess.run(shlex.split(command), check=True, timeout=120)
    assert f"{IMAGES} files" in run("h5vfs.py", "verify", store).stdout


def test_without_such_a_mark_both_causes_are_named(run: Run, tmp_path):
    store = make_crashed(tmp_path / "crashed.h5", flushed=False)
    assert messages(run, store) == {f"{store}: damaged, or its writer did not finish: copy or make it again"}


def test_what_a_crashed_writer_had_flushed_is_read(run: Run, tmp_path):
    store = make_crashed(tmp_path / "crashed.h5")
    assert f"{IMAGES} files" in run("h5vfs.py", "verify", store).stdout


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", " is empty: download or copy it again"), (b"\1\2" * 999, ": not an HDF5 file, or damaged")],
)
def test_another_file_is_not_said_to_be_unfinished(run: Run, tmp_path, content, reason):
    store = tmp_path / "a.h5"
    store.write_bytes(content)
    for command in ("ls", "verify"):
        done = run("h5vfs.py", command, store, check=False)
        assert (done.returncode, done.stderr) == (1, f"h5vfs: error: {store}{reason}\n")


def test_a_group_that_cannot_be_listed_may_be_unfinished(run: Run, tmp_path):
    store = tmp_path / "a.h5"
    with h5py.File(store, "w") as file:
        file["rose/1.jpg"] = np.zeros(300, np.uint8)
        address = h5py.h5o.get_info(file["rose"].id).addr
    with store.open("r+b") as raw:
        os.pwrite(raw.fileno(), b"\xff" * 16, address)
    done = run("colourHeuristic.py", "summary", store, check=False)
    assert f"{store}: damaged, or its writer did not finish (" in done.stderr


def test_too_many_open_files_are_not_damage(tmp_path):
    path = tmp_path / "a.h5"
    h5py.File(path, "w").close()
    most = max(int(name) for name in os.listdir("/proc/self/fd")) + 8
    with path.open() as file, fewer_descriptors(most):
        taken: list[int] = []
        try:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.dup(file.fileno()))
            with pytest.raises(UserError) as raised:
                open_hdf5(file.fileno(), path)
        finally:
            for descriptor in taken:
                os.close(descriptor)
    assert str(raised.value) == f"{path}: cannot be opened (Too many open files)"


@contextlib.contextmanager
def fewer_descriptors(most: int) -> Iterator[None]:
    """This process can open no descriptor of the number `most` or above."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_damaged_object_may_be_unfinished(run: Run, tmp_path):
    make_damaged(tmp_path / "a.h5", ["label/good"], ["label/bad"])
    done = run("h5vfs.py", "verify", "a.h5", check=False)
    assert done.returncode == 1
    assert done.stderr == "h5vfs: a.h5: label/bad: damaged, or its writer did not finish\n"
