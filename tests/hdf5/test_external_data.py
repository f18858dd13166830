"""Datasets whose bytes are in other files."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from imagestore.hdf5.datasets import check_readable
from tests.helpers.odd_stores import some_bytes

DATA = np.frombuffer(some_bytes(1), np.uint8)


@pytest.fixture
def file(tmp_path) -> h5py.File:
    """An empty HDF5 file, open for writing."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        yield file


def test_bytes_in_another_file_are_refused(file, tmp_path):
    (tmp_path / "raw").write_bytes(bytes(10))
    file.create_dataset("x", data=DATA[:10], external=[(str(tmp_path / "raw"), 0, 10)])
    with pytest.raises(OSError, match=r"another file.*--follow-external"):
        check_readable(file["x"].id)
    check_readable(file["x"].id, follow_external=True)


@pytest.mark.parametrize(("source", "is_refused"), [(".", False), ("other.h5", True)])
def test_a_virtual_dataset_may_only_lead_to_its_own_file(file, source, is_refused):
    file["y"] = DATA
    layout = h5py.VirtualLayout((len(DATA),), np.uint8)
    layout[:] = h5py.VirtualSource(source, "y", (len(DATA),))
    file.create_virtual_dataset("x", layout)
    check_readable(file["x"].id, follow_external=True)
    if is_refused:
        with pytest.raises(OSError, match="another file"):
            check_readable(file["x"].id)
    else:
        check_readable(file["x"].id)
