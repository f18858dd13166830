"""Datasets of an HDF5 file that are one picture each, as pixels: PictureDatasets gives each as a PNG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from imagestore.console import UserError, first_line, printable
from imagestore.hdf5.datasets import check_readable
from imagestore.hdf5.datasets_below import find_object
from imagestore.hdf5.open_hdf5 import ERRORS_OF_H5PY
from imagestore.store.label_names import label_of_group
from imagestore.tables.labels_beside import LabelsBeside
from imagestore.tables.pixel_arrays import CHANNELS, SMALLEST_GREY_SIDE
from imagestore.tables.png import encode_png
from imagestore.tables.row_archive import Row, damaged_at
from imagestore.tables.table_options import TableOptions


def is_picture(dataset: h5py.Dataset) -> bool:
    """Whether a dataset is one picture by its shape and its type: uint8 H x W x C, of 1, 3 or 4 channels."""
    try:
        is_bytes = dataset.dtype == np.uint8
    except TypeError:  # a type that NumPy lacks
        return False
    shape = dataset.shape or ()
    return is_bytes and len(shape) == 3 and shape[2] in CHANNELS and min(shape[:2]) >= SMALLEST_GREY_SIDE


class PictureDatasets:
    """The pictures at some paths of a file.

    The label of a picture is what labels_beside.py finds. Without that, it is the name of the group, if there
    is one.
    """

    def __init__(
        self, path: Path, file: h5py.File, names: Sequence[str], inner: str, options: TableOptions
    ) -> None:
        """Take over an open file. `inner` is the group that the user named."""
        self._path, self._file, self._names = path, file, names
        self.name, self._labels = inner, options.labels
        self._follow_external = options.follow_external
        self._beside = LabelsBeside(names, options.labels.key if options.labels else None)

    def __iter__(self) -> Iterator[Row]:
        """See Rows."""
        for place, name in enumerate(self._names):
            try:
                dataset = self._dataset(name)
                data, label = encode_png(dataset[()]), self._label(name)
            except ERRORS_OF_H5PY as error:
                raise damaged_at(self._path, f"{printable(name)}", error) from error
            yield Row(place, f"{name}.png", data, label)

    def read(self, place: int) -> bytes:
        """See Rows."""
        name = self._names[place]
        try:
            return encode_png(self._dataset(name)[()])
        except ERRORS_OF_H5PY as error:
            raise UserError(f"{self._path} is damaged at {printable(name)} ({first_line(error)})") from error

    def _dataset(self, name: str) -> h5py.Dataset:
        dataset = find_object(self._file, self._path, name, self._follow_external)
        check_readable(dataset.id, self._follow_external)
        return dataset

    def _label(self, name: str) -> str | None:
        if self._labels is None:
            return None
        if (label := self._beside.of(self._file, name)) is not None:
            return label
        group = name.rpartition("/")[0].rpartition("/")[2]
        return label_of_group(group) if group and self._labels.key is None else None

    def close(self) -> None:
        """See Rows."""
        self._file.close()
