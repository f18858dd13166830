"""The pictures of an array in an HDF5 file, each as a PNG: PixelRows.

The pixels are encoded when an image is read, and again when it is read again. The index of the archive keeps
the sizes and checksums, so that a list of the images needs no second encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from imagestore.console import UserError, first_line
from imagestore.hdf5.datasets import check_readable
from imagestore.hdf5.datasets_below import FoundDataset
from imagestore.hdf5.open_hdf5 import ERRORS_OF_H5PY
from imagestore.tables.label_arrays import find_labels_of
from imagestore.tables.pixel_arrays import PixelArray
from imagestore.tables.png import encode_png
from imagestore.tables.row_archive import FEWEST_DIGITS, Row, damaged_at
from imagestore.tables.table_options import TableOptions
from imagestore.tables.virtual_sources import check_sources


class PixelRows:
    """The pictures of one dataset."""

    def __init__(self, path: Path, file: h5py.File, found: FoundDataset, options: TableOptions) -> None:
        """Take over an open file. Raises UserError."""
        self._path, self._file = path, file
        self.name, dataset = found
        try:
            check_readable(dataset.id, options.follow_external)
            check_sources(path, self.name, dataset)
            self._array = PixelArray(dataset)
            count = len(self._array)
            self._labels = find_labels_of(
                file, path, self.name, count, options.labels, options.follow_external
            )
        except ERRORS_OF_H5PY as error:
            raise UserError(f"{path}: {self.name} cannot be read ({first_line(error)})") from error
        self._digits = max(FEWEST_DIGITS, len(str(count)))
        self._first, self._pictures = 0, np.empty(0, np.uint8)  # the block that was read last

    def __iter__(self) -> Iterator[Row]:
        """See Rows."""
        for place, label in enumerate(self._labels):
            try:
                picture = self._picture(place, self._array.rows_at_once)
            except ERRORS_OF_H5PY as error:
                raise damaged_at(self._path, f"picture {place:,} of {self.name}", error) from error
            yield Row(place, f"{self.name}/{place:0{self._digits}d}.png", encode_png(picture), label)

    def read(self, place: int) -> bytes:
        """See Rows. A chunk is decompressed as a whole, and kept for the next picture."""
        is_in_chunks = self._array.dataset.chunks is not None
        try:
            return encode_png(self._picture(place, self._array.rows_at_once if is_in_chunks else 1))
        except ERRORS_OF_H5PY as error:
            raise UserError(f"{self._path} is damaged at picture {place:,} ({first_line(error)})") from error

    def _picture(self, place: int, rows: int) -> np.ndarray:
        if not self._first <= place < self._first + len(self._pictures):
            first = place - place % rows
            self._pictures = self._array.pictures(first, min(first + rows, len(self._array)))
            self._first = first
        return self._pictures[place - self._first]

    def close(self) -> None:
        """See Rows."""
        self._file.close()
