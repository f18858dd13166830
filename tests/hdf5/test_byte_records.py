"""Datasets as records of equal width, and where an image ends in a record that is padded."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from imagestore.hdf5.byte_records import ByteRecords, content_size, records_of
from tests.helpers.held_images import picture


@pytest.mark.parametrize(
    ("value", "records"),
    [
        (np.void(b"12345"), ByteRecords(1, 5, is_list=False, is_opaque=True)),
        (np.array([b"123", b"45"], "V3"), ByteRecords(2, 3, is_list=True, is_opaque=True)),
        (np.array([b"123"], "V3"), ByteRecords(1, 3, is_list=True, is_opaque=True)),
        (np.bytes_(b"12345"), ByteRecords(1, 5, is_list=False)),
        (np.array([[b"123", b"45"]]), ByteRecords(2, 3, is_list=True)),
        (np.zeros(9, np.int8), ByteRecords(1, 9, is_list=False)),
        (np.zeros((1, 9), np.uint8), ByteRecords(1, 9, is_list=False)),
        (np.zeros((9, 1), np.uint8), ByteRecords(1, 9, is_list=False)),
        (np.zeros((1, 1, 9), np.int8), ByteRecords(1, 9, is_list=False)),
        (np.zeros((4, 9), np.uint8), ByteRecords(4, 9, is_list=True)),
        (np.zeros((4, 1, 9), np.uint8), ByteRecords(4, 9, is_list=True)),
        (np.zeros((4, 9, 3), np.uint8), None),
        (np.zeros((0, 9), np.uint8), None),
        (np.uint8(7), None),
        (np.zeros((1, 9), np.uint16), None),
        (np.zeros(9, bool), None),
        (np.array(["2020-01-01"], "M8[s]").astype(h5py.opaque_dtype("M8[s]")), None),
        (h5py.Empty("u1"), None),
        ("text", None),
    ],
)
def test_records_follow_from_type_and_shape(tmp_path, value, records):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = value
        assert records_of(file["x"].id.get_type(), file["x"].shape) == records


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_the_zeros_behind_an_image_are_cut(format):
    data = picture(3, format)
    assert content_size(data + bytes(500)) == len(data)
    assert content_size(data) == len(data)


def test_an_image_that_may_end_in_zeros_keeps_its_record():
    data = picture(3, "TIFF")
    assert content_size(data + bytes(500)) == len(data) + 500


def test_an_empty_record_has_no_bytes():
    assert content_size(bytes(30)) == 0


def test_a_size_that_cannot_be_right_is_not_believed():
    header = b"RIFF" + (10**9).to_bytes(4, "little") + b"WEBP"
    assert content_size(header + bytes(50)) == len(header) + 50
    assert content_size(b"RIFF" + bytes(4) + b"WEBP" + bytes(50)) == len(header) + 50
