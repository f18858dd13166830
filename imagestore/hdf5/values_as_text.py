"""Values that HDF5 holds as text: of attributes, and of arrays whose elements NumPy has no type for."""

from __future__ import annotations

import json
import math

import h5py
import numpy as np
from h5py import h5d, h5t

from imagestore import stored_names
from imagestore.hdf5.datasets import check_readable
from imagestore.hdf5.memory_types import CannotBeShown
from imagestore.hdf5.stored_bytes import Block, blocks
from imagestore.hdf5.vlen_descriptors import OTHER_FILE, read_descriptors

MOST_TEXTS = 1 << 20  # of one dataset, if all of them must be read to know how long the longest is
MOST_TEXT_BYTES = 1 << 30  # of a file of texts, each of which takes the room of the longest
TEXTS_AT_ONCE = 1 << 12


def text_of(value: object) -> bytes:
    """Text as UTF-8, bytes as they are, other values as JSON."""
    if isinstance(value, str):
        return stored_names.encode(value)
    if isinstance(value, bytes):
        return value
    return stored_names.encode(json.dumps(_jsonable(value), ensure_ascii=False))


def json_of(value: object) -> bytes:
    """Any value as JSON in ASCII; bytes that are not UTF-8 are surrogates in it."""
    return json.dumps(_jsonable(value)).encode()


def _jsonable(value: object) -> object:
    """A value of h5py as one that json.dumps takes; complex numbers as [real, imaginary]."""
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, np.ndarray):
        return [_jsonable(item) for item in value]
    if isinstance(value, np.void) and value.dtype.names:
        return {name: _jsonable(value[name]) for name in value.dtype.names}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, complex):
        return [value.real, value.imag]
    if isinstance(value, bytes):
        return stored_names.decode(value)
    return value if isinstance(value, (str, int, float, bool, list)) or value is None else str(value)


def longest_text(
    dataset: h5d.DatasetID, shape: tuple[int, ...], follow_external: bool, fd: int = OTHER_FILE
) -> int:
    """The length in bytes of the longest element of a dataset as text; at least 1.

    `fd` is the file that holds the dataset. Raises OSError (see `check_readable`), or CannotBeShown if texts
    of this length take too much room, or if there are too many elements to read them all.
    """
    count = math.prod(shape)
    lengths = list_lengths(dataset, fd) if is_variable_text(dataset.get_type()) else None
    if lengths is None:
        longest = _longest_element(dataset, shape, follow_external)
    else:
        longest = int(lengths.max(initial=1))
    if count * longest > MOST_TEXT_BYTES:
        raise CannotBeShown(f"{count:,} texts of which one has {longest:,} bytes are too large for one file")
    return longest


def list_lengths(dataset: h5d.DatasetID, fd: int) -> np.ndarray | None:
    """The lengths of the lists or texts in a dataset, (n,) in C order; None if only HDF5 knows them.

    `fd` is the file that holds the dataset. Raises OSError if a filter is missing.
    """
    if fd == OTHER_FILE:
        return None
    descriptors = read_descriptors(dataset, fd)
    return None if descriptors is None else descriptors["length"]


def are_too_large(lengths: np.ndarray) -> bool:
    """Whether texts of these lengths take too much room for one file if all are as long as the longest."""
    return len(lengths) * int(lengths.max(initial=0)) > MOST_TEXT_BYTES


def is_variable_text(kind: h5t.TypeID) -> bool:
    """Whether values of a type are texts of any length."""
    return isinstance(kind, h5t.TypeStringID) and kind.is_variable_str()


def _longest_element(dataset: h5d.DatasetID, shape: tuple[int, ...], follow_external: bool) -> int:
    count = math.prod(shape)
    if count > MOST_TEXTS:
        raise CannotBeShown(f"{count:,} texts or lists are too many for one file")
    check_readable(dataset, follow_external)
    longest = 1
    for first in range(0, count, TEXTS_AT_ONCE):
        for block in blocks(shape, first, min(first + TEXTS_AT_ONCE, count)):
            longest = max(longest, *(len(text_of(value)) for value in objects_in(dataset, block)))
    return longest


def objects_in(dataset: h5d.DatasetID, block: Block) -> list[object]:
    """The elements of a block as h5py reads them, one Python object for each."""
    values, count = h5py.Dataset(dataset)[slices_of(dataset, block)], math.prod(block[1])
    if not dataset.rank:
        return [values]
    if values.size == count:
        return list(values.reshape(count))
    return list(values.reshape(count, -1))  # each element is an array itself


def slices_of(dataset: h5d.DatasetID, block: Block) -> tuple[slice, ...]:
    """A block as an index for h5py."""
    return tuple(slice(at, at + n) for at, n in zip(*block, strict=True)) if dataset.rank else ()
