"""Features that are appended, and read by numpy."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from imagestore.classifying.features_file import features_file


@pytest.mark.parametrize("batches", [[1], [3, 4], [1] * 12, [70_000, 1]])
@pytest.mark.parametrize("columns", [1, 5, 1280])
def test_rows_are_those_that_were_added(tmp_path: Path, batches: list[int], columns: int) -> None:
    random = np.random.default_rng(1)
    columns = min(columns, 5) if sum(batches) > 1000 else columns
    rows = random.normal(size=(sum(batches), columns)).astype(np.float32)
    with features_file(tmp_path / "f.npy") as features:
        for part in np.split(rows, np.cumsum(batches)[:-1]):
            features.add(part)
        assert not (tmp_path / "f.npy").exists()
    found = np.load(tmp_path / "f.npy", mmap_mode="r")
    assert found.dtype == np.float32
    assert np.array_equal(found, rows)


def test_any_layout_in_memory_is_written_by_rows(tmp_path: Path) -> None:
    with features_file(tmp_path / "f.npy") as features:
        features.add(np.arange(6, dtype=np.float32).reshape(3, 2).T)
        features.add(np.ones((1, 6), np.float32)[:, ::2])
    assert np.load(tmp_path / "f.npy").tolist() == [[0, 2, 4], [1, 3, 5], [1, 1, 1]]


def test_features_that_were_not_finished_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), features_file(tmp_path / "f.npy") as features:
        features.add(np.ones((2, 2), np.float32))
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


def test_no_rows_are_an_empty_array(tmp_path: Path) -> None:
    with features_file(tmp_path / "f.npy"):
        pass
    assert np.load(tmp_path / "f.npy").shape == (0, 0)
