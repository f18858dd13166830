"""Values of HDF5 as text."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestore import stored_names
from imagestore.hdf5 import values_as_text
from imagestore.hdf5.values_as_text import elements_as_text, text_of

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


def test_elements_have_the_length_of_the_longest(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.array([["one", "three"], ["", "\u00e9"]], object)
        texts = elements_as_text(file["x"].id, (2, 2), False)
    assert texts.dtype == "S5"
    assert texts.tolist() == [b"one", b"three", b"", "\u00e9".encode()]


def test_no_elements_are_an_array_of_no_texts(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (0,), h5py.string_dtype())
        assert elements_as_text(file["x"].id, (0,), False).tolist() == []


def test_too_many_elements_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(values_as_text, "MOST_TEXTS", 3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["few"], file["many"] = ["a"] * 3, ["a"] * 4
        assert len(elements_as_text(file["few"].id, (3,), False)) == 3
        with pytest.raises(ValueError, match="too many texts"):
            elements_as_text(file["many"].id, (4,), False)


def test_too_long_texts_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(values_as_text, "MOST_TEXT_BYTES", 20)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["fits"], file["too long"] = ["a" * 10, "b"], ["a" * 11, "b"]
        assert len(elements_as_text(file["fits"].id, (2,), False)) == 2
        with pytest.raises(ValueError, match="too long"):
            elements_as_text(file["too long"].id, (2,), False)


def test_texts_in_another_file_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        layout = h5py.VirtualLayout((2,), h5py.string_dtype())
        layout[:] = h5py.VirtualSource("other.h5", "texts", (2,), h5py.string_dtype())
        file.create_virtual_dataset("x", layout)
        with pytest.raises(OSError, match="another file"):
            elements_as_text(file["x"].id, (2,), False)
