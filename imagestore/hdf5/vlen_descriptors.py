"""The descriptors of elements of variable length: how long each is, and where its bytes are.

HDF5 gives no descriptors: it always reads the bytes that they lead to. So they are read here as they are
stored, from the file or chunk by chunk through HDF5's own filters. That takes a thousandth of the time.
"""

from __future__ import annotations

import os

import numpy as np
from h5py import h5d, h5f, h5i, h5p, h5s, h5t

from imagestore.hdf5.filters import check_filters

OTHER_FILE = -1  # in place of the descriptor of the file that holds a dataset
# "length" counts values, not bytes. "collection" is an address and "number" an object of the global heap.
DESCRIPTOR = np.dtype([("length", "<u4"), ("collection", "<i8"), ("number", "<u4")])


def read_descriptors(dataset: h5d.DatasetID, fd: int) -> np.ndarray | None:
    """The descriptors of all elements, DESCRIPTOR (n,), in C order; `fd` is the file that holds the dataset.

    The descriptor of an element that was never written is all zeros. The result is None if only HDF5 knows
    where the descriptors are (compact and virtual datasets). Raises OSError if a filter is missing.
    """
    properties = dataset.get_create_plist()
    layout = properties.get_layout()
    if h5i.get_file_id(dataset).get_create_plist().get_sizes() != (8, 8):
        return None  # descriptors of another size
    count = dataset.get_space().get_simple_extent_npoints()
    if layout == h5d.CHUNKED:
        return _chunked(dataset, properties).reshape(count)
    if layout == h5d.CONTIGUOUS:
        return _contiguous(dataset, fd, count)
    return None


def _contiguous(dataset: h5d.DatasetID, fd: int, count: int) -> np.ndarray | None:
    if not dataset.get_storage_size():
        return np.zeros(count, DESCRIPTOR)
    offset = dataset.get_offset()
    if offset is None:  # its bytes are in external files
        return None
    data = os.pread(fd, count * DESCRIPTOR.itemsize, offset)
    if len(data) < count * DESCRIPTOR.itemsize:
        raise OSError("cut short")
    return np.frombuffer(data, DESCRIPTOR)


def _chunked(dataset: h5d.DatasetID, properties: h5p.PropDCID) -> np.ndarray:
    """The descriptors in the shape of the dataset.

    The stored chunks are copied into a dataset in memory that has the same filters and opaque elements. HDF5
    then undoes the filters and converts nothing.
    """
    check_filters(properties)
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fapl_core(1 << 20, False)
    file = h5f.create(b"descriptors", fapl=access)
    try:
        copy = _opaque_copy(file, dataset.shape, properties)
        dataset.chunk_iter(lambda chunk: _copy_chunk(dataset, copy, chunk))
        descriptors = np.zeros(dataset.shape, DESCRIPTOR)
        copy.read(h5s.ALL, h5s.ALL, descriptors, mtype=copy.get_type())
    finally:
        file.close()
    return descriptors


def _opaque_copy(file: h5f.FileID, shape: tuple[int, ...], properties: h5p.PropDCID) -> h5d.DatasetID:
    """A new dataset with the chunks and filters of these properties, whose elements are opaque."""
    layout = h5p.create(h5p.DATASET_CREATE)
    layout.set_chunk(properties.get_chunk())
    for i in range(properties.get_nfilters()):
        code, flags, values, _ = properties.get_filter(i)
        layout.set_filter(code, flags, values)
    opaque = h5t.create(h5t.OPAQUE, DESCRIPTOR.itemsize)
    opaque.set_tag(b"descriptor")
    space = h5s.create_simple(shape, (h5s.UNLIMITED,) * len(shape))
    return h5d.create(file, b"copy", opaque, space, dcpl=layout)


def _copy_chunk(dataset: h5d.DatasetID, copy: h5d.DatasetID, chunk: h5d.StoreInfo) -> None:
    filter_mask, data = dataset.read_direct_chunk(chunk.chunk_offset)
    copy.write_direct_chunk(chunk.chunk_offset, data, filter_mask)
