"""The walk of pack and unpack: its order, entries that cannot be read, --include and --exclude."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagestore.tools.copy_report import CopyReport
from imagestore.tools.copy_walk import walk
from imagestore.tools.globs import Globs
from imagestore.tools.pack import DiskEntry, pack
from imagestore.tools.unpack import unpack
from tests.helpers.commands import Run
from tests.helpers.folders import regular_files


def test_a_folder_comes_before_its_contents_and_files_first(folder: Path):
    paths = [entry.path.decode() for entry in walk(DiskEntry(bytes(folder), b""), Globs(), CopyReport())]
    assert paths == [
        "", "root.txt", "to-folder",
        "blue", "blue/far", "blue/hard.jpg", "blue/near", "blue/nothing", "blue/nowhere",
        "empty",
        "red", "red/a.jpg",
        "red/deep", "red/deep/b.jpg",
    ]  # fmt: skip


def test_a_folder_is_yielded_only_if_a_glob_asks_for_it(folder: Path):
    entries = walk(DiskEntry(bytes(folder), b""), Globs(include=["deep", "root.*"]), CopyReport())
    assert [entry.path for entry in entries] == [b"root.txt", b"red/deep", b"red/deep/b.jpg"]


def test_entries_that_disappear_are_reported(folder: Path, capsys: pytest.CaptureFixture[str]):
    report = CopyReport()
    entries = walk(DiskEntry(bytes(folder), b""), Globs(exclude=["nowhere"]), report)
    while next(entries).path != b"blue/far":  # the names in blue are read by now
        pass
    for name in ("blue/near", "blue/nowhere", "red/a.jpg", "red/deep/b.jpg"):
        (folder / name).unlink()
    (folder / "red/deep").rmdir()
    (folder / "red").rmdir()
    left = [entry.path for entry in entries]
    assert left == [b"blue/hard.jpg", b"blue/nothing", b"empty", b"red"]
    assert report.failures == 2
    assert capsys.readouterr().err.splitlines() == [
        "h5vfs: blue/near: No such file or directory",
        "h5vfs: red: No such file or directory",
    ]


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (["*.jpg"], [], {"red/a.jpg", "red/deep/b.jpg", "blue/hard.jpg"}),
        (["red"], [], {"red/a.jpg", "red/deep/b.jpg"}),
        (["red/"], ["deep"], {"red/a.jpg"}),
        ([], ["./red/a*", "blue"], {"red/deep/b.jpg", "root.txt"}),
        (["no such thing"], [], set()),
    ],
)
def test_globs_choose(
    folder: Path, tmp_path: Path, include: list[str], exclude: list[str], expected: set[str]
):
    pack(folder, tmp_path / "some.h5", include, exclude)
    unpack([tmp_path / "some.h5"], tmp_path / "some")
    pack(folder, tmp_path / "all.h5")
    unpack([tmp_path / "all.h5"], tmp_path / "chosen", include, exclude)
    assert regular_files(tmp_path / "some") == regular_files(tmp_path / "chosen") == expected


def test_globs_on_the_command_line(run: Run, folder: Path, tmp_path: Path):
    run("h5vfs.py", "pack", folder, "some.h5", "--include", "red", "--include", "*.txt", "--exclude", "a.*")
    run("h5vfs.py", "unpack", "some.h5", "out", "--exclude", "root.*", "--exclude", "nothing")
    assert regular_files(tmp_path / "out") == {"red/deep/b.jpg"}
