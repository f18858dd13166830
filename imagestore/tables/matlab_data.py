"""What MATLAB writes into HDF5 files (save -v7.3): cells, texts, and arrays with their axes in reverse order.

See https://www.mathworks.com/help/matlab/import_export/mat-file-versions.html.
"""

from __future__ import annotations

import h5py
import numpy as np

from imagestore.archive.label_text import text_of

HEADER = b"MATLAB 7.3 MAT-file"  # begins such a file, in front of the HDF5
KIND = "MATLAB_class"  # attribute of each dataset that MATLAB writes; h5create and h5write leave it out


def is_of_matlab(dataset: h5py.Dataset) -> bool:
    """Whether MATLAB wrote a variable into this dataset. The first axis is then the last of the variable."""
    return KIND in dataset.attrs


def is_cell_array(dataset: h5py.Dataset) -> bool:
    """Whether a dataset has references to others as its elements, as a cell array has.

    The fields of an array of structs are such datasets, too.
    """
    is_references = h5py.check_ref_dtype(dataset.dtype) is h5py.Reference
    return is_references and (is_of_matlab(dataset) or KIND in dataset.parent.attrs)


def cells_of(dataset: h5py.Dataset) -> list[h5py.Dataset | h5py.Group | None]:
    """What the elements of a cell array refer to, in the order of MATLAB; None for nothing."""
    return [dataset.file[reference] if reference else None for reference in dataset[()].reshape(-1)]


def value_of_cell(cell: h5py.Dataset | h5py.Group | None) -> np.ndarray | None:
    """The array in a cell, with its axes as in MATLAB; None if it is empty, or no array."""
    if not isinstance(cell, h5py.Dataset) or "MATLAB_empty" in cell.attrs or _is_text(cell):
        return None
    values = np.asarray(cell[()]).T
    return values.astype(bool) if cell.attrs.get(KIND) in (b"logical", "logical") else values


def texts_of_cells(dataset: h5py.Dataset) -> list[str | None] | None:
    """The texts in a cell array, or its numbers as text, in the order of MATLAB; None for other cells."""
    cells = cells_of(dataset)
    if all(map(_is_text, cells)):
        return ["" if cell.attrs.get("MATLAB_empty") else _text(cell[()].T.reshape(-1)) for cell in cells]
    if all(map(_is_number, cells)):
        return [text_of(cell[()].item()) for cell in cells]
    return None


def texts_of_rows(dataset: h5py.Dataset) -> list[str] | None:
    """The rows of a matrix of characters, without the blanks behind them; None if it is none."""
    if not (_is_text(dataset) and dataset.ndim == 2):
        return None
    return [_text(row).rstrip(" ") for row in dataset[()].T]


def _is_text(dataset: object) -> bool:
    is_text = isinstance(dataset, h5py.Dataset) and dataset.attrs.get(KIND) in (b"char", "char")
    return is_text and dataset.dtype.kind == "u"


def _is_number(dataset: object) -> bool:
    return isinstance(dataset, h5py.Dataset) and dataset.dtype.kind in "iufb" and dataset.size == 1


def _text(codes: np.ndarray) -> str:
    """UTF-16 codes as text."""
    return codes.astype("<u2").tobytes().decode("utf-16-le", "replace")
