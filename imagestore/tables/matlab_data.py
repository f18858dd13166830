"""What MATLAB writes into HDF5 files (save -v7.3): cells, texts, and arrays with their axes in reverse order.

See https://www.mathworks.com/help/matlab/import_export/mat-file-versions.html.
"""

from __future__ import annotations

import h5py
import numpy as np

KIND = "MATLAB_class"  # attribute of each dataset that MATLAB writes; h5create and h5write leave it out


def is_of_matlab(dataset: h5py.Dataset) -> bool:
    """Whether MATLAB wrote a variable into this dataset. The first axis is then the last of the variable."""
    return KIND in dataset.attrs


def is_cell_array(dataset: h5py.Dataset) -> bool:
    """Whether a dataset has references to others as its elements, as a cell array has."""
    return h5py.check_ref_dtype(dataset.dtype) is h5py.Reference and is_of_matlab(dataset)


def texts_of_cells(dataset: h5py.Dataset) -> list[str] | None:
    """The texts in a cell array, in the order of MATLAB; None if a cell holds something else."""
    cells = [dataset.file[reference] for reference in dataset[()].reshape(-1) if reference]
    if len(cells) != dataset.size or not all(_is_text(cell) for cell in cells):
        return None
    return ["" if cell.attrs.get("MATLAB_empty") else _text(cell[()].T.reshape(-1)) for cell in cells]


def texts_of_rows(dataset: h5py.Dataset) -> list[str] | None:
    """The rows of a matrix of characters, without the blanks behind them; None if it is none."""
    if not (_is_text(dataset) and dataset.ndim == 2):
        return None
    return [_text(row).rstrip(" ") for row in dataset[()].T]


def _is_text(dataset: object) -> bool:
    is_text = isinstance(dataset, h5py.Dataset) and dataset.attrs.get(KIND) in (b"char", "char")
    return is_text and dataset.dtype.kind == "u"


def _text(codes: np.ndarray) -> str:
    """UTF-16 codes as text."""
    return codes.astype("<u2").tobytes().decode("utf-16-le", "replace")
