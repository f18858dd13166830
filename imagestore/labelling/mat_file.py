"""Numbers and texts of MATLAB files, such as `imagelabels.mat` and `setid.mat` of the Oxford flowers."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from imagestore.console import UserError, describe
from imagestore.hdf5.open_hdf5 import open_hdf5
from imagestore.tables.mat_values import as_labels, as_numbers, damaged_mat, read_with_scipy, with_fields
from imagestore.tables.matlab_data import is_cell_array, texts_of_cells, texts_of_rows


def read_vectors(path: Path) -> dict[str, np.ndarray]:
    """The variables of a .mat file that are one row or one column of whole numbers: int64 (N,) by name.

    scipy reads files of versions 5 to 7, and h5py those of version 7.3, which are HDF5. Raises UserError.
    """
    vectors = {name: as_numbers(values) for name, values in _read(path).items()}
    return {
        name: vector.astype(np.int64)
        for name, vector in vectors.items()
        if vector is not None and bool(np.all(np.isfinite(vector)))
    }


def read_labels(path: Path) -> dict[str, list[str | None]]:
    """The variables that may be labels: rows or columns of whole numbers, or of texts. NaN is None.

    Raises UserError.
    """
    labels = {name: as_labels(values) for name, values in _read(path).items()}
    return {name: values for name, values in labels.items() if values}


def _read(path: Path) -> dict[str, object]:
    """All variables: arrays, or lists of texts."""
    try:
        if h5py.is_hdf5(path):
            return _read_version_7_3(path)
        with path.open("rb") as file:
            return with_fields(read_with_scipy(path, file))
    except OSError as error:
        raise UserError(describe(error) if error.errno else damaged_mat(path, error)) from error


def _read_version_7_3(path: Path) -> dict[str, object]:
    with path.open("rb") as opened, open_hdf5(opened.fileno(), path) as file:
        return {name: _variable(item) for name, item in file.items() if isinstance(item, h5py.Dataset)}


def _variable(dataset: h5py.Dataset) -> object:
    return texts_of_cells(dataset) if is_cell_array(dataset) else texts_of_rows(dataset) or dataset[()]
