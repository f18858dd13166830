"""The images that are bytes or base64 in a field of an HDF5 table: TableRows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py

from imagestore.console import UserError, first_line
from imagestore.hdf5.datasets import check_readable
from imagestore.hdf5.datasets_below import FoundDataset
from imagestore.hdf5.open_hdf5 import ERRORS_OF_H5PY
from imagestore.image_formats import suffix_of
from imagestore.tables.base64_images import decode_or_keep
from imagestore.tables.label_arrays import find_labels_of
from imagestore.tables.row_archive import FEWEST_DIGITS, Row, damaged_at
from imagestore.tables.table_fields import TableField, bytes_in, holds_base64, rows_at_once
from imagestore.tables.table_options import TableOptions
from imagestore.tables.virtual_sources import check_sources


class TableRows:
    """The images of one field. The label is in another field, or in an array beside the table."""

    def __init__(self, path: Path, file: h5py.File, found: FoundDataset, options: TableOptions) -> None:
        """Take over an open file. `found` is a TableField of bytes. Raises UserError."""
        self._path, self._file = path, file
        self.name = found.path
        self._field: TableField = found.dataset
        try:
            check_readable(self._field.id, options.follow_external)
            check_sources(path, self.name, self._field)
            self._labels = find_labels_of(
                file, path, self.name, len(self._field), options.labels, options.follow_external
            )
        except ERRORS_OF_H5PY as error:
            raise UserError(f"{path}: {self.name} cannot be read ({first_line(error)})") from error
        self._digits = max(FEWEST_DIGITS, len(str(len(self._field))))
        self._rows_at_once = rows_at_once(self._field)
        self._is_base64 = holds_base64(self._field)
        self._first, self._block = 0, []  # the rows that were read last

    def __iter__(self) -> Iterator[Row]:
        """See Rows."""
        for place, label in enumerate(self._labels):
            try:
                data = self._bytes(place, self._rows_at_once)
            except ERRORS_OF_H5PY as error:
                raise damaged_at(self._path, f"row {place:,} of {self.name}", error) from error
            yield Row(place, f"{self.name}/{place:0{self._digits}d}{suffix_of(data)}", data, label)

    def read(self, place: int) -> bytes:
        """See Rows. A chunk is decompressed as a whole, and kept for the next row."""
        try:
            return self._bytes(place, self._rows_at_once if self._field.chunks else 1)
        except ERRORS_OF_H5PY as error:
            raise UserError(f"{self._path} is damaged at row {place:,} ({first_line(error)})") from error

    def _bytes(self, place: int, rows: int) -> bytes:
        if not self._first <= place < self._first + len(self._block):
            first = place - place % rows
            self._block = bytes_in(self._field, first, min(first + rows, len(self._field)))
            self._first = first
        data = self._block[place - self._first]
        return (decode_or_keep(data) or b"") if self._is_base64 else data

    def close(self) -> None:
        """See Rows."""
        self._file.close()
