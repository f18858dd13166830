"""All tools: a wrong argument is one line on standard error, and nothing is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagestore.tools.pack import pack
from tests.helpers.commands import Run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pack", "missing", "x.h5"], "missing: no such folder"),
        (["pack", "folder/root.txt", "x.h5"], "is no folder"),
        (["pack", "folder", "missing/x.h5"], "no folder missing"),
        (["pack", "folder", "folder"], "is a folder"),
        (["unpack", "missing.h5", "x"], "missing.h5: no such file"),
        (["unpack", "folder/root.txt", "x"], "not an HDF5 file"),
        (["unpack", "good.h5", "folder/root.txt"], "is no folder"),
        (["unpack", "good.h5", "missing/x"], "no folder missing"),
        (["ls", "good.h5", "red/a.jpf"], "no such file: red/a.jpf: did you mean a.jpg?"),
        (["ls", "good.h5", "root.txt/x"], "root.txt is no folder"),
        (["cat", "good.h5", "red"], "red: is a folder"),
        (["cat", "good.h5", "blue/nowhere"], "no such file"),
        (["verify", "no*.h5"], "no file matches"),
    ],
)
def test_one_line_says_what_is_wrong(
    run: Run, folder: Path, tmp_path: Path, arguments: list[str], message: str
):
    pack(folder, tmp_path / "good.h5")
    before = sorted(os.listdir(tmp_path))
    done = run("h5vfs.py", *arguments, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("h5vfs: error: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("tool", ["ls", "verify", "unpack"])
def test_a_pipe_is_no_store(run: Run, tmp_path: Path, tool: str):
    os.mkfifo(tmp_path / "pipe.h5")
    done = run("h5vfs.py", tool, "pipe.h5", *["out"] * (tool == "unpack"), check=False, timeout=20)
    assert done.returncode == 1
    assert "pipe.h5: is a pipe or a device" in done.stderr
    assert len(done.stderr.splitlines()) == 1
