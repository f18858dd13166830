"""The array of labels that stands beside the images in an HDF5 file, found by its length and its name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from imagestore.archive.label_text import LABEL_KEYS, OTHER_KEYS, NoLabels, text_of
from imagestore.archive.members import SourceLabels
from imagestore.console import UserError, counted, did_you_mean, printable
from imagestore.hdf5.datasets import check_readable
from imagestore.hdf5.datasets_below import datasets_below
from imagestore.hdf5.links import OUTSIDE
from imagestore.tables.dataset_names import in_common, words
from imagestore.tables.matlab_data import is_cell_array, texts_of_cells
from imagestore.tables.names_of_numbers import named_if_numbers
from imagestore.tables.table_fields import TableField, fields_of
from imagestore.tables.virtual_sources import check_sources

# Words in the names of arrays that are as long as the images, and say something else of them.
NO_LABELS = frozenset(
    ("id", "index", "indice", "name", "file", "filename", "path", "url", "key", "time", "timestamp", "date")
    + ("width", "height", "size", "length", "weight", "offset", "split", "caption", "text", "description")
)
LINKS_SHOWN = 3
ROWS_AT_ONCE = 1 << 14  # of one-hot labels


def find_labels_of(
    file: h5py.File,
    path: Path,
    images: str,
    count: int,
    labels: SourceLabels | None,
    follow_external: bool = False,
) -> list[str | None]:
    """The labels of the `count` rows of the dataset `images`: the array that `labels` names or the likeliest.

    All are None if `labels` is None, or if labels are optional and there is no such array. Raises UserError
    if there is none or several, and the errors of h5py.
    """
    if labels is None:
        return [None] * count
    try:
        return _labels_of(file, path, images, count, labels.key, follow_external)
    except NoLabels:
        if not labels.optional:
            raise
        return [None] * count


def _labels_of(
    file: h5py.File, path: Path, images: str, count: int, key: str | None, follow_external: bool
) -> list[str | None]:
    """Labels are numbers or texts, (N,), (N, 1), (1, N) and so on, or (N, C) with a single 1 in each row."""
    outside: list[str] = []
    datasets = datasets_below(file, path, follow_external=follow_external, outside=outside)
    candidates = {
        name: dataset
        for found in datasets
        for name, dataset in (found, *fields_of(*found))
        if name != images and may_be_labels(dataset, count)
    }
    if key is not None:
        name = _named(path, images, candidates, key)
        labels = _read(path, name, candidates[name], follow_external)
        if labels is None:
            raise UserError(f"{path}: {printable(name)} holds no labels: its values are no whole numbers")
        return named_if_numbers(file, path, name, candidates[name], labels)
    for names in likeliest_first(images, list(candidates)):
        read = {name: _read(path, name, candidates[name], follow_external) for name in names}
        found = {name: labels for name, labels in read.items() if labels is not None}
        if name := the_same_labels(found):
            return named_if_numbers(file, path, name, candidates[name], found[name])
        if found:
            choices = printable(", ".join(found))
            raise NoLabels(f"{path}: several arrays can be the labels of {printable(images)}: {choices}; "
                            "name one with --label-key", list(found))  # fmt: skip
    others = f" ({printable(', '.join(candidates))})" if candidates else ""
    raise NoLabels(
        f"{path}: no array of {counted(count, 'label')} stands beside {printable(images)}: "
        f"name it with --label-key{others}, or take the labels from elsewhere (--labels)"
        + (f"; {links_outside(outside)}" if outside else "")
    )


def links_outside(paths: Sequence[str]) -> str:
    """Words on links that are not followed."""
    shown = ", ".join(map(printable, paths[:LINKS_SHOWN])) + (", …" if len(paths) > LINKS_SHOWN else "")
    return f"links {OUTSIDE}: {counted(len(paths), 'link')} ({shown})"


def may_be_labels(dataset: h5py.Dataset | TableField, count: int) -> bool:
    """Whether a dataset has a label for each of `count` images by its shape and its type."""
    shape = dataset.shape
    if not shape or count not in shape:
        return False
    try:
        kind = dataset.dtype.kind
    except TypeError:
        return False
    if math.prod(shape) == count:
        is_text = kind == "S" or h5py.check_string_dtype(dataset.dtype) is not None
        return is_text or kind in "iufb" or is_cell_array(dataset)
    return kind in "iufb" and len(shape) == 2 and shape[0] == count


def _named(path: Path, images: str, candidates: dict[str, h5py.Dataset], key: str) -> str:
    """The path of the array that the user named by its path, or by its name."""
    name = key.strip("/")
    if name in candidates:
        return name
    found = [path_in_file for path_in_file in candidates if path_in_file.rpartition("/")[2] == name]
    if not found:
        others = f"; of that length: {printable(', '.join(candidates))}" if candidates else ""
        hint = did_you_mean(name, candidates) or others
        raise UserError(
            f"{path}: no array {printable(key)!r} has a value for each image of {printable(images)}{hint}"
        )
    return max(found, key=lambda candidate: in_common(images, candidate))


def the_same_labels(found: Mapping[str, Sequence[str | None]]) -> str | None:
    """The name of the only labels, or of the names that stand beside their numbers.

    None if there are none, or others: those that divide the images in different ways.
    """
    if len(found) < 2:
        return next(iter(found), None)
    first = next(iter(found.values()))
    count = len(set(first))
    are_alike = all(
        len(set(labels)) == count == len(set(zip(first, labels, strict=True))) for labels in found.values()
    )
    names = [
        name for name, labels in found.items() if not all(label and label.isdecimal() for label in labels)
    ]
    return names[0] if are_alike and 1 < count < len(first) and len(names) == 1 else None


def likeliest_first(images: str, names: list[str]) -> list[list[str]]:
    """The names of candidates for the labels of the array `images`, in groups that are equally likely."""
    ranks: dict[tuple, list[str]] = {}
    for name in names:
        in_name = words(name.rpartition("/")[2])
        usual = in_name & {*LABEL_KEYS, *OTHER_KEYS}
        if not usual and {word.removesuffix("s") for word in in_name} & NO_LABELS:
            continue
        rank = (bool(usual), in_common(images, name), len(usual) == len(in_name))
        ranks.setdefault(rank, []).append(name)
    return [ranks[rank] for rank in sorted(ranks, reverse=True)]


def _read(path: Path, name: str, dataset: h5py.Dataset, follow_external: bool) -> list[str | None] | None:
    """The labels in a dataset as text; None if its values cannot be labels."""
    check_readable(dataset.id, follow_external)
    check_sources(path, name, dataset)
    if is_cell_array(dataset):
        return texts_of_cells(dataset)
    if dataset.size > max(dataset.shape):
        return _read_one_hot(dataset)
    values = dataset[()].reshape(-1)
    names = h5py.check_enum_dtype(dataset.dtype)
    if names and dataset.dtype.kind != "b":
        texts = {number: name for name, number in names.items()}
        return [texts.get(value) for value in values.tolist()]
    if values.dtype.kind == "f" and not np.all(values[np.isfinite(values)] % 1 == 0):
        return None
    return [text_of(value) for value in values.tolist()]


def _read_one_hot(dataset: h5py.Dataset) -> list[str | None] | None:
    labels: list[str | None] = []
    for first in range(0, len(dataset), ROWS_AT_ONCE):
        rows = dataset[first : first + ROWS_AT_ONCE]
        if not (np.all((rows == 0) | (rows == 1)) and np.all(np.count_nonzero(rows, axis=1) == 1)):
            return None
        labels += map(str, rows.argmax(axis=1).tolist())
    return labels
