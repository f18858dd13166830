"""A dataset read as a file, a slice at a time. Runs in the helper process only, since HDF5 may crash.

A 1-D uint8 dataset is a file with its bytes. Any other dataset is a NumPy file: a header made here, and then
the elements in C order. Texts and lists of any length become texts of the length of the longest. For elements
of other types that NumPy lacks, see `memory_types.py`. The format of the header:
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import h5py
import numpy as np
from h5py import h5d, h5f, h5p, h5t

from imagestore.hdf5.datasets import check_readable, is_bytes
from imagestore.hdf5.memory_types import holds_objects, memory_type, numpy_type
from imagestore.hdf5.stored_bytes import Block, blocks, read_block
from imagestore.hdf5.values_as_text import longest_text, objects_in, slices_of, text_of
from imagestore.hdf5.vlen_descriptors import OTHER_FILE

CHUNK_CACHE = 16 << 20  # bytes for each open dataset; without it, each slice decompresses its chunk again
CHUNK_CACHE_SLOTS = 521  # HDF5's own default


@dataclass(frozen=True, kw_only=True)
class DatasetFile:
    """A dataset as a file: a header (empty for plain bytes), then the elements in C order."""

    dataset: h5d.DatasetID
    header: bytes
    shape: tuple[int, ...]
    dtype: np.dtype  # of an element in the file
    memory: h5t.TypeID | None = None  # the type to read elements with; None if they are read as h5py does
    is_text: bool = False  # whether elements are Python objects for h5py, and become text

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return len(self.header) + math.prod(self.shape) * self.dtype.itemsize

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer at the end of the file."""
        head = self.header[offset : offset + size]
        return head + self._read_data(max(0, offset - len(self.header)), size - len(head))

    def _read_data(self, offset: int, size: int) -> bytes:
        first = offset // self.dtype.itemsize
        last = min(-(-(offset + size) // self.dtype.itemsize), math.prod(self.shape))
        skip = offset - first * self.dtype.itemsize
        data = b"".join(map(self._read_block, blocks(self.shape, first, last)))
        return data[skip : skip + size]

    def _read_block(self, block: Block) -> bytes:
        if self.memory is not None:
            return read_block(self.dataset, block, self.memory)
        if self.is_text:
            return np.array(
                [text_of(value) for value in objects_in(self.dataset, block)], self.dtype
            ).tobytes()
        values = h5py.Dataset(self.dataset)[slices_of(self.dataset, block)]
        return np.ascontiguousarray(values).astype(self.dtype.base, copy=False).tobytes()


def dataset_as_file(dataset: h5d.DatasetID, follow_external: bool, fd: int = OTHER_FILE) -> DatasetFile:
    """An open dataset as a file; `fd` is the HDF5 file that holds it.

    To learn how long texts are, their descriptors are read from there. Other lists, and texts in another
    file, are read whole. Raises CannotBeShown, or OSError if they cannot be read.
    """
    shape = dataset.shape if dataset.shape is not None else (0,)
    if is_bytes(dataset):
        return DatasetFile(dataset=dataset, header=b"", shape=shape, dtype=np.dtype(np.uint8))
    kind = dataset.get_type()
    dtype, memory = numpy_type(kind), None
    if dtype is None and holds_objects(kind):
        dtype = np.dtype(f"S{longest_text(dataset, shape, follow_external, fd)}")
        header = _numpy_header(shape, dtype)
        return DatasetFile(dataset=dataset, header=header, shape=shape, dtype=dtype, is_text=True)
    if dtype is None:
        dtype, memory = memory_type(kind)
    # Elements that are arrays themselves become further axes of the NumPy array.
    header = _numpy_header(shape + dtype.shape, dtype.base)
    return DatasetFile(dataset=dataset, header=header, shape=shape, dtype=dtype, memory=memory)


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
