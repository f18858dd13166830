"""Places of elements in the global heap, as HDF5 writes it and as damage leaves it."""

from __future__ import annotations

import os
import struct

import h5py
import numpy as np
import pytest

from imagestore.hdf5.global_heap import COLLECTION_HEADER, OBJECT_HEADER, HeapReader
from imagestore.hdf5.vlen_descriptors import read_descriptors
from tests.helpers.errors import assert_eio

SIZES = [1, 7, 8, 9, 300, 4000, 5000, 70_000, 2]


@pytest.fixture
def heap(tmp_path):
    """An open file with elements of many sizes, their descriptors and their bytes."""
    path, values = tmp_path / "a.h5", [np.random.default_rng(n).bytes(n) for n in SIZES]
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("x", (len(SIZES),), h5py.vlen_dtype(np.uint8))
        for number, value in enumerate(values):
            dataset[number] = np.frombuffer(value, np.uint8)
    with path.open("r+b") as raw, h5py.File(path) as file:
        yield raw, read_descriptors(file["x"].id, raw.fileno()), values


def test_each_element_is_where_the_heap_says(heap):
    raw, descriptors, values = heap
    reader = HeapReader(raw.fileno())
    for descriptor, value in zip(descriptors, values, strict=True):
        place = reader.place_of(int(descriptor["collection"]), int(descriptor["number"]), len(value))
        assert os.pread(raw.fileno(), len(value), place) == value


def test_an_object_that_does_not_exist_is_damage(heap):
    raw, descriptors, _ = heap
    first = int(descriptors["collection"][0])
    for place in ((first, 999, 1), (first, 1, 10**6), (3, 1, 1), (10**9, 1, 1), (-1, 1, 1)):
        with pytest.raises(OSError):
            HeapReader(raw.fileno()).place_of(*place)


def test_a_collection_that_is_cut_off_keeps_its_first_objects(tmp_path):
    data = COLLECTION_HEADER.pack(b"GCOL", 1, 4096) + OBJECT_HEADER.pack(1, 1, 5) + b"first\0\0\0"
    data += OBJECT_HEADER.pack(2, 1, 1 << 40)
    (tmp_path / "a").write_bytes(data)
    with (tmp_path / "a").open("rb") as raw:
        reader = HeapReader(raw.fileno())
        assert reader.place_of(0, 1, 5) == data.index(b"first")
        assert_eio(lambda: reader.place_of(0, 2, 1))


def test_a_hostile_collection_is_left_soon(tmp_path):
    empty_objects = b"".join(struct.pack("<HH4xQ", 1 + i % 3, 1, 0) for i in range(1000))
    (tmp_path / "a").write_bytes(COLLECTION_HEADER.pack(b"GCOL", 1, 1 << 60) + empty_objects)
    with (tmp_path / "a").open("rb") as raw:
        assert HeapReader(raw.fileno()).place_of(0, 3, 0) > 0
        assert_eio(lambda: HeapReader(raw.fileno()).place_of(0, 4, 0))
