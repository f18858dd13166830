"""The bytes of elements, read piece by piece through HDF5."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestore.hdf5.stored_bytes import blocks, stored_bytes_of

SHAPES = [(), (1,), (7,), (3, 5), (2, 3, 4), (1, 6, 1)]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """An open file with an array of each shape and of several types."""
    with h5py.File(tmp_path_factory.mktemp("a") / "a.h5", "w") as file:
        for number, shape in enumerate(SHAPES):
            size = int(np.prod(shape, dtype=int))
            file[f"{number}/i2"] = np.arange(size, dtype=">i2").reshape(shape)
            file[f"{number}/S3"] = np.array([b"%d" % i for i in range(size)], "S3").reshape(shape)
            file[f"{number}/V5"] = (
                np.array([b"%d" % i for i in range(size)], "S5").astype("V5").reshape(shape)
            )
            if shape:
                file.create_dataset(f"{number}/chunked", data=file[f"{number}/i2"][()], compression="gzip")
        yield file


@given(st.data())
@settings(max_examples=200)
def test_each_piece_is_that_of_the_whole(file, data):
    group = file[str(data.draw(st.integers(0, len(SHAPES) - 1)))]
    dataset = group[data.draw(st.sampled_from(sorted(group)))]
    whole = np.asarray(dataset[()], dataset.dtype).tobytes()
    offset, size = data.draw(st.integers(0, len(whole))), data.draw(st.integers(0, 200))
    assert stored_bytes_of(dataset.id)(offset, size) == whole[offset : offset + size]


@given(st.data())
def test_blocks_are_all_elements_in_order(data):
    shape = data.draw(st.sampled_from(SHAPES)) or (1,)
    size = int(np.prod(shape, dtype=int))
    first = data.draw(st.integers(0, size))
    last = data.draw(st.integers(first, size))
    numbers = np.arange(size).reshape(shape)
    read = [
        numbers[tuple(slice(at, at + n) for at, n in zip(start, count, strict=True))].ravel()
        for start, count in blocks(shape, first, last)
    ]
    assert np.concatenate([[], *read]).tolist() == list(range(first, last))
    assert len(read) <= 2 * len(shape)
