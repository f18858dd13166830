"""The files that a dataset holds: one, one for each element, or none if it is an array of numbers.

Programs keep the bytes of images in many ways: as opaque values, as signed bytes, as a single row, as rows
that are padded with zeros, as elements of variable length. Rows of bytes are told from pixels by what they
begin with.

`fd` is the HDF5 file that holds the dataset, open for reading; OTHER_FILE if that is another file. Every
function raises the errors of h5py.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import h5py
import numpy as np
from h5py import h5d, h5i, h5s, h5t

from imagestore.hdf5.byte_records import ByteRecords, content_size, is_byte, may_be_bytes, records_of
from imagestore.hdf5.datasets import check_readable, data_offset
from imagestore.hdf5.element_files import ElementFiles
from imagestore.hdf5.entry import ELEMENTS, NO_OFFSET
from imagestore.hdf5.global_heap import HeapReader
from imagestore.hdf5.memory_types import is_unknown, numpy_type
from imagestore.hdf5.stored_bytes import stored_bytes_of
from imagestore.hdf5.values_as_text import MOST_TEXTS, are_too_large, is_variable_text, list_lengths
from imagestore.hdf5.vlen_descriptors import OTHER_FILE, read_descriptors
from imagestore.image_formats import FIRST_BYTES, begins_as_image, suffix_of

MOST_ELEMENTS = 1 << 23  # of one dataset: nobody can list a folder of more
BLOCK = 1 << 20  # bytes of records that are read at once
LONG_LISTS = 4 << 20  # bytes of all lists of a dataset, above which they do not become text
MOST_TRIED = 4  # elements whose first bytes are looked for

ReadBytes = Callable[[int, int], bytes]  # (offset in the data of a dataset, size) -> bytes


def no_step(number: int) -> None:
    """Do nothing, where nobody asks how far a long answer has come."""


class OneFile(NamedTuple):
    """A dataset that is one file. Its bytes are the first `size` bytes of its data."""

    size: int
    offset: int  # in the HDF5 file; NO_OFFSET if only HDF5 can read the bytes
    is_image: bool  # whether the bytes begin as an image


def held_files(dataset: h5d.DatasetID, fd: int, follow_external: bool = False) -> OneFile | str | None:
    """The file that a dataset is, ELEMENTS if each of its elements is a file, or None.

    This is for datasets that are no 1-D arrays of unsigned bytes: those are files, whatever they begin with.
    A few elements are read at most, and none if the type says enough.
    """
    kind = dataset.get_type()
    if isinstance(kind, h5t.TypeVlenID):
        return _held_vlen(dataset, kind, fd, follow_external)
    records = records_of(kind, dataset.shape) if may_be_bytes(kind) else None
    if records is None or records.count > MOST_ELEMENTS:
        return None
    read = _reader(dataset, fd, follow_external)
    if records.is_list:
        return ELEMENTS if _suffix_of_records(records, read) else None
    is_image = begins_as_image(read(0, min(FIRST_BYTES, records.width)))
    if not is_image and not records.is_opaque:
        return None
    size = records.width if records.is_opaque else content_size(read(0, records.width))
    return OneFile(size, _data_offset(dataset, fd), is_image)


def needs_element_files(dataset: h5d.DatasetID, fd: int) -> bool:
    """Whether elements are no images, but can only be shown as a file for each of them.

    They are texts of very unequal length, long lists, or lists of values that h5py has no type for.
    """
    kind = dataset.get_type()
    is_text = is_variable_text(kind)
    if not is_text and not isinstance(kind, h5t.TypeVlenID):
        return False
    lengths = list_lengths(dataset, fd)
    if lengths is None or not 0 < len(lengths) <= MOST_ELEMENTS:
        return False
    if is_text:
        return are_too_large(lengths)
    base = kind.get_super()
    is_plain = numpy_type(base) is not None  # no lists of lists
    is_long = len(lengths) > MOST_TEXTS or int(lengths.sum()) * base.get_size() > LONG_LISTS
    return is_unknown(base) or (is_plain and is_long)


def element_files(
    dataset: h5d.DatasetID,
    fd: int,
    follow_external: bool = False,
    on_read: Callable[[int], object] = no_step,
) -> ElementFiles:
    """The files of a dataset that holds ELEMENTS, or that `needs_element_files`.

    `on_read` is called with the number of an element before this and the next elements are read.
    """
    if _has_lists(dataset):
        return _vlen_files(dataset, fd, follow_external, on_read)
    records = records_of(dataset.get_type(), dataset.shape)
    read = _reader(dataset, fd, follow_external)
    size = np.fromiter(_content_sizes(records, read, on_read), np.int64, records.count)
    start = _data_offset(dataset, fd)
    offset = np.full(records.count, NO_OFFSET)
    if start != NO_OFFSET:
        offset = start + records.width * np.arange(records.count)
    return ElementFiles(_suffix_of_records(records, read), size, offset, np.zeros(records.count, np.int64))


def read_element(dataset: h5d.DatasetID, number: int, size: int) -> bytes:
    """The first `size` bytes of an element, through HDF5. The caller makes sure that they may be read."""
    if _has_lists(dataset):
        return _vlen_value(dataset, number)[:size]
    records = records_of(dataset.get_type(), dataset.shape)
    return stored_bytes_of(dataset)(number * records.width, size)


def read_file(dataset: h5d.DatasetID, size: int) -> bytes:
    """The first `size` bytes of a dataset that is one file, through HDF5. See `read_element`."""
    return _vlen_value(dataset, 0)[:size] if is_vlen_bytes(dataset) else stored_bytes_of(dataset)(0, size)


# ----- elements of variable length -----


def is_vlen_bytes(dataset: h5d.DatasetID) -> bool:
    """Whether each element of a dataset is a list, of any length, of single bytes or of opaque values."""
    kind = dataset.get_type()
    return isinstance(kind, h5t.TypeVlenID) and is_byte(kind.get_super())


def _has_lists(dataset: h5d.DatasetID) -> bool:
    """Whether elements are lists or texts of any length."""
    kind = dataset.get_type()
    return isinstance(kind, h5t.TypeVlenID) or is_variable_text(kind)


def _held_vlen(
    dataset: h5d.DatasetID, kind: h5t.TypeVlenID, fd: int, follow_external: bool
) -> OneFile | str | None:
    if not is_byte(kind.get_super()):
        return None
    space = dataset.get_space()
    if space.get_simple_extent_type() == h5s.SCALAR:
        return _vlen_file(dataset, fd, follow_external)
    is_list = space.get_simple_extent_type() == h5s.SIMPLE
    return ELEMENTS if is_list and space.get_simple_extent_npoints() <= MOST_ELEMENTS else None


def _vlen_file(dataset: h5d.DatasetID, fd: int, follow_external: bool) -> OneFile:
    files = _vlen_files(dataset, fd, follow_external, no_step)
    size, offset, heap_number = int(files.size[0]), int(files.offset[0]), int(files.heap_number[0])
    if heap_number:
        offset = HeapReader(fd).place_of(offset, heap_number, size)
    return OneFile(size, offset, is_image=bool(files.suffix))


def _vlen_files(
    dataset: h5d.DatasetID, fd: int, follow_external: bool, on_read: Callable[[int], object]
) -> ElementFiles:
    kind = dataset.get_type()
    is_text = is_variable_text(kind)
    descriptors = None if fd == OTHER_FILE else read_descriptors(dataset, fd)
    if descriptors is None:
        check_readable(dataset, follow_external)
        size = np.fromiter(_converted_sizes(dataset, on_read), np.int64)
        offset, heap_number = np.full(len(size), NO_OFFSET), np.zeros(len(size), np.int64)
    else:
        size = descriptors["length"].astype(np.int64) * (1 if is_text else kind.get_super().get_size())
        start = h5i.get_file_id(dataset).get_create_plist().get_userblock()
        offset = np.where(size > 0, descriptors["collection"] + start, NO_OFFSET)
        heap_number = np.where(size > 0, descriptors["number"].astype(np.int64), 0)
    files = ElementFiles(".txt" if is_text else "", size, offset, heap_number)
    if is_text:
        return files
    return files._replace(suffix=suffix_of(_first_bytes_of_vlen(dataset, fd, files)))


def _first_bytes_of_vlen(dataset: h5d.DatasetID, fd: int, files: ElementFiles) -> bytes:
    """What the first element begins with that is not empty. If it is damaged, the next ones are tried."""
    for number in np.flatnonzero(files.size > 0)[:MOST_TRIED].tolist():
        size, offset, heap_number = (int(column[number]) for column in files[1:])
        with contextlib.suppress(OSError):
            if not heap_number:
                return _vlen_value(dataset, number)[:FIRST_BYTES]
            return os.pread(fd, min(size, FIRST_BYTES), HeapReader(fd).place_of(offset, heap_number, size))
    return b""


def _vlen_value(dataset: h5d.DatasetID, number: int) -> bytes:
    place = np.unravel_index(number, dataset.shape) if dataset.shape else ()
    return np.asarray(h5py.Dataset(dataset)[tuple(map(int, place))]).tobytes()


def _converted_sizes(dataset: h5d.DatasetID, on_read: Callable[[int], object]) -> Iterator[int]:
    for number in range(dataset.get_space().get_simple_extent_npoints()):
        on_read(number)
        yield len(_vlen_value(dataset, number))


# ----- records of equal width -----


def _reader(dataset: h5d.DatasetID, fd: int, follow_external: bool) -> ReadBytes:
    """How to read the bytes of a dataset's data. Raises OSError if they may not be read."""
    start = _data_offset(dataset, fd)
    if start != NO_OFFSET:
        return lambda offset, size: os.pread(fd, size, start + offset)
    check_readable(dataset, follow_external)
    return stored_bytes_of(dataset)


def _data_offset(dataset: h5d.DatasetID, fd: int) -> int:
    return NO_OFFSET if fd == OTHER_FILE else data_offset(dataset)


def _suffix_of_records(records: ByteRecords, read: ReadBytes) -> str:
    """The suffix of the first image among the records; "" if some record is neither an image nor empty.

    Only the first record, the last and one between them are looked at.
    """
    first_suffix = ""
    for number in sorted({0, records.count // 2, records.count - 1}):
        head = read(number * records.width, min(FIRST_BYTES, records.width))
        suffix = suffix_of(head)
        if not suffix and head.strip(b"\0"):
            return ""
        first_suffix = first_suffix or suffix
    return first_suffix


def _content_sizes(records: ByteRecords, read: ReadBytes, on_read: Callable[[int], object]) -> Iterator[int]:
    at_once = max(1, BLOCK // records.width)
    for first in range(0, records.count, at_once):
        on_read(first)
        count = min(at_once, records.count - first)
        block = read(first * records.width, count * records.width)
        for start in range(0, count * records.width, records.width):
            yield content_size(block[start : start + records.width])
