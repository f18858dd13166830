"""Whether the bytes of a dataset can and may be read: its filters are at hand, and it is in this file.

Used by store and by the tree's hdf5_objects, before they read a dataset through HDF5.
"""

from __future__ import annotations

import contextlib

from h5py import h5d, h5p, h5z

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
