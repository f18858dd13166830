"""Values of MATLAB files of versions 5 to 7, and their meaning as labels."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO

import numpy as np

from imagestore.console import UserError, first_line
from imagestore.forked_process import ForkedProcess
from imagestore.printed_commands import pip_install


def read_with_scipy(path: Path, file: BinaryIO) -> dict[str, object]:
    """All variables of an open file by their names. Raises UserError, OSError."""
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError:
        raise UserError(f"{path}: MATLAB files need scipy: {pip_install('scipy')}") from None
    errors = (MatReadError, zlib.error, ValueError, TypeError, LookupError, NotImplementedError, MemoryError)
    try:
        if not _survives(lambda: loadmat(file)):
            raise UserError(damaged_mat(path, "scipy crashes"))
        file.seek(0)
        return {name: value for name, value in loadmat(file).items() if not name.startswith("__")}
    except errors as error:
        raise UserError(damaged_mat(path, error)) from None


def _survives(read: Callable[[], object]) -> bool:
    """Whether a process lives that does this, with an error or without. scipy crashes at some damage."""

    def serve(connection: Connection) -> None:
        with contextlib.suppress(Exception):
            read()
        connection.send(True)

    child = ForkedProcess(serve)
    try:
        return child.connection.recv()
    except EOFError:
        return False
    finally:
        child.end()


def damaged_mat(path: Path, error: Exception | str) -> str:
    """The message that a file cannot be read, and why."""
    reason = error if isinstance(error, str) else first_line(error)
    return f"{path} is no MATLAB file, or is damaged ({reason}): copy or make it again"


def with_fields(variables: Mapping[str, object], above: str = "") -> dict[str, object]:
    """Variables, and in place of structs their fields: `data/image`. A field of N structs is a cell array."""
    found: dict[str, object] = {}
    for name, value in variables.items():
        names = value.dtype.names if isinstance(value, np.ndarray) else None
        if not names:
            found[above + name] = value
        elif value.size == 1:
            found |= with_fields({key: value.flat[0][key] for key in names}, f"{above}{name}/")
        else:
            found |= {f"{above}{name}/{key}": _cells([record[key] for record in value.flat]) for key in names}
    return found


def _cells(values: list[object]) -> np.ndarray:
    cells = np.empty(len(values), object)
    for i, value in enumerate(values):  # NumPy would look into the values
        cells[i] = value
    return cells


def as_labels(values: object) -> list[str | None] | None:
    """A row or a column of whole numbers or of texts as texts; None if the values are something else."""
    numbers = as_numbers(values)
    if numbers is not None:
        return [str(int(number)) if np.isfinite(number) else None for number in numbers]
    if isinstance(values, np.ndarray) and values.dtype.kind in "UO" and _is_row_or_column(values):
        values = [
            cell.item() if isinstance(cell, np.ndarray) and cell.size == 1 else cell for cell in values.flat
        ]
    if not isinstance(values, list):
        return None
    if all(isinstance(text, str) for text in values):
        return [text.rstrip(" ") for text in values]
    are_numbers = all(isinstance(number, (int, float)) for number in values)
    return as_labels(np.array(values, float)) if are_numbers else None


def one_hot_labels(values: object, count: int) -> list[str | None] | None:
    """The places of the single 1 in each of `count` rows, or columns; None if there are others."""
    if not (isinstance(values, np.ndarray) and values.dtype.kind in "iufb" and values.ndim == 2):
        return None
    for rows in (values, values.T):
        has_rows = rows.shape[0] == count and rows.shape[1] > 1 and np.all((rows == 0) | (rows == 1))
        if has_rows and np.all(np.count_nonzero(rows, axis=1) == 1):
            return list(map(str, rows.argmax(axis=1).tolist()))
    return None


def as_numbers(values: object) -> np.ndarray | None:
    """A row or a column of whole numbers or NaN as (N,); None if the values are something else."""
    if not (isinstance(values, np.ndarray) and values.dtype.kind in "iufb" and _is_row_or_column(values)):
        return None
    numbers = values.reshape(-1)
    finite = numbers[np.isfinite(numbers)]
    return numbers if finite.size and bool(np.all(finite == np.round(finite))) else None


def _is_row_or_column(values: np.ndarray) -> bool:
    return values.size == max(values.shape, default=0) > 0
