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


class LabelsOfImages:
    """The label of each image of an open store.

    It is that of the store. If an image is an element of a dataset of images, the array of labels beside that
    dataset decides.
    """

    def __init__(
        self, store: ImageStore, found: StoreLabels, positions: Iterable[int], labels: SourceLabels
    ) -> None:
        """`positions` are those of the images whose labels are asked for. Raises UserError."""
        self._store, self._found = store, found
        self._arrays = _label_arrays(store, positions, labels)

    def of(self, position: int) -> str | None:
        """The label of the image at `position`; None if it has none."""
        if not self._arrays:
            return self._found.name_of(position)
        folder, _, name = self._store.path_of(position).rpartition("/")
        number = element_number(stored_names.encode(name)) if folder in self._arrays else None
        return self._found.name_of(position) if number is None else self._arrays[folder][number]

    def all(self) -> set[str]:
        """All labels of the store and of its arrays."""
        of_arrays = (label for labels in self._arrays.values() for label in labels if label is not None)
        return {*self._found.names, *of_arrays}


def _label_arrays(
    store: ImageStore, positions: Iterable[int], labels: SourceLabels
) -> dict[str, list[str | None]]:
    """The labels in arrays beside datasets of images, by the path of the dataset."""
    if store.index.written_with_store and store.index.covers_whole_file:
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
            arrays[folder] = find_labels_of(file, store.path, folder, _element_count(dataset), wanted)
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
