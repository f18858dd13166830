"""The images of an HDF5 file that holds them as bytes: StoreRows. A store of this suite is such a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import h5py

from imagestore import stored_names
from imagestore.archive.label_arrays import find_labels_of
from imagestore.archive.members import SourceLabels
from imagestore.archive.protocol import DamagedArchive
from imagestore.archive.row_archive import Row
from imagestore.console import UserError, first_line, printable
from imagestore.hdf5.byte_records import may_be_bytes, records_of
from imagestore.hdf5.element_files import element_number
from imagestore.hdf5.open_hdf5 import ERRORS_OF_H5PY
from imagestore.store.labels import StoreLabels
from imagestore.store.reader import ImageStore, StoreError

NAMES_SHOWN = 5


class StoreRows:
    """The images of a store, in the order of their bytes.

    An image has the name that it had in its archive, or else its path in the file. Its label is that of the
    store. If it is an element of a dataset of images, the array of labels beside that dataset decides.
    """

    def __init__(
        self, store: ImageStore, found: StoreLabels, inner: str, labels: SourceLabels | None
    ) -> None:
        """Take over an open store. Only images below the path `inner` count. Raises UserError."""
        self._store, self._found, self.name = store, found, inner
        self._positions = [
            i for i in store.positions_by_offset() if found.is_counted[i] and self._is_below(store.path_of(i))
        ]
        if inner and not self._positions:
            raise UserError(f"{store.path}: there is no image at {printable(inner)!r}")
        self._wants_labels = labels is not None
        self._arrays = self._label_arrays(labels.key) if labels else {}

    def _is_below(self, path: str) -> bool:
        return not self.name or path == self.name or path.startswith(f"{self.name}/")

    def _label_arrays(self, key: str | None) -> dict[str, list[str | None]]:
        """The labels in arrays beside datasets of images, by the path of the dataset."""
        index = self._store.index
        if index.written_with_store and index.covers_whole_file:
            return {}
        folders = dict.fromkeys(os.path.dirname(self._store.path_of(i)) for i in self._positions)
        arrays: dict[str, list[str | None]] = {}
        file = self._store.hdf5()
        for folder in folders:
            dataset = file.get(stored_names.encode(folder), None) if folder else None
            if not isinstance(dataset, h5py.Dataset):
                continue
            find = partial(find_labels_of, file, self._store.path, folder, _element_count(dataset))
            try:
                arrays[folder] = find(key)
            except UserError:
                if (
                    key is not None or len(folders) == 1
                ):  # several datasets without arrays are labels themselves
                    raise
            except ERRORS_OF_H5PY as error:
                raise UserError(
                    f"{self._store.path}: the labels cannot be read ({first_line(error)})"
                ) from error
        return arrays

    def __iter__(self) -> Iterator[Row]:
        """See Rows."""
        broken: list[str] = []
        for i in self._positions:
            try:
                data = self._store.read(i)
            except StoreError:
                broken.append(printable(self._store.path_of(i)))
                continue
            yield Row(i, self._name(i), data, self._label(i) if self._wants_labels else None)
        if broken:
            more = ", …" if len(broken) > NAMES_SHOWN else ""
            raise DamagedArchive(
                f"{self._store.path} is damaged: {len(broken):,} images cannot be read: "
                f"{', '.join(broken[:NAMES_SHOWN])}{more}: copy or make it again"
            )

    def _name(self, i: int) -> str:
        member = self._store.index.member(i)
        return stored_names.decode(member) if member else self._store.path_of(i)

    def _label(self, i: int) -> str | None:
        folder, _, name = self._store.path_of(i).rpartition("/")
        number = element_number(stored_names.encode(name)) if folder in self._arrays else None
        return self._found.name_of(i) if number is None else self._arrays[folder][number]

    def read(self, place: int) -> bytes:
        """See Rows."""
        try:
            return self._store.read(place)
        except StoreError as error:
            raise UserError(str(error)) from error

    def close(self) -> None:
        """See Rows."""
        self._store.close()


def _element_count(dataset: h5py.Dataset) -> int:
    """How many elements a dataset has that are an image each."""
    kind = dataset.id.get_type()
    records = records_of(kind, dataset.shape) if may_be_bytes(kind) else None
    return records.count if records else dataset.size
