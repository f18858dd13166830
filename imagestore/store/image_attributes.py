"""The attributes of an image's dataset, written and read: member, crc32, palette, Modified, Created."""

from __future__ import annotations

import numpy as np
from h5py import h5a, h5d, h5s, h5t

from imagestore.hdf5.datasets import integer_attribute, write_integer_attribute
from imagestore.hdf5.open_hdf5 import ERRORS_OF_H5PY
from imagestore.store.record import PALETTE_COLUMNS, ImageRecord


def read_record(dataset: h5d.DatasetID, label: bytes, name: bytes, size: int) -> ImageRecord:
    """One image, from the attributes of its dataset."""
    created = integer_attribute(dataset, b"Created") or 0
    modified = integer_attribute(dataset, b"Modified")
    return ImageRecord(
        label=label,
        name=name,
        size=size,
        member=_archive_member(dataset),
        crc32=integer_attribute(dataset, b"crc32"),
        mtime=created if modified is None else modified,
        created=created,
    )


def _archive_member(dataset: h5d.DatasetID) -> bytes:
    """The attribute `member`, if it is text of fixed length; else empty."""
    if not h5a.exists(dataset, b"member"):
        return b""
    attribute = h5a.open(dataset, b"member")
    kind = attribute.get_type()
    if attribute.shape != () or not isinstance(kind, h5t.TypeStringID) or kind.is_variable_str():
        return b""
    value = np.empty((), f"S{kind.get_size()}")
    attribute.read(value, mtype=kind)
    return value.item()


def read_palette(dataset: h5d.DatasetID) -> np.ndarray | None:
    """The palette that is kept with an image (see ImageStore.palette); None if it cannot be read."""
    try:
        if not h5a.exists(dataset, b"palette"):
            return None
        attribute = h5a.open(dataset, b"palette")
        shape = attribute.shape
        is_table = len(shape) == 2 and shape[1] == len(PALETTE_COLUMNS)
        if not is_table or not isinstance(attribute.get_type(), h5t.TypeFloatID):
            return None
        table = np.empty(shape, np.float32)
        attribute.read(table, mtype=h5t.NATIVE_FLOAT)
        return table
    except ERRORS_OF_H5PY:
        return None


class AttributeWriter:
    """Writes the attributes of images.

    Its HDF5 types and dataspaces are made once: to make them for each image would be a sixth of `add`.
    """

    def __init__(self) -> None:
        self._scalar = h5s.create(h5s.SCALAR)
        self._text_types: dict[int, h5t.TypeStringID] = {}  # by length
        self._table_spaces: dict[tuple[int, ...], h5s.SpaceID] = {}  # by shape

    def write(self, dataset: h5d.DatasetID, image: ImageRecord) -> None:
        """Write what is known of an image as attributes of its dataset."""
        if image.palette is not None:
            self._write_palette(dataset, image.palette)
        write_integer_attribute(dataset, b"crc32", image.crc32, "<u4", self._scalar)
        write_integer_attribute(dataset, b"Modified", image.mtime, "<i8", self._scalar)
        write_integer_attribute(dataset, b"Created", image.created, "<i8", self._scalar)
        if image.member:
            self._write_member(dataset, image.member)

    def write_identity(self, dataset: h5d.DatasetID, image: ImageRecord) -> None:
        """Write `crc32` and `member` if the dataset, which another tool made, lacks them."""
        if not h5a.exists(dataset, b"crc32"):
            write_integer_attribute(dataset, b"crc32", image.crc32, "<u4", self._scalar)
        if not h5a.exists(dataset, b"member"):
            self._write_member(dataset, image.member)

    def _write_palette(self, dataset: h5d.DatasetID, palette: np.ndarray) -> None:
        table = np.ascontiguousarray(palette, "<f4")
        if table.shape not in self._table_spaces:
            self._table_spaces[table.shape] = h5s.create_simple(table.shape)
        attribute = h5a.create(dataset, b"palette", h5t.IEEE_F32LE, self._table_spaces[table.shape])
        attribute.write(table, mtype=h5t.IEEE_F32LE)

    def _write_member(self, dataset: h5d.DatasetID, member: bytes) -> None:
        if len(member) not in self._text_types:
            self._text_types[len(member)] = _text_type(len(member))
        kind = self._text_types[len(member)]
        h5a.create(dataset, b"member", kind, self._scalar).write(np.array(member), mtype=kind)


def _text_type(length: int) -> h5t.TypeStringID:
    """UTF-8 text of a fixed length in bytes."""
    kind = h5t.C_S1.copy()
    kind.set_size(length)
    kind.set_strpad(h5t.STR_NULLPAD)
    kind.set_cset(h5t.CSET_UTF8)
    return kind
