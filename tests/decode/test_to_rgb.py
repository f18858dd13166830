"""to_rgb.py: transparency, unused alpha and colour spaces."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from imagestore.colour.sample_pixels import sample_pixels
from imagestore.decode.decode_image import decode_rgb
from imagestore.decode.to_rgb import on_white, to_8_bits
from tests.helpers.image_kinds import ORANGE, SIZE, bmp_32_bits, encode_flat, ico, icon_bitmap, png
from tests.helpers.images import encode

WHITE = (255, 255, 255)


def colours(data: bytes) -> list[tuple[int, ...]]:
    """The colours of a decoded picture, the commonest first."""
    found, counts = np.unique(np.asarray(decode_rgb(data)).reshape(-1, 3), axis=0, return_counts=True)
    return [tuple(colour) for colour in found[np.argsort(-counts)].tolist()]


def two_parts(seen: int | list[int], hidden: int | list[int]) -> np.ndarray:
    """Numbers of a picture whose lower three quarters are `hidden`."""
    values = np.full((40, 61, *np.shape(hidden)), hidden, np.uint16)
    values[:10] = seen
    return values


def without_adobe(jpeg: bytes) -> bytes:
    start = jpeg.index(b"\xff\xee")
    return jpeg[:start] + jpeg[start + 2 + struct.unpack_from(">H", jpeg, start + 2)[0] :]


CMYK = encode_flat("JPEG", "CMYK", (0, 122, 255, 4), quality=95)
FLAT = {  # a picture of one colour -> that colour
    "BMP, V4, alpha 0": (bmp_32_bits((*ORANGE, 0)), ORANGE),
    "BMP, V5, alpha 0": (bmp_32_bits((*ORANGE, 0), header_bytes=124), ORANGE),
    "BMP, alpha 255": (bmp_32_bits((*ORANGE, 255)), ORANGE),
    "BMP, half transparent": (bmp_32_bits((0, 0, 0, 128)), (127, 127, 127)),
    "bitmap without file header": (bmp_32_bits((*ORANGE, 0), file_header=False), ORANGE),
    "TGA, alpha 0": (encode_flat("TGA", "RGBA", (*ORANGE, 0)), ORANGE),
    "TGA, half transparent": (encode_flat("TGA", "RGBA", (0, 0, 0, 128)), (127, 127, 127)),
    "icon, alpha 0": (ico(icon_bitmap((*ORANGE, 0), 32)), ORANGE),
    "PNG, alpha 0": (encode_flat("PNG", "RGBA", (*ORANGE, 0)), WHITE),
    "WebP, alpha 0": (encode_flat("WEBP", "RGBA", (*ORANGE, 0), lossless=True), WHITE),
    "TIFF, alpha 0": (encode_flat("TIFF", "RGBA", (*ORANGE, 0)), WHITE),
    "CMYK, TIFF": (encode_flat("TIFF", "CMYK", (0, 122, 255, 4)), ORANGE),
    "CMYK, Adobe's JPEG": (CMYK, ORANGE),
    "CMYK, JPEG without Adobe's marker": (without_adobe(CMYK), ORANGE),
    "LAB": (encode(Image.new("RGB", SIZE, (200, 100, 50)).convert("LAB"), "TIFF"), (200, 100, 50)),
    "YCbCr": (encode_flat("TIFF", "YCbCr", (156, 40, 195), compression="tiff_lzw"), (250, 138, 0)),
    "grey and alpha of 16 bits": (png(np.full((40, 61, 2), [0x8080, 0xFFFF]), depth=16, kind=4), (128,) * 3),
    "RGBA of 16 bits": (png(np.full((40, 61, 4), [0, 0, 0, 0x8080]), depth=16, kind=6), (127,) * 3),
}  # fmt: skip


@pytest.mark.parametrize("kind", FLAT)
def test_a_flat_picture_has_its_colour(kind: str) -> None:
    data, colour = FLAT[kind]
    for pixels in (colours(data), np.unique(sample_pixels(data), axis=0)):
        assert len(pixels) == 1
        assert np.abs(np.array(pixels[0]) - colour).max() <= 4


GREY = {1: 0, 2: 1, 4: 5, 8: 0x55, 16: 0x5555}  # depth -> the number of a grey that is hidden
HIDDEN = {  # a picture that is orange or white where it can be seen -> that colour
    **{
        f"grey, {depth} bits": (
            png(two_parts(2**depth - 1, hid), depth=depth, kind=0, transparent=struct.pack(">H", hid)), WHITE,
        )
        for depth, hid in GREY.items()
    },
    "4 bits, white is hidden": (png(two_parts(0, 15), depth=4, kind=0, transparent=b"\0\x0f"), (0, 0, 0)),
    "2 bits, white is hidden": (png(two_parts(0, 3), depth=2, kind=0, transparent=b"\0\3"), (0, 0, 0)),
    "RGB": (png(two_parts([*ORANGE], [1, 2, 3]), depth=8, kind=2, transparent=b"\0\1\0\2\0\3"), ORANGE),
    "RGB, 16 bits": (
        png(two_parts([0xFAFA, 0x8282, 0], [1, 2, 3]), depth=16, kind=2, transparent=b"\0\1\0\2\0\3"), ORANGE,
    ),
    "palette": (encode(Image.fromarray(two_parts(1, 0).astype(np.uint8), "P"), transparency=0), None),
}  # fmt: skip


@pytest.mark.parametrize("kind", HIDDEN)
def test_a_transparent_colour_is_white_and_does_not_count(kind: str) -> None:
    data, seen = HIDDEN[kind]
    assert colours(data)[0] == WHITE
    if seen is not None:
        assert set(colours(data)) == {WHITE, seen}
        assert np.unique(sample_pixels(data), axis=0).tolist() == [list(seen)]


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "LA", "La", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "HSV", "YCbCr"]
)
def test_every_mode_of_pillow_becomes_8_bits(mode: str) -> None:
    image = Image.new(mode, (5, 4))
    assert to_8_bits(image).mode in ("L", "RGB", "RGBA")
    assert on_white(to_8_bits(image)).mode == "RGB"


def test_the_palette_gets_the_pixels_that_are_shown() -> None:
    """Small pictures are not averaged, so the pixels are equal, one by one."""
    for data, colour in FLAT.values():
        if colour != WHITE:  # of invisible pixels, the palette gets one
            assert np.array_equal(sample_pixels(data), np.asarray(decode_rgb(data)).reshape(-1, 3))
