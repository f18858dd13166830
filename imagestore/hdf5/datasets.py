"""Datasets and their attributes: how this suite writes them, and which datasets may be read."""

from __future__ import annotations

import numpy as np
from h5py import h5a, h5d, h5g, h5i, h5p, h5s, h5t

from imagestore.hdf5.entry import NO_OFFSET
from imagestore.hdf5.external_data import has_external_data, sources_in_this_file
from imagestore.hdf5.filters import check_filters, load_plugins

FILE_FORMAT = "imagestore 1"  # the root attribute H5VFS of each file that is made here
INTEGER_TYPES = {"<u4": h5t.STD_U32LE, "<i8": h5t.STD_I64LE}  # NumPy's name: HDF5's type


def contiguous_layout() -> h5p.PropDCID:
    """The layout of new datasets: contiguous, allocated at once, never filled, without times."""
    layout = h5p.create(h5p.DATASET_CREATE)
    layout.set_layout(h5d.CONTIGUOUS)
    layout.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5d.FILL_TIME_NEVER)
    layout.set_obj_track_times(False)
    return layout


def is_bytes(dataset: h5d.DatasetID) -> bool:
    """Whether a dataset is a 1-D array of unsigned bytes: the way in which a store holds a file."""
    return length_of_bytes(dataset) is not None


def length_of_bytes(dataset: h5d.DatasetID) -> int | None:
    """The length of a 1-D array of unsigned bytes; None for any other dataset."""
    kind = dataset.get_type()
    if not isinstance(kind, h5t.TypeIntegerID) or kind.get_size() != 1 or kind.get_sign() != h5t.SGN_NONE:
        return None
    shape = dataset.shape
    return shape[0] if shape is not None and len(shape) == 1 else None


def data_offset(dataset: h5d.DatasetID) -> int:
    """Where the bytes of a dataset are in the file; NO_OFFSET if chunked, compact or not allocated."""
    offset = dataset.get_offset()
    if offset is None or (_may_be_undefined(offset) and not dataset.get_storage_size()):
        return NO_OFFSET
    return offset


def _may_be_undefined(offset: int) -> bool:
    """Whether h5py may mean "no address" by it: it adds the size of the user block to -1."""
    return offset & (offset + 1) == 0  # a user block has 512 bytes, 1024, and so on


def places_of_bytes(dataset: h5d.DatasetID) -> list[tuple[int, int]]:
    """(offset, size) of each part of the file that holds bytes of a dataset; none if they are elsewhere.

    Chunks are not found in a file that begins with bytes of a user: versions of HDF5 count from other places.
    """
    layout = dataset.get_create_plist().get_layout()
    if layout == h5d.CHUNKED:
        if h5i.get_file_id(dataset).get_create_plist().get_userblock():
            return []
        chunks = (dataset.get_chunk_info(i) for i in range(dataset.get_num_chunks()))
        return [(chunk.byte_offset, chunk.size) for chunk in chunks]
    offset = data_offset(dataset) if layout == h5d.CONTIGUOUS else NO_OFFSET
    size = dataset.get_storage_size()
    return [] if offset == NO_OFFSET or size == 0 else [(offset, size)]


def check_readable(dataset: h5d.DatasetID, follow_external: bool = False) -> None:
    """Raise OSError if a filter is missing, or if the bytes are in another file and may not be read there.

    This loads the filters, of a virtual dataset those of its sources too.
    """
    if not follow_external and has_external_data(dataset):
        raise OSError("its bytes are in another file, which is only read with --follow-external")
    properties = dataset.get_create_plist()
    check_filters(properties)
    if properties.get_layout() == h5d.VIRTUAL:
        load_plugins()  # for sources in other files, which only HDF5 opens
        for source in sources_in_this_file(dataset):
            check_filters(source.get_create_plist())


def integer_attribute(owner: h5g.GroupID | h5d.DatasetID, name: bytes) -> int | None:
    """The value of an attribute that is one integer; None if there is no such attribute."""
    if not h5a.exists(owner, name):
        return None
    attribute = h5a.open(owner, name)
    if attribute.shape not in ((), (1,)) or not isinstance(attribute.get_type(), h5t.TypeIntegerID):
        return None
    value = np.zeros(attribute.shape, np.int64)
    attribute.read(value)
    return int(value.item())


def write_integer_attribute(
    owner: h5g.GroupID | h5d.DatasetID, name: bytes, value: int, dtype: str, scalar: h5s.SpaceID
) -> None:
    """Add an attribute of one integer. `dtype` is a key of INTEGER_TYPES; `scalar` is a scalar dataspace."""
    kind = INTEGER_TYPES[dtype]
    h5a.create(owner, name, kind, scalar).write(np.array(value, dtype), mtype=kind)
