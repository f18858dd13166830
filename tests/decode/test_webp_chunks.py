"""webp_chunks.py: whole pixels are a picture, whatever stands in the other chunks."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from imagestore.decode.decode_image import decode_rgb
from imagestore.decode.errors import NotAnImage
from imagestore.decode.webp_chunks import read_size
from tests.helpers.images import encode, stripes

PICTURE = stripes((160, 120))
KINDS = {
    "lossy": encode(PICTURE, "WEBP"),
    "lossless": encode(PICTURE, "WEBP", lossless=True),
    "with metadata": encode(PICTURE, "WEBP", exif=b"Exif\0\0II*\0", xmp=b"<x/>", icc_profile=b"profile"),
    "animated": encode(PICTURE, "WEBP", save_all=True, append_images=[Image.new("RGB", (160, 120))]),
    "with alpha": encode(PICTURE.convert("RGBA"), "WEBP", exact=True),
}


def close_to_the_picture(data: bytes) -> bool:
    difference = np.asarray(decode_rgb(data)).astype(int) - np.asarray(PICTURE)
    return np.abs(difference).mean() < 5


@pytest.mark.parametrize("kind", KINDS)
def test_the_size_is_known_before_the_reader_takes_memory(kind: str) -> None:
    assert read_size(KINDS[kind]) == (160, 120)
    assert all(read_size(KINDS[kind][:length]) in (None, (160, 120)) for length in range(40))
    assert close_to_the_picture(KINDS[kind])


def test_metadata_of_a_webp_costs_no_picture() -> None:
    whole = KINDS["with metadata"]
    place = whole.index(b"EXIF")
    for damaged in (
        whole[: place + 10],  # cut inside the metadata
        whole[:-3],
        whole + b"garbage" * 100,
        whole[:4] + b"\xff\xff\xff\x7f" + whole[8:],  # a wrong size of the file
        whole[: place + 4] + b"\xff\xff\xff\x7f" + whole[place + 8 :],  # a wrong size of a chunk
        whole[:12] + b"ABCD\3\0\0\0abc\0" + whole[12:],  # an unknown chunk before all others
    ):
        assert close_to_the_picture(damaged)


def test_a_webp_whose_pixels_are_cut_is_no_picture() -> None:
    with pytest.raises(NotAnImage):
        decode_rgb(KINDS["lossless"][:-20])


def test_an_enormous_webp_is_refused_before_it_is_opened() -> None:
    data = bytearray(KINDS["with metadata"])
    data[24:30] = (16_382).to_bytes(3, "little") * 2
    with pytest.raises(NotAnImage, match=r"16,383 x 16,383 pixels would take 4,09\d MB"):
        decode_rgb(bytes(data))


def test_other_bytes_have_no_size() -> None:
    assert read_size(b"") is None
    assert read_size(encode(Image.new("L", (9, 9)), "PNG")) is None
    assert read_size(b"RIFF" + struct.pack("<I", 99) + b"AVI " + bytes(40)) is None
