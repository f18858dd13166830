"""A dataset read as a file, a slice at a time. Runs in the helper process only, since HDF5 may crash.

A 1-D uint8 dataset is a file with its bytes. Any other dataset is a NumPy file: a header made here, and then
the elements in C order. Elements that NumPy has no type for (text of any length, references, ragged arrays)
become text. The format of the header:
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

import h5py
import numpy as np
from h5py import h5d, h5f, h5p

from imagestore.hdf5.datasets import check_readable, is_bytes
from imagestore.hdf5.stored_bytes import blocks
from imagestore.hdf5.values_as_text import elements_as_text

CHUNK_CACHE = (
    16 << 20
)  # bytes for each open dataset; without a cache, each slice decompresses its chunk again
CHUNK_CACHE_SLOTS = 521  # HDF5's own default


@dataclass(frozen=True, kw_only=True)
class DatasetFile:
    """A dataset as a file: a header (empty for plain bytes), then the elements in C order."""

    dataset: h5d.DatasetID
    header: bytes
    shape: tuple[int, ...]
    dtype: np.dtype
    text: bytes | None = None  # all of the data, if the elements are shown as text

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return len(self.header) + math.prod(self.shape) * self.dtype.itemsize

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer at the end of the file."""
        head = self.header[offset : offset + size]
        return head + self._read_data(max(0, offset - len(self.header)), size - len(head))

    def _read_data(self, offset: int, size: int) -> bytes:
        if self.text is not None:
            return self.text[offset : offset + size]
        first = offset // self.dtype.itemsize
        last = min(-(-(offset + size) // self.dtype.itemsize), math.prod(self.shape))
        skip = offset - first * self.dtype.itemsize
        return b"".join(self._read_elements(first, last))[skip : skip + size]

    def _read_elements(self, first: int, last: int) -> Iterator[bytes]:
        """The elements first:last in C order."""
        source = h5py.Dataset(self.dataset)
        for start, count in blocks(self.shape, first, last):
            block = tuple(slice(at, at + n) for at, n in zip(start, count, strict=True)) if self.shape else ()
            yield np.ascontiguousarray(source[block]).astype(self.dtype.base, copy=False).tobytes()


def dataset_as_file(dataset: h5d.DatasetID, follow_external: bool) -> DatasetFile:
    """An open dataset as a file.

    Raises OSError or ValueError if its elements are text and cannot be read: all of them are read at once.
    """
    shape = dataset.shape if dataset.shape is not None else (0,)
    if is_bytes(dataset):
        return DatasetFile(dataset=dataset, header=b"", shape=shape, dtype=np.dtype(np.uint8))
    if dataset.dtype.hasobject:
        texts = elements_as_text(dataset, shape, follow_external)
        header = _numpy_header(shape, texts.dtype)
        return DatasetFile(
            dataset=dataset, header=header, shape=shape, dtype=texts.dtype, text=texts.tobytes()
        )
    dtype = _plain_type(dataset.dtype)
    # Elements that are arrays themselves become further axes of the NumPy array.
    header = _numpy_header(shape + dtype.shape, dtype.base)
    return DatasetFile(dataset=dataset, header=header, shape=shape, dtype=dtype)


def open_to_read(file: h5f.FileID, path: bytes, *, cache_bytes: int, follow_external: bool) -> h5d.DatasetID:
    """Open a dataset with a chunk cache of its own, to read slices of it.

    The dataset must not be open: only then HDF5 makes a cache. Raises OSError (see `check_readable`).
    """
    access = h5p.create(h5p.DATASET_ACCESS)
    access.set_chunk_cache(CHUNK_CACHE_SLOTS, cache_bytes, 1.0)
    dataset = h5d.open(file, path, access)
    check_readable(dataset, follow_external)
    return dataset


def chunk_cache_bytes(dataset: h5d.DatasetID) -> int:
    """The size of the chunk cache that a dataset needs: at least one chunk, which HDF5 must hold anyway."""
    properties = dataset.get_create_plist()
    if properties.get_layout() != h5d.CHUNKED:
        return CHUNK_CACHE
    return max(CHUNK_CACHE, math.prod(properties.get_chunk()) * dataset.get_type().get_size())


def _plain_type(dtype: np.dtype) -> np.dtype:
    """A type without h5py's notes (such as the names of an enumeration), which no NumPy file can hold."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.dtype((_plain_type(base), shape))
    if dtype.names is None:
        return np.dtype(dtype.str)
    fields = [dtype.fields[name] for name in dtype.names]
    formats, offsets = [_plain_type(field[0]) for field in fields], [field[1] for field in fields]
    return np.dtype(
        {"names": dtype.names, "formats": formats, "offsets": offsets, "itemsize": dtype.itemsize}
    )


def _numpy_header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    buffer = io.BytesIO()
    fields = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    try:
        np.lib.format.write_array_header_1_0(buffer, fields)
    except UnicodeEncodeError:  # names of fields that are not Latin-1
        return _numpy_header_3(fields)
    except ValueError:  # longer than 64 KB: thousands of fields
        np.lib.format.write_array_header_2_0(buffer, fields)
    return buffer.getvalue()


def _numpy_header_3(fields: dict[str, object]) -> bytes:
    """The header in format 3.0, which is UTF-8; NumPy has no public function that writes it."""
    text = repr(fields).encode()
    padding = -(len(text) + 13) % 64
    text += b" " * padding + b"\n"
    return np.lib.format.magic(3, 0) + len(text).to_bytes(4, "little") + text
