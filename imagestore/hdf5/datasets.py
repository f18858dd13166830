"""Whether the bytes of a dataset can and may be read: its filters are at hand, and it is in this file.

Used by store and by the tree's hdf5_objects, before they read a dataset through HDF5.
"""

from __future__ import annotations

import contextlib

import numpy as np
from h5py import h5a, h5d, h5g, h5p, h5t, h5z

THIS_FILE = "."  # as a virtual dataset names it


def check(dataset: h5d.DatasetID, follow_external: bool = False) -> None:
    """Raise OSError where a filter is missing, or where the bytes would come from another file."""
    properties = dataset.get_create_plist()
    if not follow_external and _leads_outside(properties):
        raise OSError("its bytes are in another file, which is only read with --follow-external")
    for i in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(i)
        _have_filter(code, name.decode(errors="replace") or "unnamed")


def _leads_outside(properties: h5p.PropDCID) -> bool:
    """Whether a store from elsewhere would show its reader's own files: any that HDF5 is told the name of."""
    if properties.get_external_count():
        return True
    if properties.get_layout() != h5d.VIRTUAL:
        return False
    count = properties.get_virtual_count()
    return any(properties.get_virtual_filename(i) != THIS_FILE for i in range(count))


def _have_filter(code: int, name: str) -> None:
    """HDF5 has few filters itself; hdf5plugin, where it is installed, has blosc, zstd and others."""
    if not h5z.filter_avail(code):
        with contextlib.suppress(ImportError):
            import hdf5plugin  # noqa: F401  (it makes its filters known to HDF5)
    if not h5z.filter_avail(code):
        raise OSError(
            f"compressed with a filter that is not installed ({name}, number {code}): pip install hdf5plugin"
        )


def is_bytes(dataset: h5d.DatasetID) -> bool:
    """Whether a dataset is a file: one-dimensional, of unsigned bytes."""
    kind = dataset.get_type()
    return (
        dataset.rank == 1
        and isinstance(kind, h5t.TypeIntegerID)
        and kind.get_size() == 1
        and kind.get_sign() == 0
    )


def integer_attribute(owner: h5g.GroupID | h5d.DatasetID, name: bytes) -> int | None:
    """An attribute that is one integer; None where there is none of that name and kind."""
    if not h5a.exists(owner, name):
        return None
    attribute = h5a.open(owner, name)
    if attribute.shape not in ((), (1,)) or not isinstance(attribute.get_type(), h5t.TypeIntegerID):
        return None
    value = np.zeros(attribute.shape, np.int64)
    attribute.read(value)
    return int(value.item())


def contiguous_layout() -> h5p.PropDCID:
    """How datasets are made here: in one piece, allocated at once, never filled, without times."""
    layout = h5p.create(h5p.DATASET_CREATE)
    layout.set_layout(h5d.CONTIGUOUS)
    layout.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5d.FILL_TIME_NEVER)
    layout.set_obj_track_times(False)
    return layout
