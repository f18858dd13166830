"""A MATLAB file of versions 5 to 7 as an archive: its pictures are in a cell array or an array.

scipy reads all variables into memory. Files of version 7.3 are HDF5, see hdf5_archive.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from imagestore.archive.label_text import NoLabels
from imagestore.archive.members import SourceLabels
from imagestore.console import UserError, counted, did_you_mean, printable
from imagestore.printed_commands import command_line, path_argument
from imagestore.tables.cell_rows import (
    CellRows,
    Cells,
    CellsInMemory,
    PicturesOfArray,
    holds_images,
    holds_pictures,
)
from imagestore.tables.label_arrays import likeliest_first, the_same_labels
from imagestore.tables.mat_values import as_labels, damaged_mat, one_hot_labels, read_with_scipy, with_fields
from imagestore.tables.names_of_numbers import names_by_number
from imagestore.tables.row_archive import RowArchive
from imagestore.tables.table_options import TableOptions

VARIABLES_SHOWN = 10


def open_mat_archive(
    path: Path, file: Path, descriptor: int, inner: str, options: TableOptions
) -> RowArchive:
    """Take over an open file. `inner` names a variable in it, or is "". Raises UserError.

    `path` is what the user calls the archive.
    """
    try:
        with open(os.dup(descriptor), "rb") as opened:
            opened.seek(0)
            variables = with_fields(read_with_scipy(file, opened))
    except OSError as error:
        raise UserError(damaged_mat(file, error)) from error
    name, cells = _find_images(file, variables, inner)
    labels = _labels_of(file, variables, name, len(cells), options.labels)
    return RowArchive(path, descriptor, CellRows(file, name, cells, labels, _close_nothing), options)


def _find_images(path: Path, variables: Mapping[str, object], inner: str) -> tuple[str, Cells]:
    """The variable with the images, and these."""
    found: dict[str, Cells] = {}
    for name, value in variables.items():
        cells = _images_in(value) if f"{name}/".startswith(f"{inner}/" if inner else "") else None
        if cells is not None:
            found[name] = cells
    if len(found) == 1:
        return next(iter(found.items()))
    if found:
        choices = " or ".join(command_line(path_argument(f"{path}:/{name}")) for name in found)
        raise UserError(f"{path} holds {len(found)} arrays of pictures: give one of them, as {choices}")
    shapes = [f"{name} ({_shape(value)})" for name, value in variables.items()]
    more = ", …" if len(shapes) > VARIABLES_SHOWN else ""
    others = printable(", ".join(shapes[:VARIABLES_SHOWN])) + more
    if inner:
        hint = did_you_mean(inner, variables) or f"; its variables: {others}"
        raise UserError(f"{path} has no pictures in {printable(inner)!r}{hint}")
    raise UserError(
        f"{path}: holds no image, neither in cells nor as H x W x 3 x N, H x W x N or N x H x W x 3; "
        f"its variables: {others}"
    )


def _images_in(value: object) -> Cells | None:
    if not isinstance(value, np.ndarray) or not value.size:
        return None
    if value.dtype == object:
        cells = CellsInMemory(value)
        return cells if holds_images(cells) else None
    return PicturesOfArray(value) if holds_pictures(value) else None


def _shape(value: object) -> str:
    return " x ".join(map(str, getattr(value, "shape", ())))


def _labels_of(
    path: Path, variables: Mapping[str, object], images: str, count: int, labels: SourceLabels | None
) -> list[str | None]:
    """The labels of the images: the variable that `labels` names or the likeliest, as in HDF5 files."""
    if labels is None:
        return [None] * count
    others = {name: value for name, value in variables.items() if name != images}
    in_each = {name: _labels_in(value, count) for name, value in others.items()}
    candidates = {name: found for name, found in in_each.items() if found}
    if labels.key is not None:
        key = labels.key.strip("/")
        found = [name for name in candidates if key in (name, name.rpartition("/")[2])]
        if not found:
            hint = did_you_mean(key, candidates) or _of_that_length(list(candidates))
            raise UserError(
                f"{path}: no variable {printable(key)!r} has a value for each image of {images}{hint}"
            )
        return _named_if_numbers(key if key in found else found[0], candidates, others)
    for names in likeliest_first(images, list(candidates)):
        if name := the_same_labels({name: candidates[name] for name in names}):
            return _named_if_numbers(name, candidates, others)
        if not labels.optional:
            raise NoLabels(
                f"{path}: several variables can be the labels of {images}: {printable(', '.join(names))}; "
                "name one with --label-key",
                names,
            )
    if labels.optional:
        return [None] * count
    raise NoLabels(
        f"{path}: no variable with {counted(count, 'label')} stands beside {images}: name it with --label-key"
        f"{_of_that_length(list(candidates))}, or take the labels from elsewhere (--labels)"
    )


def _of_that_length(names: list[str]) -> str:
    return f"; of that length: {printable(', '.join(names))}" if names else ""


def _labels_in(value: object, count: int) -> list[str | None] | None:
    labels = as_labels(value)
    return labels if labels and len(labels) == count else one_hot_labels(value, count)


def _named_if_numbers(
    name: str, candidates: Mapping[str, list[str | None]], others: Mapping[str, object]
) -> list[str | None]:
    """The labels of a variable. If they are numbers that have names in another one, these names."""
    labels = candidates[name]
    numbers = {label for label in labels if label is not None}
    for other, value in others.items() if all(map(str.isdecimal, numbers)) else ():
        base_name = other.rpartition("/")[2]
        if other != name and (names := names_by_number(base_name, as_labels(value), numbers)):
            return [names.get(label) for label in labels]
    return labels


def _close_nothing() -> None:
    """All is in memory."""
