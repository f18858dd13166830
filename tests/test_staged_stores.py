"""A copy on a scratch disk is told as the store that the user named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagestore.printed_commands import path_argument
from imagestore.staged_stores import VARIABLE, original_path, read_list, write_list

ORIGINALS = {
    "0/train.h5": Path("data/train.h5"),
    "1/train.h5": Path("/a b/line\nend/train.h5"),
    os.fsdecode(b"2/\xff.h5"): Path(os.fsdecode(b"\xff.h5")),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of copies, as on_scratch.py tells its program of it."""
    write_list(tmp_path / "copies", ORIGINALS)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "copies"))
    return tmp_path


def test_a_list_comes_back_as_it_was(folder: Path) -> None:
    assert read_list(folder / "copies") == ORIGINALS
    assert os.listdir(folder) == ["copies"]
    write_list(folder / "copies", {})
    assert read_list(folder / "copies") == {}


def test_each_copy_is_named_by_its_store(folder: Path) -> None:
    for copy, store in ORIGINALS.items():
        assert original_path(folder / copy) == path_argument(folder / copy) == str(store)


def test_other_paths_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [f"{folder}-2/0/train.h5", f"{folder}/3/x.h5", "0/train.h5", "part-*.h5"]
    assert [original_path(path) for path in others] == others
    (folder / "copies").unlink()
    assert original_path(folder / "0/train.h5") == f"{folder}/0/train.h5"
    monkeypatch.delenv(VARIABLE)
    assert original_path(folder / "0/train.h5") == f"{folder}/0/train.h5"
