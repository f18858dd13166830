"""Datasets: how they are laid out, which may be read, and their attributes of one integer."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from h5py import h5d, h5s, h5t

from imagestore.hdf5.datasets import (
    contiguous_layout,
    data_offset,
    integer_attribute,
    is_bytes,
    write_integer_attribute,
)
from imagestore.hdf5.entry import NO_OFFSET
from tests.helpers.odd_stores import some_bytes

DATA = np.frombuffer(some_bytes(1), np.uint8)


@pytest.fixture
def file(tmp_path) -> h5py.File:
    """An empty HDF5 file, open for writing."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        yield file


# ----- layout -----


def test_new_datasets_have_their_place_at_once(file):
    dataset = h5d.create(file.id, b"x", h5t.STD_U8LE, h5s.create_simple((5000,)), contiguous_layout())
    assert data_offset(dataset) > 0
    properties = dataset.get_create_plist()
    assert properties.get_layout() == h5d.CONTIGUOUS
    assert not properties.get_obj_track_times()
    assert dataset.get_space_status() == h5d.SPACE_STATUS_ALLOCATED


def test_the_offset_is_where_the_bytes_are(file, tmp_path):
    file["x"] = DATA
    offset = data_offset(file["x"].id)
    file.flush()
    assert (tmp_path / "a.h5").read_bytes()[offset : offset + len(DATA)] == DATA.tobytes()


def make_chunked(file: h5py.File) -> h5py.Dataset:
    return file.create_dataset("x", data=DATA, chunks=(100,))


def make_unallocated(file: h5py.File) -> h5py.Dataset:
    return file.create_dataset("x", (100,), np.uint8)


def make_empty(file: h5py.File) -> h5py.Dataset:
    return file.create_dataset("x", data=DATA[:0])


@pytest.mark.parametrize("make", [make_chunked, make_unallocated, make_empty])
def test_other_datasets_have_no_offset(file, make):
    assert data_offset(make(file).id) == NO_OFFSET


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (DATA, True),
        (DATA[:0], True),
        (DATA.astype(np.int8), False),
        (DATA.astype(np.uint16), False),
        (DATA.reshape(50, 100), False),
        (np.uint8(5), False),
        (np.array([True, False]), False),
        (np.array([1.5]), False),
        (np.array([b"abc"]), False),
        (h5py.Empty("u1"), False),
    ],
    ids=str,
)
def test_only_unsigned_bytes_in_one_dimension_are_a_file(file, data, answer):
    file["x"] = data
    assert is_bytes(file["x"].id) == answer


@pytest.mark.parametrize("user_block", [0, 512, 4096])
def test_bytes_that_have_no_place_have_no_offset(tmp_path, user_block):
    """Something else may be at the address that h5py tells where there is a user block."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", userblock_size=user_block) as file:
        file.create_dataset("red/empty.jpg", (100,), np.uint8)
        file["red/full.jpg"] = np.full(100, 7, np.uint8)
        offsets = [data_offset(file[f"red/{name}.jpg"].id) for name in ("empty", "full")]
    assert offsets[0] == NO_OFFSET
    assert path.read_bytes()[offsets[1] :][:100] == bytes([7]) * 100


# ----- what may be read -----


# ----- attributes of one integer -----


@pytest.mark.parametrize(("value", "dtype"), [(2**32 - 1, "<u4"), (-(2**63), "<i8"), (0, "<i8")])
def test_an_integer_attribute_is_read_as_it_was_written(file, value, dtype):
    write_integer_attribute(file.id, b"name", value, dtype, h5s.create(h5s.SCALAR))
    assert integer_attribute(file.id, b"name") == value
    attribute = file.attrs.get_id("name")
    assert (attribute.get_type().dtype.str, attribute.shape) == (dtype, ())


@pytest.mark.parametrize("value", [np.int8(-3), np.array([7], ">u2"), np.uint64(9)], ids=str)
def test_integers_of_other_tools_are_read(file, value):
    file.attrs["name"] = value
    assert integer_attribute(file.id, b"name") == int(np.asarray(value).item())


@pytest.mark.parametrize("value", ["text", 1.5, [1, 2], np.zeros((1, 1), int), h5py.Empty("i8")], ids=str)
def test_an_attribute_of_another_kind_is_no_integer(file, value):
    file.attrs["name"] = value
    assert integer_attribute(file.id, b"name") is None
    assert integer_attribute(file.id, b"none") is None
