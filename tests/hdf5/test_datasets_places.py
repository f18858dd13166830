"""Where in the file the bytes of a dataset are."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from imagestore.hdf5.datasets import places_of_bytes
from tests.helpers.odd_stores import some_bytes

DATA = np.frombuffer(some_bytes(1), np.uint8)


@pytest.mark.parametrize(("layout", "parts"), [({}, 1), ({"chunks": (1024,)}, 5), ({"chunks": (5000,)}, 1)])
def test_the_parts_hold_the_bytes(tmp_path, layout, parts):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("x", data=DATA, **layout)
        file.flush()
        places = places_of_bytes(dataset.id)
        stored = b"".join(path.read_bytes()[offset : offset + size] for offset, size in places)
    assert len(places) == parts and stored[: len(DATA)] == DATA.tobytes()


def test_bytes_that_are_elsewhere_have_no_place(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=512) as file:
        external = [(tmp_path / "raw", 0, 5000)]
        datasets = [
            file.create_dataset("external", shape=5000, dtype="u1", external=external),
            file.create_dataset("empty", shape=5000, dtype="u1"),
            file.create_dataset("behind a block of the user", data=DATA, chunks=(5000,)),
        ]
        assert [places_of_bytes(dataset.id) for dataset in datasets] == [[], [], []]
