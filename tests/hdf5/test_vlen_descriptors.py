"""Descriptors of elements of variable length, in every layout that has them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from imagestore.hdf5.vlen_descriptors import read_descriptors

LENGTHS = [3, 0, 500, 1, 40, 7]


def lengths_of(path) -> list[int] | None:
    with path.open("rb") as raw, h5py.File(path) as file:
        descriptors = read_descriptors(file["x"].id, raw.fileno())
        return None if descriptors is None else descriptors["length"].tolist()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (4,)},
        {"chunks": (100,), "maxshape": (None,)},
        {"chunks": (4,), "compression": "gzip", "shuffle": True},
        {"chunks": (4,), "compression": "lzf"},
    ],
)
@pytest.mark.parametrize("user_block", [0, 1024])
def test_every_length_is_known(tmp_path, options, user_block):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", userblock_size=user_block) as file:
        dataset = file.create_dataset("x", (len(LENGTHS),), h5py.vlen_dtype(np.int8), **options)
        for number, length in enumerate(LENGTHS):
            dataset[number] = np.zeros(length, np.int8)
    assert lengths_of(path) == LENGTHS


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_chunks_of_several_axes(tmp_path, libver):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=libver) as file:
        dataset = file.create_dataset("x", (3, 5), h5py.vlen_dtype(np.uint8), chunks=(2, 2), compression=1)
        for row in range(3):
            for column in range(5):
                dataset[row, column] = np.zeros(10 * row + column, np.uint8)
    assert lengths_of(path) == [10 * row + column for row in range(3) for column in range(5)]


@pytest.mark.parametrize("options", [{}, {"chunks": (2,)}])
def test_elements_that_were_never_written_have_no_length(tmp_path, options):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (5,), h5py.vlen_dtype(np.uint8), **options)
    assert lengths_of(path) == [0] * 5


def test_a_chunk_that_was_never_written(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (6,), h5py.vlen_dtype(np.uint8), chunks=(2,))[4] = np.zeros(9, np.uint8)
    assert lengths_of(path) == [0, 0, 0, 0, 9, 0]


def test_only_hdf5_knows_the_descriptors_in_an_object_header(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_layout(h5py.h5d.COMPACT)
        kind, space = h5py.h5t.py_create(h5py.vlen_dtype(np.uint8)), h5py.h5s.create_simple((2,))
        h5py.h5d.create(file.id, b"x", kind, space, dcpl=layout)
    assert lengths_of(path) is None


def test_a_file_that_is_cut_off_is_an_error(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (100,), h5py.vlen_dtype(np.uint8))[0] = np.zeros(3, np.uint8)
        offset = file["x"].id.get_offset()
        cut = tmp_path / "cut"
        file.flush()
        cut.write_bytes(path.read_bytes()[: offset + 20])
        with cut.open("rb") as raw, pytest.raises(OSError, match="cut short"):
            read_descriptors(file["x"].id, raw.fileno())
