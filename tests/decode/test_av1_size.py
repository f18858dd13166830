"""av1_size.py: the true size of the frames of an AVIF."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from imagestore.decode.av1_size import check_frames, largest_frame
from imagestore.decode.decode_image import decode_rgb
from imagestore.decode.errors import NotAnImage
from tests.helpers.images import blobs, encode

if not features.check("avif"):
    pytest.skip("Pillow is built without AVIF", allow_module_level=True)

SIZES = [(60, 40), (1, 1), (57, 57), (640, 427), (1300, 3)]


@pytest.mark.parametrize("size", SIZES)
def test_the_size_of_a_picture(size: tuple[int, int]) -> None:
    assert largest_frame(encode(blobs(size), "AVIF", speed=10)) == size


@pytest.mark.parametrize("size", SIZES)
def test_the_size_of_an_animation_and_of_transparency(size: tuple[int, int]) -> None:
    image = blobs(size).convert("RGBA")
    image.putalpha(77)
    assert largest_frame(encode(image, "AVIF", speed=10)) == size
    animated = encode(image, "AVIF", speed=10, save_all=True, append_images=[Image.new("RGBA", size)])
    assert largest_frame(animated) == size


def test_frames_larger_than_the_picture_are_refused() -> None:
    """Nothing else would bound the memory: the container says 64 x 48, the frame 3000 x 2000."""
    data = bytearray(encode(Image.new("RGB", (3000, 2000), "teal"), "AVIF", speed=10))
    struct.pack_into(">II", data, data.find(b"ispe") + 8, 64, 48)
    with pytest.raises(NotAnImage, match="claims 64 x 48 pixels and has 3,000 x 2,000"):
        decode_rgb(bytes(data))


def test_no_frame_is_no_reason_to_refuse() -> None:
    assert largest_frame(b"") == (0, 0)
    check_frames(b"", (1, 1))


AVIF = encode(blobs((60, 40)), "AVIF", speed=10)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), max_size=8), st.integers(0, len(AVIF)))
def test_damaged_boxes_raise_nothing(changes: list[tuple[int, int]], end: int) -> None:
    data = bytearray(AVIF[:end])
    for place, value in changes:
        if place < len(data):
            data[place] = value
    largest_frame(bytes(data))
