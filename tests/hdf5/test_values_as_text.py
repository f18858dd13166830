"""Values of HDF5 as text."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestore import stored_names
from imagestore.hdf5 import values_as_text
from imagestore.hdf5.memory_types import CannotBeShown
from imagestore.hdf5.values_as_text import list_lengths, longest_text, text_of

POINT = np.array([(1.5, 2, b"a")], dtype=[("x", "f4"), ("y", "i2"), ("name", "S1")])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Bl\u00fcmen", "Bl\u00fcmen".encode()),
        ("\udcff", b"\xff"),
        (b"\xffbytes", b"\xffbytes"),
        (np.int64(-5), b"-5"),
        (np.float32(0.5), b"0.5"),
        (np.True_, b"true"),
        (np.array([[1, 2], [3, 4]]), b"[[1, 2], [3, 4]]"),
        (np.array(["a", "\u00e9"], object), '["a", "\u00e9"]'.encode()),
        (np.array([b"ab"]), b'["ab"]'),
        (np.complex64(1 + 2j), b"[1.0, 2.0]"),
        (POINT[0], b'{"x": 1.5, "y": 2, "name": "a"}'),
        (h5py.Empty("f8"), b"null"),
        (np.array([np.arange(2), np.arange(3)], object), b"[[0, 1], [0, 1, 2]]"),
        (h5py.Reference(), b'"<HDF5 object reference (null)>"'),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_as_text(value, text):
    assert text_of(value) == text


@given(st.binary())
def test_any_bytes_survive_as_text(data):
    assert text_of(stored_names.decode(data)) == data


def longest(dataset: h5py.Dataset) -> int:
    """The length of the longest element as text."""
    return longest_text(dataset.id, dataset.shape, False)


def test_the_longest_text_is_found_in_any_block(tmp_path, monkeypatch):
    monkeypatch.setattr(values_as_text, "TEXTS_AT_ONCE", 3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(8):
            texts = ["\u00e9"] * 8
            texts[number] = "three"
            file[f"{number}"] = np.array(texts, object).reshape(2, 4)
            assert longest(file[f"{number}"]) == 5


@pytest.mark.parametrize("shape", [(0,), (3, 0)])
def test_no_elements_are_as_long_as_one_byte(tmp_path, shape):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        assert longest(file.create_dataset("x", shape, h5py.string_dtype())) == 1


def test_too_many_elements_are_refused_if_all_must_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(values_as_text, "MOST_TEXTS", 3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["few"], file["many"] = ["a"] * 3, ["a"] * 4
        assert longest(file["few"]) == 1
        with pytest.raises(CannotBeShown, match="4 texts or lists are too many"):
            longest(file["many"])
        file.flush()
        with (tmp_path / "a.h5").open("rb") as opened:
            assert longest_text(file["many"].id, (4,), False, opened.fileno()) == 1


@pytest.mark.parametrize("options", [{}, {"chunks": (3,)}, {"chunks": (3,), "compression": "gzip"}])
def test_lengths_come_from_the_descriptors(tmp_path, options):
    texts = ["", "one", "\u00e9", "x" * 9000] * 2
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=texts, dtype=h5py.string_dtype(), **options)
    with h5py.File(tmp_path / "a.h5") as file, (tmp_path / "a.h5").open("rb") as opened:
        lengths = list_lengths(file["x"].id, opened.fileno())
        assert lengths.tolist() == [0, 3, 2, 9000] * 2


def test_too_long_texts_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(values_as_text, "MOST_TEXT_BYTES", 20)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["fits"], file["too long"] = ["a" * 10, "b"], ["a" * 11, "b"]
        assert longest(file["fits"]) == 10
        with pytest.raises(CannotBeShown, match="one has 11 bytes"):
            longest(file["too long"])


def test_texts_in_another_file_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        layout = h5py.VirtualLayout((2,), h5py.string_dtype())
        layout[:] = h5py.VirtualSource("other.h5", "texts", (2,), h5py.string_dtype())
        file.create_virtual_dataset("x", layout)
        with pytest.raises(OSError, match="another file"):
            longest(file["x"])
