"""The fields of HDF5 tables, which are datasets of records, and those fields that hold images.

PyTables writes such tables, and h5py does from structured arrays of NumPy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import h5py
import numpy as np

from imagestore.hdf5.byte_records import content_size
from imagestore.hdf5.datasets import check_readable
from imagestore.hdf5.datasets_below import FoundDataset
from imagestore.image_formats import begins_as_image
from imagestore.tables.base64_images import begins_as_base64_image
from imagestore.tables.pixel_arrays import BYTES_AT_ONCE, MOST_BYTES_AT_ONCE, is_flattened, is_pixel_array

VLEN_ROWS = 64  # that are read at once: nothing tells how large the values are


@dataclass(frozen=True)
class TableField:
    """A field of a table. It has what a dataset of its values would have."""

    table: h5py.Dataset
    # Of the field; if it is in other fields, theirs come before. Empty for a dataset that is no table.
    names: tuple[str, ...]

    @cached_property
    def _type(self) -> np.dtype:
        dtype = self.table.dtype
        for name in self.names:
            dtype = dtype[name]
        return dtype

    @property
    def dtype(self) -> np.dtype:
        """The type of the values, or of the elements of arrays."""
        return self._type.base

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows, and the shape of the array in each."""
        return (self.table.size, *self._type.shape)

    @property
    def size(self) -> int:
        """The number of all elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """As h5py has it: the number of rows in a chunk comes first."""
        chunks = self.table.chunks
        return None if chunks is None else (int(np.prod(chunks)), *self._type.shape)

    @property
    def id(self) -> h5py.h5d.DatasetID:
        """That of the table."""
        return self.table.id

    @property
    def attrs(self) -> h5py.AttributeManager:
        """Those of the table."""
        return self.table.attrs

    @property
    def parent(self) -> h5py.Group:
        """That of the table."""
        return self.table.parent

    @property
    def file(self) -> h5py.File:
        """That of the table."""
        return self.table.file

    def __len__(self) -> int:
        """The number of rows."""
        return self.table.size

    def __getitem__(self, rows: slice | tuple[()]) -> np.ndarray:
        """The values in these rows; () is all. Raises the errors of h5py."""
        shape, rows = self.table.shape, rows or slice(None)
        long_axis = shape.index(max(shape))
        table = self.table.fields(self.names[0]) if self.names else self.table
        values = table[tuple(rows if i == long_axis else 0 for i in range(len(shape)))]
        for name in self.names[1:]:
            values = values[name]
        return values


def fields_of(path: str, dataset: h5py.Dataset) -> list[FoundDataset]:
    """The fields of a table, those in other fields too; none of other datasets.

    A field has the path of its table, and its names behind that.
    """
    shape = dataset.shape
    if not shape or 0 in shape or max(shape) != dataset.size:
        return []
    try:
        dtype = dataset.dtype
    except TypeError:  # a type that NumPy lacks
        return []
    return [FoundDataset("/".join((path, *names)), TableField(dataset, names)) for names in _names_in(dtype)]


def image_fields(datasets: Iterable[FoundDataset], follow_external: bool = False) -> list[FoundDataset]:
    """The fields of tables that hold images, as bytes, base64 or pixels. Raises the errors of h5py.

    Texts that are a dataset of their own count as a field of it.
    """
    found = []
    for path, dataset in datasets:
        fields = fields_of(path, dataset)
        if not fields and _is_row_of_texts(dataset):
            fields = [FoundDataset(path, TableField(dataset, ()))]
        if fields:
            check_readable(dataset.id, follow_external)
        others = [field.dataset for field in fields]
        found += [field for field in fields if _holds_images(field.dataset, others)]
    return found


def holds_bytes_of_images(field: TableField) -> bool:
    """Whether the first value of a field that is not empty begins as an image does, perhaps in base64."""
    first = _first_value(field)
    return begins_as_image(first) or begins_as_base64_image(first)


def holds_base64(field: TableField) -> bool:
    """Whether the images of a field are texts in base64."""
    return begins_as_base64_image(_first_value(field))


def _first_value(field: TableField) -> bytes:
    """The first value of a field that is not empty; empty if its values are no bytes."""
    if not _may_be_bytes(field):
        return b""
    rows = rows_at_once(field)
    for first in range(0, len(field), rows):
        if found := next(filter(None, bytes_in(field, first, first + rows)), b""):
            return found
    return b""


def bytes_in(field: TableField, first: int, end: int) -> list[bytes]:
    """The bytes in rows `first` to `end` - 1, without zeros behind images. Raises the errors of h5py."""
    values = field[first:end]
    if _is_text(field.dtype):
        return list(values)
    if h5py.check_vlen_dtype(field.dtype):
        return [value.tobytes() for value in values]
    width = values.nbytes // max(1, len(values))
    data = np.ascontiguousarray(values).tobytes()
    records = [data[place : place + width] for place in range(0, len(data), width)]
    return [record[: content_size(record)] if record.strip(b"\0") else b"" for record in records]


def rows_at_once(field: TableField) -> int:
    """How many rows are read at once: a chunk, within bounds."""
    if field.dtype.kind == "O":
        return VLEN_ROWS
    row_bytes = max(1, field.dtype.itemsize * (field.size // max(1, len(field))))
    rows = field.chunks[0] if field.chunks else BYTES_AT_ONCE // row_bytes
    return max(1, min(rows, MOST_BYTES_AT_ONCE // row_bytes))


def _names_in(dtype: np.dtype) -> Iterator[tuple[str, ...]]:
    """The names that lead to each field of a type of records; none for other types."""
    for name in dtype.names or ():
        if dtype[name].names:
            yield from ((name, *names) for names in _names_in(dtype[name]))
        else:
            yield (name,)


def _may_be_bytes(field: TableField) -> bool:
    """Whether values are of variable length, opaque, texts of fixed length, or rows of bytes."""
    if _is_text(field.dtype):
        return len(field.shape) == 1
    if elements := h5py.check_vlen_dtype(field.dtype):
        return np.dtype(elements) in (np.uint8, np.int8)  # `str` for texts
    if field.dtype.kind in "SV":
        return len(field.shape) == 1
    return field.dtype.kind in "iu" and field.dtype.itemsize == 1 and len(field.shape) == 2


def _is_text(dtype: np.dtype) -> bool:
    """Whether values are texts of any length."""
    return dtype.kind == "O" and h5py.check_string_dtype(dtype) is not None


def _is_row_of_texts(dataset: h5py.Dataset) -> bool:
    try:
        dtype = dataset.dtype
    except TypeError:  # a type that NumPy lacks
        return False
    is_row = bool(dataset.shape) and 0 < dataset.size == max(dataset.shape)
    return is_row and (dtype.kind == "S" or _is_text(dtype))


def _holds_images(field: TableField, fields: Sequence[TableField]) -> bool:
    """Whether the values are images. Flattened pixels need a field beside them that may be labels."""
    if holds_bytes_of_images(field) or is_pixel_array(field):
        return True
    return is_flattened(field) and any(
        len(other.shape) == 1 and other.dtype.kind in "iuSO" for other in fields
    )
