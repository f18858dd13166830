"""grey_levels.py: numbers of more than 8 bits become the greys that a person would expect."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from imagestore.colour.sample_pixels import sample_pixels
from imagestore.decode.decode_image import decode_rgb
from tests.helpers.image_kinds import png, ppm, tiff
from tests.helpers.images import encode

SHAPE = (40, 61)
UNSIGNED, SIGNED, FLOAT = 1, 2, 3  # of TIFF
WHITE_IS_ZERO, BLACK_IS_ZERO = 0, 1


def flat(value: float, type: str = "u2") -> np.ndarray:
    return np.full(SHAPE, value, type)


def ramp(first: float, last: float, type: str) -> np.ndarray:
    return np.linspace(first, last, SHAPE[0] * SHAPE[1]).reshape(SHAPE).astype(type)


def greys(data: bytes) -> np.ndarray:
    """uint8 (h, w): the picture as everything but the palette gets it, which must be grey."""
    rgb = np.asarray(decode_rgb(data))
    assert (rgb == rgb[..., :1]).all()
    return rgb[..., 0]


FLAT = {  # a picture of one number -> its grey
    "16 bits, mid": (tiff(flat(0x8080), bits=16), 0x80),
    "16 bits, dark": (tiff(flat(200), bits=16), 1),
    "16 bits, big-endian": (tiff(flat(0x8080), bits=16, order=">"), 0x80),
    "16 bits, white is 0": (tiff(flat(0x2020), bits=16, photometric=WHITE_IS_ZERO), 255 - 0x20),
    "16 bits, big-endian, white is 0": (
        tiff(flat(0x2020), bits=16, photometric=WHITE_IS_ZERO, order=">"), 255 - 0x20,
    ),
    "12 bits": (tiff(flat(0x888), bits=12), 0x88),
    "12 bits, white": (tiff(flat(4095), bits=12), 255),
    "12 bits, big-endian": (tiff(flat(0x888), bits=12, order=">"), 0x88),
    "12 bits, white is 0": (tiff(flat(0x222), bits=12, photometric=WHITE_IS_ZERO), 255 - 0x22),
    "PNG of 16 bits": (png(flat(0x8080), depth=16, kind=0), 0x80),
    "PNG of 16 bits, dark": (png(flat(200), depth=16, kind=0), 1),
    "PGM up to 4095": (ppm(flat(2048), 4095, kind=5), 128),
    "PGM up to 4095, dark": (ppm(flat(16), 4095, kind=5), 1),
    "PGM up to 65535, dark": (ppm(flat(200), 65535, kind=5), 1),
    "PGM up to 65535, as text": (ppm(flat(0x8080), 65535, kind=2), 0x80),
    "PGM up to 15": (ppm(flat(5), 15, kind=5), 85),
    "32 bits, up to 255": (tiff(flat(200, "i4"), bits=32, sample_format=SIGNED), 200),
    "32 bits, up to 65535": (tiff(flat(0x8080, "i4"), bits=32, sample_format=SIGNED), 0x80),
    "32 bits, unsigned": (tiff(flat(0x8080, "u4"), bits=32, sample_format=UNSIGNED), 0x80),
    "32 bits, white is 0": (tiff(flat(55, "u4"), bits=32, photometric=WHITE_IS_ZERO), 200),
    "16 bits, signed": (tiff(flat(200, "i2"), bits=16, sample_format=SIGNED), 200),
    "float, up to 1": (tiff(flat(0.5, "f4"), bits=32, sample_format=FLOAT), 128),
    "float, exactly 1": (tiff(flat(1, "f4"), bits=32, sample_format=FLOAT), 255),
    "float, up to 255": (tiff(flat(140.2, "f4"), bits=32, sample_format=FLOAT), 140),
    "float, beyond 255": (tiff(flat(36000, "f4"), bits=32, sample_format=FLOAT), 255),
    "float, 0": (tiff(flat(0, "f4"), bits=32, sample_format=FLOAT), 0),
    "float, no number": (tiff(flat(np.nan, "f4"), bits=32, sample_format=FLOAT), 0),
    "float of 64 bits": (tiff(flat(0.5, "f8"), bits=64, sample_format=FLOAT, order=">"), 128),
    "float, white is 0": (
        tiff(flat(0.2, "f4"), bits=32, sample_format=FLOAT, photometric=WHITE_IS_ZERO), 204,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FLAT)
def test_a_flat_picture_has_its_grey(kind: str) -> None:
    data, grey = FLAT[kind]
    assert np.unique(greys(data)).tolist() == [grey]
    assert np.unique(sample_pixels(data)).tolist() == [grey]


STRETCHED = {  # from the smallest number, which is black, to the largest, which is white
    "float": tiff(ramp(-20, 1000, "f4"), bits=32, sample_format=FLOAT),
    "float, below 0 and up to 255": tiff(ramp(-50, 200, "f4"), bits=32, sample_format=FLOAT),
    "float, all below 0": tiff(ramp(-90, -10, "f4"), bits=32, sample_format=FLOAT),
    "32 bits": tiff(ramp(-(1 << 30), 1 << 30, "i4"), bits=32, sample_format=SIGNED),
    "32 bits, unsigned": tiff(ramp(1 << 31, (1 << 32) - 1, "u4"), bits=32, sample_format=UNSIGNED),
    "16 bits, signed": tiff(ramp(-1000, 1000, "i2"), bits=16, sample_format=SIGNED),
    "16 bits, signed, big-endian": tiff(ramp(-1000, 1000, "i2"), bits=16, sample_format=SIGNED, order=">"),
}


@pytest.mark.parametrize("kind", STRETCHED)
def test_numbers_in_no_usual_range_are_stretched(kind: str) -> None:
    levels = greys(STRETCHED[kind]).ravel().astype(int)
    assert (levels[0], levels[-1]) == (0, 255)
    assert abs(levels[len(levels) // 2] - 127.5) <= 1
    assert (np.diff(levels) >= 0).all()


def test_infinite_numbers_do_not_decide_the_range() -> None:
    values = ramp(0, 1, "f4")
    values[0, 0], values[0, 1], values[0, 2] = np.inf, -np.inf, np.nan
    levels = greys(tiff(values, bits=32, sample_format=FLOAT))
    assert levels[0, :3].tolist() == [255, 0, 0]
    assert levels[20, 30] == round(values[20, 30] * 255)


def test_numbers_below_0_are_black_beside_0_to_1() -> None:
    """Sharpening writes such numbers."""
    values = flat(0.5, "f4")
    values[0, 0] = -0.1
    levels = greys(tiff(values, bits=32, sample_format=FLOAT))
    assert (levels[0, 0], levels[1, 1]) == (0, 128)


@pytest.mark.parametrize("value", [2.0, 1000.0])
def test_one_pixel_of_a_large_picture_decides(value: float) -> None:
    """The range follows from the whole picture, not from pixels that were averaged before."""
    values = np.full((600, 700), 0.9, np.float32)
    values[599, 699] = value
    data = encode(Image.fromarray(values), "TIFF", compression="tiff_lzw")
    assert greys(data)[0, 0] == np.rint(0.9 * 255 / (255 if value <= 255 else value))
    assert np.median(sample_pixels(data)) == greys(data)[0, 0]


def test_bands_join_to_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiff(ramp(0, 65535, "u2"), bits=16)
    at_once = greys(data)
    monkeypatch.setattr("imagestore.decode.grey_levels.PIXELS_AT_A_TIME", 150)
    assert np.array_equal(greys(data), at_once)
    assert np.array_equal(at_once, np.rint(ramp(0, 65535, "u2") / 257))


def test_a_transparent_number_of_16_bits_is_exact() -> None:
    values = flat(0x0102)
    values[:10] = 0x0103
    data = png(values, depth=16, kind=0, transparent=b"\1\2")
    assert (greys(data)[:10] == 1).all()
    assert (greys(data)[10:] == 255).all()  # on white
    assert np.unique(sample_pixels(data)).tolist() == [1]
