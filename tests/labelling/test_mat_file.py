"""Numbers of MATLAB files."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from imagestore.console import UserError
from imagestore.labelling.mat_file import read_vectors

LABELS = np.array([[77, 1, 102]], np.uint8)


def test_rows_and_columns_of_whole_numbers_are_read(tmp_path):
    file = tmp_path / "a.mat"
    savemat(
        file,
        {"labels": LABELS, "column": LABELS.T.astype(float), "pi": [3.1, 2], "text": "x", "m": np.eye(2)},
    )
    vectors = read_vectors(file)
    assert {name: vector.tolist() for name, vector in vectors.items()} == {
        "labels": [77, 1, 102],
        "column": [77, 1, 102],
    }


def test_files_of_version_7_3_are_read(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["labels"] = LABELS.T
    assert read_vectors(tmp_path / "a.mat")["labels"].tolist() == [77, 1, 102]


@pytest.mark.parametrize("data", [b"", b"no MATLAB file", b"MATLAB 5.0 MAT-file" + bytes(200)])
def test_other_files_are_one_line(tmp_path, data):
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(UserError, match=r"a\.mat"):
        read_vectors(tmp_path / "a.mat")
