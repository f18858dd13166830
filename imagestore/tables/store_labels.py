"""The labels of the images of a store: its own, or those in arrays beside datasets of images."""

from __future__ import annotations

import os
from collections.abc import Iterable

import h5py

from imagestore import stored_names
from imagestore.archive.label_text import NoLabels
from imagestore.archive.members import SourceLabels
from imagestore.console import UserError, first_line
from imagestore.hdf5.byte_records import may_be_bytes, records_of
from imagestore.hdf5.element_files import element_number
from imagestore.hdf5.open_hdf5 import ERRORS_OF_H5PY
from imagestore.store.labels import StoreLabels
from imagestore.store.reader import ImageStore
from imagestore.tables.label_arrays import find_labels_of
from imagestore.tables.labels_beside import LabelsBeside


class LabelsOfImages:
    """The label of each image of an open store.

    It is that of the store. If an image is an element of a dataset of images, the array of labels beside that
    dataset decides. In files of others, a label at the image itself decides; see labels_beside.py.
    """

    def __init__(
        self, store: ImageStore, found: StoreLabels, positions: Iterable[int], labels: SourceLabels
    ) -> None:
        """`positions` are those of the images whose labels are asked for. Raises UserError."""
        self._store, self._found = store, found
        self._positions = list(positions)
        self._arrays = _label_arrays(store, self._positions, labels)
        self._beside: LabelsBeside | None = None
        if not _is_of_this_suite(store) and not self._arrays:
            self._beside = LabelsBeside(map(store.path_of, self._positions), labels.key)
            # To open all datasets takes time: if no first image of a group has a label, none is looked for.
            first_of_groups = {os.path.dirname(store.path_of(i)): i for i in reversed(self._positions)}
            if all(self._label_beside(i) is None for i in first_of_groups.values()):
                self._beside = None

    def of(self, position: int) -> str | None:
        """The label of the image at `position`; None if it has none."""
        if self._beside is not None and (label := self._label_beside(position)) is not None:
            return label
        if not self._arrays:
            return self._found.name_of(position)
        folder, _, name = self._store.path_of(position).rpartition("/")
        number = element_number(stored_names.encode(name)) if folder in self._arrays else None
        return self._found.name_of(position) if number is None else self._arrays[folder][number]

    def _label_beside(self, position: int) -> str | None:
        assert self._beside is not None
        try:
            return self._beside.of(self._store.hdf5(), self._store.path_of(position))
        except ERRORS_OF_H5PY:
            return None  # whoever reads the image meets the damage

    def all(self) -> set[str]:
        """All labels of the store and of its arrays, and those at images."""
        if self._beside is not None:
            return {label for i in self._positions if (label := self.of(i)) is not None}
        of_arrays = (label for labels in self._arrays.values() for label in labels if label is not None)
        return {*self._found.names, *of_arrays}


def _is_of_this_suite(store: ImageStore) -> bool:
    return store.index.written_with_store and store.index.covers_whole_file


def _label_arrays(
    store: ImageStore, positions: Iterable[int], labels: SourceLabels
) -> dict[str, list[str | None]]:
    """The labels in arrays beside datasets of images, by the path of the dataset."""
    if _is_of_this_suite(store):
        return {}
    folders = dict.fromkeys(os.path.dirname(store.path_of(i)) for i in positions)
    arrays: dict[str, list[str | None]] = {}
    file = store.hdf5()
    for folder in folders:
        dataset = file.get(stored_names.encode(folder), None) if folder else None
        if not isinstance(dataset, h5py.Dataset):
            continue
        wanted = SourceLabels(labels.key, labels.optional and len(folders) == 1)
        try:
            arrays[folder] = find_labels_of(
                file, store.path, folder, _element_count(dataset), wanted, store.follow_external
            )
        except NoLabels:
            if len(folders) == 1:  # several datasets without arrays are labels themselves
                raise
        except ERRORS_OF_H5PY as error:
            raise UserError(f"{store.path}: the labels cannot be read ({first_line(error)})") from error
    return arrays


def _element_count(dataset: h5py.Dataset) -> int:
    """How many elements a dataset has that are an image each."""
    kind = dataset.id.get_type()
    records = records_of(kind, dataset.shape) if may_be_bytes(kind) else None
    return records.count if records else dataset.size
