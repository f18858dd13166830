"""Numbers and texts of MATLAB files, such as `imagelabels.mat` and `setid.mat` of the Oxford flowers."""

from __future__ import annotations

import zlib
from pathlib import Path

import h5py
import numpy as np

from imagestore.console import UserError, describe, first_line
from imagestore.hdf5.open_hdf5 import open_hdf5
from imagestore.printed_commands import pip_install
from imagestore.tables.matlab_data import is_cell_array, texts_of_cells, texts_of_rows


def read_vectors(path: Path) -> dict[str, np.ndarray]:
    """The variables of a .mat file that are one row or one column of whole numbers: int64 (N,) by name.

    scipy reads files of versions 5 to 7, and h5py those of version 7.3, which are HDF5. Raises UserError.
    """
    vectors = {name: _as_numbers(values) for name, values in _read(path).items()}
    return {
        name: vector.astype(np.int64)
        for name, vector in vectors.items()
        if vector is not None and bool(np.all(np.isfinite(vector)))
    }


def read_labels(path: Path) -> dict[str, list[str | None]]:
    """The variables that may be labels: rows or columns of whole numbers, or of texts. NaN is None.

    Raises UserError.
    """
    labels = {name: _as_labels(values) for name, values in _read(path).items()}
    return {name: values for name, values in labels.items() if values}


def _read(path: Path) -> dict[str, object]:
    """All variables: arrays, or lists of texts."""
    try:
        return _read_version_7_3(path) if h5py.is_hdf5(path) else _read_with_scipy(path)
    except OSError as error:
        raise UserError(describe(error) if error.errno else _damaged(path, error)) from error


def _damaged(path: Path, error: Exception) -> str:
    return f"{path} is no MATLAB file, or is damaged ({first_line(error)})"


def _read_with_scipy(path: Path) -> dict[str, object]:
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError:
        raise UserError(f"{path}: MATLAB files need scipy: {pip_install('scipy')}") from None
    try:
        return {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    except (MatReadError, zlib.error, ValueError, TypeError, LookupError, NotImplementedError) as error:
        raise UserError(_damaged(path, error)) from None


def _read_version_7_3(path: Path) -> dict[str, object]:
    with path.open("rb") as opened, open_hdf5(opened.fileno(), path) as file:
        return {name: _variable(item) for name, item in file.items() if isinstance(item, h5py.Dataset)}


def _variable(dataset: h5py.Dataset) -> object:
    return texts_of_cells(dataset) if is_cell_array(dataset) else texts_of_rows(dataset) or dataset[()]


def _as_labels(values: object) -> list[str | None] | None:
    numbers = _as_numbers(values)
    if numbers is not None:
        return [str(int(number)) if np.isfinite(number) else None for number in numbers]
    if isinstance(values, np.ndarray) and values.dtype.kind in "UO" and _is_row_or_column(values):
        values = [
            cell.item() if isinstance(cell, np.ndarray) and cell.size == 1 else cell for cell in values.flat
        ]
    is_texts = isinstance(values, list) and all(isinstance(text, str) for text in values)
    return [text.rstrip(" ") for text in values] if is_texts else None


def _as_numbers(values: object) -> np.ndarray | None:
    """A row or a column of whole numbers or NaN as (N,); None if the values are something else."""
    if not (isinstance(values, np.ndarray) and values.dtype.kind in "iufb" and _is_row_or_column(values)):
        return None
    numbers = values.reshape(-1)
    finite = numbers[np.isfinite(numbers)]
    return numbers if finite.size and bool(np.all(finite == np.round(finite))) else None


def _is_row_or_column(values: np.ndarray) -> bool:
    return values.size == max(values.shape, default=0) > 0
