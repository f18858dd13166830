"""The command h5vfs.py: its arguments. Mounts are tested in tests/mount, the tools in tests/tools."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("store.h5",),
        ("store.h5", "mnt", "--"),
        ("--idle-timeout", "0", "store.h5", "mnt"),
        ("-u",),
        ("ls",),
        ("pack", "folder"),
    ],
)
def test_wrong_arguments_are_status_2(run, sample_store, tmp_path, arguments):
    (tmp_path / "store.h5").symlink_to(sample_store)
    done = run("h5vfs.py", *arguments, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("usage: h5vfs")


def test_options_may_stand_between_files_and_mountpoint(run, sample_store, tmp_path):
    done = run("h5vfs.py", sample_store, "--idle-timeout", "-1", tmp_path / "mnt", check=False)
    assert "--idle-timeout: must be more than 0" in done.stderr
    done = run("h5vfs.py", sample_store, "-f", sample_store, check=False)
    assert (done.returncode, done.stderr) == (
        1, f"h5vfs: error: {sample_store}: is no folder, so nothing can be mounted there\n",
    )  # fmt: skip
