"""icon.py: the largest and deepest picture of an icon, within bounds."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from imagestore.decode.decode_image import decode_rgb
from imagestore.decode.errors import NotAnImage
from tests.helpers.image_kinds import ico, icon_bitmap
from tests.helpers.images import encode

RED, BLUE, GREEN = (255, 0, 0, 255), (0, 0, 255, 255), (0, 255, 0, 255)


def png(colour: tuple[int, ...], side: int) -> bytes:
    return encode(Image.new("RGBA", (side, side), colour))


def middle(data: bytes) -> tuple[tuple[int, int], tuple[int, ...]]:
    picture = decode_rgb(data)
    return picture.size, tuple(np.asarray(picture)[picture.height // 2, picture.width // 2].tolist())


def test_the_largest_picture_is_decoded() -> None:
    pictures = [icon_bitmap(RED, 16), png(BLUE, 256), icon_bitmap(GREEN, 48)]
    assert middle(ico(*pictures, sides=(16, 256, 48))) == ((256, 256), BLUE[:3])
    assert middle(ico(*pictures[::2], sides=(16, 48))) == ((48, 48), GREEN[:3])


def test_of_equal_sizes_the_deepest_is_decoded() -> None:
    data = ico(png(RED, 32), png(BLUE, 32), png(GREEN, 32), bits=(4, 32, 8))
    assert middle(data) == ((32, 32), BLUE[:3])


def test_a_mask_hides_what_it_covers() -> None:
    half = np.zeros((32, 32, 4), np.uint8)
    half[:, :20] = RED
    data = ico(encode(Image.fromarray(half)))
    assert np.asarray(decode_rgb(data))[16, [5, 30]].tolist() == [[255, 0, 0], [255, 255, 255]]


def test_a_bitmap_inside_that_claims_too_much_is_refused() -> None:
    bitmap = bytearray(icon_bitmap(RED, 32))
    struct.pack_into("<ii", bitmap, 4, 30_000, 60_000)
    with pytest.raises(NotAnImage, match="30,000 x 30,000 pixels"):
        decode_rgb(ico(bytes(bitmap)))


def test_a_png_inside_is_bounded_as_any_png(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGESTORE_DECODE_MEMORY", "1M")
    with pytest.raises(NotAnImage, match="1,000 x 1,000 pixels would take"):
        decode_rgb(ico(png(RED, 1000)))


@pytest.mark.parametrize("count", [0, 1, 2, 300, 65_535])
def test_a_list_that_lies_is_refused(count: int) -> None:
    with pytest.raises(NotAnImage):
        decode_rgb(
            b"\0\0\1\0" + struct.pack("<H", count) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, 99, 22)
        )
