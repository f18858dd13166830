"""Filters that compress datasets: HDF5 has few, and the package hdf5plugin has blosc, zstd and others."""

from __future__ import annotations

import contextlib

from h5py import h5p, h5z


def check_filters(properties: h5p.PropDCID) -> None:
    """Load the filters of a dataset with these creation properties. Raises OSError if one is missing."""
    for i in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(i)
        _load_filter(code, name.decode(errors="replace") or "unnamed")


def _load_filter(code: int, name: str) -> None:
    if not h5z.filter_avail(code):
        with contextlib.suppress(ImportError):
            import hdf5plugin  # noqa: F401  (the import registers its filters with HDF5)
    if not h5z.filter_avail(code):
        raise OSError(
            f"compressed with a filter that is not installed ({name}, number {code}): pip install hdf5plugin"
        )
