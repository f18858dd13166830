"""The names of labels that are numbers, where an HDF5 file has them beside the labels.

`list_classes`, `class_names` and `label_names` are usual names of such arrays. Attributes of the labels, of
their group, or of the file hold them as well, as arrays or as JSON.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path

import h5py
import numpy as np

from imagestore.archive.label_text import LABEL_KEYS, OTHER_KEYS, text_of
from imagestore.hdf5.datasets_below import datasets_below
from imagestore.hdf5.open_hdf5 import ERRORS_OF_H5PY
from imagestore.tables.dataset_names import in_common, words
from imagestore.tables.matlab_data import is_cell_array, texts_of_cells, texts_of_rows

OF_CLASSES = frozenset((*LABEL_KEYS, *OTHER_KEYS, "categories", "classnames", "labelnames", "synsets"))
ALONE = frozenset(("names", "name"))  # such an array has names of classes if it has just as many
MOST_NAMES = 1 << 20


def named_if_numbers(
    file: h5py.File, path: Path, name: str, dataset: h5py.Dataset, labels: list[str | None]
) -> list[str | None]:
    """The `labels` that were read from a dataset: if they are numbers with names in the file, these names.

    `name` is the path of the dataset. Names without numbers count from 0; but from 1 if no label is 0 and the
    largest is the count of names. They are taken if each number has one then, and if no two are equal. A
    negative number stands for no label then.
    """
    if dataset.dtype.kind not in "iuf" or h5py.check_enum_dtype(dataset.dtype):
        return labels
    is_one_hot = dataset.size > max(dataset.shape)
    numbers = set(map(str, range(dataset.shape[1]))) if is_one_hot else set(labels)
    numbers = {number for number in numbers if number is not None and not number.startswith("-")}
    names = _find_names(file, path, name, dataset, numbers) if numbers else {}
    return [names.get(label) for label in labels] if names else labels


def _find_names(
    file: h5py.File, path: Path, name: str, dataset: h5py.Dataset, numbers: Collection[str]
) -> dict[str, str]:
    """The names of `numbers`; empty if the file has none."""
    with contextlib.suppress(*ERRORS_OF_H5PY):
        for attributes in (dataset.attrs, dataset.parent.attrs, dataset.file.attrs):
            for key in filter(may_name_classes, attributes):
                if names := names_by_number(key, _values(attributes[key]), numbers):
                    return names
        return _in_datasets(file, path, name, numbers)
    return {}


def _in_datasets(file: h5py.File, path: Path, labels: str, numbers: Collection[str]) -> dict[str, str]:
    """The names in the array that has most in common with the path of the labels."""
    found: dict[tuple[bool, int], list[dict[str, str]]] = {}
    for name, dataset in datasets_below(file, path):
        base_name = name.rpartition("/")[2]
        if name != labels and may_name_classes(base_name):
            names = names_by_number(base_name, _texts(dataset), numbers)
            if names:
                found.setdefault(in_common(labels, name), []).append(names)
    likeliest = found[max(found)] if found else [{}]
    return likeliest[0] if all(names == likeliest[0] for names in likeliest) else {}


def may_name_classes(name: str) -> bool:
    return bool(words(name) & OF_CLASSES) or name.lower() in ALONE


def names_by_number(name: str, values: object, numbers: Collection[str]) -> dict[str, str]:
    """Number -> name, if the values of the array `name` are names of these numbers; else empty.

    The values are a list of texts, or a mapping of numbers and names.
    """
    if not may_name_classes(name):
        return {}
    if isinstance(values, Mapping):
        named = {text_of(key): text_of(value) for key, value in values.items()}
        if all(map(_is_number, named.values())) and not all(map(_is_number, named)):
            named = {number: key for key, number in named.items()}
        return named if numbers <= named.keys() and all(named.values()) else {}
    if not isinstance(values, list) or not all(isinstance(value, (str, bytes)) for value in values):
        return {}
    names = list(map(text_of, values))
    if not all(names) or len(set(names)) != len(names):
        return {}
    if name.lower() in ALONE and len(names) != len(numbers):
        return {}
    first = int("0" not in numbers and str(len(names)) in numbers)
    named = {str(number): name for number, name in enumerate(names, first)}
    return named if numbers <= named.keys() else {}


def _is_number(text: str | None) -> bool:
    return text is not None and text.isdecimal()


def _values(attribute: object) -> object:
    """The values of an attribute, which may be an array, or JSON as text."""
    if isinstance(attribute, np.ndarray):
        return attribute.reshape(-1).tolist()
    text = text_of(attribute) or ""
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text)
    return []


def _texts(dataset: h5py.Dataset) -> list[object]:
    """The texts in a dataset of one dimension; empty if it has others."""
    if not 0 < dataset.size <= MOST_NAMES:
        return []
    if max(dataset.shape, default=1) == dataset.size:
        if h5py.check_string_dtype(dataset.dtype) is not None or dataset.dtype.kind == "S":
            return np.asarray(dataset[()]).reshape(-1).tolist()
        if is_cell_array(dataset):
            return texts_of_cells(dataset) or []
    return texts_of_rows(dataset) or []
