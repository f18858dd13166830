"""The compression filters that HDF5 does not have itself, such as blosc and zstd: those of hdf5plugin.

Used by store and by the tree's hdf5_objects, before they read a dataset.
"""

from __future__ import annotations

import contextlib

from h5py import h5d, h5z


def require(dataset: h5d.DatasetID) -> None:
    """Have the filters of a dataset at hand. Raises OSError where one is missing."""
    properties = dataset.get_create_plist()
    for i in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(i)
        if h5z.filter_avail(code):
            continue
        with contextlib.suppress(ImportError):
            import hdf5plugin  # noqa: F401  (it makes its filters known to HDF5)
        if not h5z.filter_avail(code):
            known = name.decode(errors="replace") or "unnamed"
            raise OSError(
                f"compressed with a filter that is not installed ({known}, number {code}): "
                "pip install hdf5plugin"
            )
