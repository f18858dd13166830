"""several_frames.py: files of several pictures, of which the first is decoded."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from imagestore.colour.sample_pixels import decode_small
from tests.helpers.image_kinds import ico
from tests.helpers.images import encode

RED, BLUE = Image.new("RGB", (60, 40), "red"), Image.new("RGB", (60, 40), "blue")
SEVERAL = {
    "animated GIF": lambda: encode(RED, "GIF", save_all=True, append_images=[BLUE]),
    "animated PNG": lambda: encode(RED, "PNG", save_all=True, append_images=[BLUE]),
    "animated WebP": lambda: encode(RED, "WEBP", save_all=True, append_images=[BLUE], lossless=True),
    "animated AVIF": lambda: encode(RED, "AVIF", save_all=True, append_images=[BLUE]),
    "pages of a TIFF": lambda: encode(RED, "TIFF", save_all=True, append_images=[BLUE]),
    "views of a stereo camera": lambda: stereo(),
}
SINGLE = {
    "GIF": lambda: encode(RED, "GIF"),
    "PNG": lambda: encode(RED, "PNG"),
    "WebP": lambda: encode(RED, "WEBP"),
    "AVIF": lambda: encode(RED, "AVIF"),
    "TIFF": lambda: encode(RED, "TIFF"),
    "JPEG": lambda: encode(RED, "JPEG"),
    "JPEG with a second behind it": lambda: encode(RED, "JPEG") + encode(BLUE, "JPEG"),
    "JPEG with a gain map": lambda: encode(RED, "MPO", save_all=True, append_images=[BLUE]),
    "sizes of an icon": lambda: ico(encode(RED, "PNG"), encode(BLUE.resize((8, 8)), "PNG"), sides=(60, 8)),
}


def stereo() -> bytes:
    """Both pictures of a stereo camera are of the kind "disparity" (CIPA DC-007, 5.2.3.3)."""
    data = bytearray(encode(RED, "MPO", save_all=True, append_images=[BLUE]))
    first = data.index(struct.pack("<I", 0x030000), data.index(b"\x02\xb0"))  # primary; the other has no kind
    for entry in (first, first + 16):
        data[entry : entry + 4] = struct.pack("<I", 0x020002)
    return bytes(data)


@pytest.mark.parametrize("kind", SEVERAL)
def test_the_first_of_several_is_decoded_and_said(kind: str) -> None:
    decoded = decode_small(SEVERAL[kind]())
    assert decoded.is_first_of_several
    red, _, blue = np.asarray(decoded.image.convert("RGB"))[20, 30]
    assert red > 200 > 50 > blue


@pytest.mark.parametrize("kind", SINGLE)
def test_a_single_picture_is_no_first(kind: str) -> None:
    decoded = decode_small(SINGLE[kind]())
    assert not decoded.is_first_of_several
    assert np.asarray(decoded.image.convert("RGB"))[20, 30][0] > 200


def test_damage_behind_the_first_frame_does_not_matter() -> None:
    data = encode(RED, "GIF", save_all=True, append_images=[BLUE])
    for end in range(data.rindex(b"\x2c"), len(data)):
        assert np.asarray(decode_small(data[:end]).image.convert("RGB"))[20, 30][0] > 200
