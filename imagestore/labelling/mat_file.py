"""Numbers of a MATLAB file, such as `imagelabels.mat` and `setid.mat` of the Oxford flowers."""

from __future__ import annotations

import zlib
from pathlib import Path

import h5py
import numpy as np

from imagestore.console import UserError, describe, first_line
from imagestore.hdf5.open_hdf5 import open_hdf5
from imagestore.printed_commands import pip_install


def read_vectors(path: Path) -> dict[str, np.ndarray]:
    """The variables of a .mat file that are one row or one column of whole numbers: int64 (N,) by name.

    scipy reads files of versions 5 to 7, and h5py those of version 7.3, which are HDF5. Raises UserError.
    """
    try:
        variables = _read_version_7_3(path) if h5py.is_hdf5(path) else _read_with_scipy(path)
    except OSError as error:
        raise UserError(describe(error)) from error
    return {name: _as_vector(values) for name, values in variables.items() if _is_vector(values)}


def _read_with_scipy(path: Path) -> dict[str, object]:
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError:
        raise UserError(f"{path}: MATLAB files need scipy: {pip_install('scipy')}") from None
    try:
        return {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    except (MatReadError, zlib.error, ValueError, TypeError, LookupError, NotImplementedError) as error:
        raise UserError(f"{path} is no MATLAB file, or is damaged ({first_line(error)})") from None


def _read_version_7_3(path: Path) -> dict[str, object]:
    with path.open("rb") as opened, open_hdf5(opened.fileno(), path) as file:
        return {name: item[()] for name, item in file.items() if isinstance(item, h5py.Dataset)}


def _is_vector(values: object) -> bool:
    is_row_or_column = isinstance(values, np.ndarray) and values.size == max(values.shape, default=0) > 0
    return is_row_or_column and values.dtype.kind in "iuf" and bool(np.all(values == np.round(values)))


def _as_vector(values: object) -> np.ndarray:
    return np.asarray(values).reshape(-1).astype(np.int64)
