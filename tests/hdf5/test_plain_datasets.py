"""Datasets that are read without HDF5: what is read is what HDF5 says; the rest is left to HDF5."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from h5py import h5o
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestore.hdf5.entry import NO_OFFSET
from imagestore.hdf5.objects import Objects
from imagestore.hdf5.plain_datasets import HEADER_BYTES, PlainDataset, first_byte, read_plain_dataset
from tests.helpers.odd_stores import make_odd, some_bytes

DATA = np.frombuffer(some_bytes(1, 300), np.uint8)


def read(path: Path, name: str = "x", **options: bool) -> PlainDataset | None:
    with path.open("rb") as raw, h5py.File(path) as file:
        start = first_byte(file.id, raw.fileno())
        return read_plain_dataset(raw.fileno(), start, h5o.get_info(file[name].id).addr, **options)


@pytest.mark.parametrize("user_block", [0, 512])
@pytest.mark.parametrize("options", [{}, {"track_times": True}, {"fillvalue": 7}])
def test_a_plain_dataset_is_read(tmp_path, user_block, options):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", userblock_size=user_block) as file:
        dataset = file.create_dataset("x", data=DATA, **options)
        file["again"] = dataset
        expected = PlainDataset(2, 300, 300, dataset.id.get_offset())
    assert read(path) == read(path, "again") == expected
    assert path.read_bytes()[expected.offset :][:300] == DATA.tobytes()


@pytest.mark.parametrize("length", [0, 5])
def test_bytes_that_were_never_written_have_no_offset(tmp_path, length):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (length,), np.uint8)
    assert read(tmp_path / "a.h5") == PlainDataset(1, length, 0, NO_OFFSET)


@pytest.mark.parametrize(
    ("value", "options"),
    [
        (DATA.view(np.int8), {}),
        (DATA[None], {}),
        (DATA.view(np.uint16), {}),
        (np.uint8(3), {}),
        (DATA > 100, {}),
        (DATA.view("V1"), {}),
        (h5py.Empty("u1"), {}),
        (DATA, {"chunks": (50,)}),
        (DATA, {"chunks": (50,), "compression": "gzip"}),
        (DATA, {"maxshape": (None,)}),
    ],
)
def test_other_datasets_are_left_to_hdf5(tmp_path, value, options):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=value, **options)
    assert read(tmp_path / "a.h5") is None


def test_attributes_external_bytes_and_types_are_left_to_hdf5(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["attribute"] = DATA
        file["attribute"].attrs["Modified"] = 1
        file.create_dataset("outside", (9,), np.uint8, external=[("raw", 0, 9)])
        file["type"] = np.dtype("u1")
        file.create_dataset("shared", (9,), file["type"])
        file.create_group("group")
    assert {read(path, name) for name in ("attribute", "outside", "type", "shared", "group")} == {None}


ATTRIBUTES = [
    {},
    {"Modified": np.int64(-5), "Created": np.int64(1 << 40), "Permissions": np.uint32(0o100644)},
    {"Modified": np.int8(-1), "crc32": np.uint32(5), "Permissions": np.uint8(0o155)},
    {"member": np.bytes_(b"jpg/1.jpg"), "palette": np.zeros((8, 7), np.float32), "Created": np.int64(7)},
    {"a" * 200: "text", "Modified": np.uint64(9)},
    {f"number {i}": i for i in range(7)} | {"Modified": 3},
    {"Modified": 1.5},
    {"Modified": "yesterday"},
    {"Modified": np.array([5])},
    {"Modified": np.array([5, 6])},
    {"Modified": h5py.Empty("i8")},
    {"Modified": np.array(5, ">i8")},
    {"Modified": np.uint64(1 << 63)},
    {"Permissions": np.array(True)},
]


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("number", range(len(ATTRIBUTES)))
def test_attributes_are_what_hdf5_says_or_left_to_it(tmp_path, number, libver):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=libver, userblock_size=512) as file:
        file["x"] = DATA
        file["x"].attrs.update(ATTRIBUTES[number])
        file["group"] = h5py.SoftLink("/x")
        offset = file["x"].id.get_offset()
    read_here = read(path, with_attributes=True)
    if libver == "earliest" and number < 6:
        told = (ATTRIBUTES[number].get(name) for name in ("Modified", "Created", "Permissions"))
        assert read_here == PlainDataset(1, 300, 300, offset, *told)
    else:
        assert read_here is None
    with path.open("rb") as raw:
        objects, hdf5_alone = (Objects(raw.fileno(), path, follow_external=False) for _ in range(2))
        hdf5_alone._first_byte = None
        assert list(objects.entries(b"")) == list(hdf5_alone.entries(b""))


def test_headers_with_a_checksum_are_left_to_hdf5(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        file["x"] = DATA
    assert read(tmp_path / "a.h5") is None


def test_a_file_that_is_written_to_is_left_to_hdf5(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.swmr_mode = True
        with path.open("rb") as raw:
            assert first_byte(file.id, raw.fileno()) is None


@pytest.mark.parametrize("address", [0, 10**9, 1 << 62, (1 << 64) - 1])
def test_an_address_without_a_header_gives_nothing(tmp_path, address):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = DATA
    with (tmp_path / "a.h5").open("rb") as raw:
        assert read_plain_dataset(raw.fileno(), 0, address) is None


def test_a_listing_is_the_same_with_hdf5_alone(tmp_path):
    path = tmp_path / "odd.h5"
    make_odd(path)
    with path.open("rb") as raw:
        objects, hdf5_alone = (Objects(raw.fileno(), path, follow_external=False) for _ in range(2))
        hdf5_alone._first_byte = None
        for group in (b"", b"files", b"names", b"links", b"shadow", b"arrays"):
            assert list(objects.entries(group)) == list(hdf5_alone.entries(group))


@given(st.data(), st.booleans())
@settings(max_examples=300)
def test_a_damaged_header_is_no_error_and_gives_possible_numbers(header_file, data, with_attributes):
    damaged = bytearray(header_file[1])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    header_file[0].write_bytes(damaged[: data.draw(st.sampled_from([len(damaged), 40, 100]))])
    with header_file[0].open("rb") as raw:
        plain = read_plain_dataset(raw.fileno(), 0, 0, with_attributes=with_attributes)
    assert plain is None or plain.stored in (0, plain.length)


@pytest.fixture
def header_file(tmp_path) -> tuple[Path, bytes]:
    """A path to write to, and the header of a plain dataset with an attribute."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["x"] = DATA
        file["x"].attrs["Modified"] = np.int64(5)
        address = h5o.get_info(file["x"].id).addr
    return tmp_path / "header", path.read_bytes()[address:][:HEADER_BYTES]
