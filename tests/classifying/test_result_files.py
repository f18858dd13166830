"""The files of a classification are there whole, or not at all."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from imagestore.classifying.answer import Answer, Guess, Picture, columns
from imagestore.classifying.result_files import result_files
from imagestore.processes import Stop

ANSWER = Answer(Picture("a.jpg", b"", None), (Guess("red", 1.0),))


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("features", [True, False])
def test_the_files_that_were_asked_for_are_written(tmp_path: Path, table: bool, features: bool) -> None:
    names = ["a.csv"] * table + ["f.npy"] * features
    paths = (tmp_path / "a.csv" if table else None, tmp_path / "f.npy" if features else None)
    with result_files(*paths, columns(1), Stop()) as files:
        assert files.paths == [tmp_path / name for name in names]
        if files.table:
            files.table.add(ANSWER)
        if files.features:
            files.features.add(np.ones((1, 2), np.float32))
    assert sorted(os.listdir(tmp_path)) == names


def test_a_stopped_run_writes_none_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    stop = Stop()
    with result_files(tmp_path / "a.csv", tmp_path / "f.npy", columns(1), stop) as files:
        files.table.add(ANSWER)
        stop.signum = signal.SIGTERM
    assert os.listdir(tmp_path) == []
    assert capsys.readouterr().err == (
        f"classify: stopped before the last image; not written: {tmp_path}/a.csv and {tmp_path}/f.npy\n"
    )
    with result_files(None, None, columns(1), stop):
        pass
    assert capsys.readouterr().err == ""


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        result_files(tmp_path / "a.csv", tmp_path / "f.npy", columns(1), Stop()),
    ):
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []
