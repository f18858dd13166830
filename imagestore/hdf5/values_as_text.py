"""Values that HDF5 holds as text: of attributes, and of arrays whose elements NumPy has no type for."""

from __future__ import annotations

import json
import math

import h5py
import numpy as np
from h5py import h5d

from imagestore import stored_names
from imagestore.hdf5.datasets import check_readable

MOST_TEXTS = 1 << 17  # elements; all of them must be read to know how long the longest text is
MOST_TEXT_BYTES = 64 << 20


def text_of(value: object) -> bytes:
    """Text as UTF-8, bytes as they are, other values as JSON."""
    if isinstance(value, str):
        return stored_names.encode(value)
    if isinstance(value, bytes):
        return value
    return stored_names.encode(json.dumps(_jsonable(value), ensure_ascii=False))


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


def elements_as_text(dataset: h5d.DatasetID, shape: tuple[int, ...], follow_external: bool) -> np.ndarray:
    """The elements of a dataset as bytes of one length, 1-D, in C order.

    Raises OSError (see `check_readable`), or ValueError if there are too many elements or they are too long.
    """
    count = math.prod(shape)
    if count > MOST_TEXTS:
        raise ValueError("too many texts to show as one file")
    check_readable(dataset, follow_external)
    values = np.empty(count, object)
    if count:
        values[:] = np.asarray(h5py.Dataset(dataset)[()], object).reshape(count)
    texts = [text_of(value) for value in values]
    longest = max([1, *map(len, texts)])
    if count * longest > MOST_TEXT_BYTES:
        raise ValueError("texts too long to show as one file")
    return np.array(texts, dtype=f"S{longest}")
