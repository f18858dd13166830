"""Datasets whose bytes are in other files: external files and virtual datasets."""

from __future__ import annotations

from h5py import h5d, h5p

THIS_FILE = "."  # the name by which a virtual dataset calls its own file


def has_external_data(properties: h5p.PropDCID) -> bool:
    """Whether the dataset names other files: in a store from a stranger, these may be the reader's own."""
    if properties.get_external_count():
        return True
    if properties.get_layout() != h5d.VIRTUAL:
        return False
    count = properties.get_virtual_count()
    return any(properties.get_virtual_filename(i) != THIS_FILE for i in range(count))
