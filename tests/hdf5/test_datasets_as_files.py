"""Datasets as files: NumPy can load them, and any slice is that slice of the whole."""

from __future__ import annotations

import io
from collections.abc import Iterator

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestore.hdf5.datasets_as_files import CHUNK_CACHE, chunk_cache_bytes, dataset_as_file, open_to_read
from tests.helpers.odd_stores import odd_arrays, some_bytes

ARRAYS = odd_arrays()


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Iterator[h5py.File]:
    """A file with ARRAYS."""
    with h5py.File(tmp_path_factory.mktemp("arrays") / "a.h5", "w") as file:
        for name, array in ARRAYS.items():
            file[name] = array
        yield file


def whole_file(dataset: h5py.Dataset) -> bytes:
    """All bytes of a dataset as a file."""
    as_file = dataset_as_file(dataset.id, False)
    data = as_file.read(0, as_file.size)
    assert len(data) == as_file.size
    assert as_file.read(0, as_file.size + 100) == data
    assert as_file.read(as_file.size, 100) == as_file.read(as_file.size + 9, 100) == b""
    return data


@pytest.mark.parametrize("name", ARRAYS)
def test_numpy_loads_the_file_of_an_array(file, name):
    loaded = np.load(io.BytesIO(whole_file(file[name])))
    assert loaded.dtype == ARRAYS[name].dtype and loaded.shape == ARRAYS[name].shape
    np.testing.assert_array_equal(loaded, ARRAYS[name])


@given(st.data())
@settings(max_examples=200)
def test_any_slice_is_that_slice_of_the_whole(file, data):
    dataset = file[data.draw(st.sampled_from(sorted(ARRAYS)))]
    as_file, expected = dataset_as_file(dataset.id, False), whole_file(dataset)
    offset, size = data.draw(st.integers(0, as_file.size + 9)), data.draw(st.integers(0, 3000))
    assert as_file.read(offset, size) == expected[offset : offset + size]


def test_a_file_of_bytes_has_no_header(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=np.frombuffer(some_bytes(1), np.uint8), chunks=(100,), compression=1)
        assert whole_file(file["x"]) == some_bytes(1)


def test_elements_without_a_numpy_type_are_text(tmp_path):
    ragged = np.array([np.arange(2), np.arange(3)], dtype=object)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["texts"] = np.array([["one", "three"], ["", "\u00e9"]], object)
        file.create_dataset("ragged", data=ragged, dtype=h5py.vlen_dtype(np.int64))
        texts = np.load(io.BytesIO(whole_file(file["texts"])))
        numbers = np.load(io.BytesIO(whole_file(file["ragged"])))
    assert texts.tolist() == [[b"one", b"three"], [b"", "\u00e9".encode()]]
    assert numbers.tolist() == [b"[0, 1]", b"[0, 1, 2]"]


@pytest.mark.filterwarnings("error")  # NumPy warns if a type has notes that it cannot store
def test_an_enumeration_is_its_numbers(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        kind = h5py.enum_dtype({"RED": 1, "BLUE": 2}, "i2")
        file.create_dataset("plain", data=np.array([1, 2], "i2"), dtype=kind)
        fields = file.create_dataset("fields", (1,), np.dtype([("colour", kind), ("x", "f8", (2,))]))
        fields[...] = np.array([(2, (0.5, 1.5))], fields.dtype)
        plain = np.load(io.BytesIO(whole_file(file["plain"])))
        loaded = np.load(io.BytesIO(whole_file(fields)))
    assert plain.tolist() == [1, 2]
    assert loaded["colour"].tolist() == [2] and loaded["x"].tolist() == [[0.5, 1.5]]


def test_elements_that_are_arrays_are_further_axes(tmp_path):
    rows = np.arange(12, dtype="<f4").reshape(4, 3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (4,), np.dtype(("<f4", (3,))))[...] = rows
        np.testing.assert_array_equal(np.load(io.BytesIO(whole_file(file["x"]))), rows)


@pytest.mark.parametrize(
    ("names", "version"),
    [
        (["x"], (1, 0)),
        (["\1" * 60 + str(i) for i in range(300)], (2, 0)),  # each of these characters becomes 4
        (["\u82b1"], (3, 0)),
    ],
    ids=["short", "longer than 64 KB", "not Latin-1"],
)
def test_the_format_of_the_header_fits_the_names(tmp_path, names, version):
    dtype = np.dtype([(name, "u1") for name in names])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (2,), dtype)
        data = whole_file(file["x"])
    assert tuple(data[6:8]) == version
    assert np.load(io.BytesIO(data), max_header_size=10**6).dtype.names == tuple(names)
    assert (len(data) - 2 * dtype.itemsize) % 64 == 0  # NumPy's own alignment of the data


def test_a_large_array_is_read_only_where_it_is_asked_for(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        large = file.create_dataset("x", (1 << 21, 1 << 20), "u2", chunks=(1, 1 << 16), fillvalue=7)
        large[1 << 20, 5] = 9
        as_file = dataset_as_file(large.id, False)
        at = len(as_file.header) + ((1 << 40) + 5) * 2
        assert as_file.size == len(as_file.header) + (1 << 42)
        assert np.frombuffer(as_file.read(at - 2, 6), "<u2").tolist() == [7, 9, 7]


@pytest.mark.parametrize(
    ("chunk", "expected"), [(1000, CHUNK_CACHE), (CHUNK_CACHE + 4096, CHUNK_CACHE + 4096)]
)
def test_the_cache_holds_at_least_one_chunk(tmp_path, chunk, expected):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (1 << 25,), np.uint8, chunks=(chunk,))
        cache_bytes = chunk_cache_bytes(file["x"].id)
        assert cache_bytes == expected
        opened = open_to_read(file.id, b"x", cache_bytes=cache_bytes, follow_external=False)
        assert opened.get_access_plist().get_chunk_cache()[1] == expected


def test_bytes_in_another_file_are_not_opened(tmp_path):
    (tmp_path / "raw").write_bytes(bytes(10))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (10,), np.uint8, external=[(str(tmp_path / "raw"), 0, 10)])
        with pytest.raises(OSError, match="another file"):
            open_to_read(file.id, b"x", cache_bytes=CHUNK_CACHE, follow_external=False)
        opened = open_to_read(file.id, b"x", cache_bytes=CHUNK_CACHE, follow_external=True)
        assert dataset_as_file(opened, True).read(0, 99) == bytes(10)
