"""colour/sample_pixels.py: every kind of image gives pixels of its colour."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ExifTags, Image

from imagestore.colour.colour_names import basic_term
from imagestore.colour.label import label_of
from imagestore.colour.palette import find_palette
from imagestore.colour.sample_pixels import PIXELS, sample_pixels
from tests.helpers.images import blobs, encode, stripes

ROTATED = Image.Exif()
ROTATED[ExifTags.Base.Orientation] = 6
HALF_GREY = np.full((50, 80), 0x8080, np.uint16)
KINDS = {
    "one pixel": (Image.new("RGB", (1, 1), "red"), "PNG", {}, "red"),
    "one pixel, JPEG": (Image.new("RGB", (1, 1), "orange"), "JPEG", {}, "orange"),
    "flat and large": (Image.new("RGB", (2000, 1500), "blue"), "PNG", {}, "blue"),
    "grey": (Image.new("L", (64, 64), 128), "JPEG", {}, "grey"),
    "bilevel": (Image.new("1", (2000, 2000), 1), "TIFF", {}, "white"),
    "palette": (stripes().quantize(4), "GIF", {}, "blue"),
    "palette, large": (stripes((1800, 1200)).quantize(4), "PNG", {}, "blue"),
    "CMYK": (Image.new("CMYK", (300, 200), (0, 255, 255, 0)), "JPEG", {"quality": 95}, "red"),
    "CMYK, TIFF": (Image.new("CMYK", (300, 200), (255, 0, 255, 0)), "TIFF", {}, "green"),
    "Lab": (Image.new("RGB", (40, 40), "red").convert("LAB"), "TIFF", {}, "red"),
    "16 bits, PNG": (Image.fromarray(HALF_GREY), "PNG", {}, "grey"),
    "16 bits, TIFF": (Image.fromarray(HALF_GREY.repeat(20, 0)), "TIFF", {}, "grey"),
    "32 bits": (Image.fromarray(HALF_GREY.astype(np.int32)), "TIFF", {}, "grey"),
    "floating point": (Image.fromarray(np.full((40, 40), 0.5, np.float32)), "TIFF", {}, "grey"),
    "not a number": (Image.fromarray(np.full((40, 40), np.nan, np.float32)), "TIFF", {}, "black"),
    "invisible": (Image.new("RGBA", (40, 40), (255, 0, 0, 0)), "PNG", {}, "white"),
    "half transparent": (Image.new("RGBA", (40, 40), (255, 0, 0, 64)), "PNG", {}, "light-pink"),
    "rotated by EXIF": (stripes(), "JPEG", {"exif": ROTATED}, "blue"),
    "WebP": (stripes(), "WEBP", {"lossless": True}, "blue"),
    "BMP": (stripes(), "BMP", {}, "blue"),
    "panorama": (stripes((8000, 400)), "JPEG", {}, "blue"),
    "panorama, PNG": (stripes((8000, 400)), "PNG", {}, "blue"),
    "a line across": (stripes((60_000, 1)), "PNG", {}, "blue"),
    "a line down": (Image.new("RGB", (1, 20_000), "red"), "JPEG", {}, "red"),
    "progressive": (stripes((1200, 900)), "JPEG", {"progressive": True}, "blue"),
}  # fmt: skip


def label(data: bytes | Image.Image) -> str:
    return label_of(find_palette(data))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_gets_a_sensible_label(kind: str) -> None:
    image, format, options, expected = KINDS[kind]
    assert label(encode(image, format, **options)) == expected


def test_invisible_pixels_do_not_count() -> None:
    image = Image.new("RGBA", (200, 200), (0, 255, 0, 0))
    image.paste((0, 0, 255, 255), (80, 80, 120, 120))
    assert label(encode(image)) == label(encode(image, "WEBP", lossless=True)) == "blue"


def test_an_animation_is_labelled_by_its_first_frame() -> None:
    first, *others = [Image.new("RGB", (60, 60), colour) for colour in ("green", "red", "blue")]
    for format in ("GIF", "WEBP"):
        data = encode(first, format, save_all=True, append_images=others, loop=0)
        assert basic_term(label(data)) == "green"


def test_dark_16_bit_images_stay_dark() -> None:
    """White is 65535 for 16 bits, however dark the image is; before and after it is averaged down."""
    for size in ((40, 40), (400, 400)):
        image = Image.fromarray(np.full(size, 200, np.uint16))
        assert sample_pixels(encode(image)).max() == 1  # 200 / 65535 of 255, rounded


def test_a_pillow_image_is_not_changed() -> None:
    image = Image.fromarray(HALF_GREY.repeat(40, 0))
    before = image.tobytes(), dict(image.info), image.size
    assert label(image) == "grey"
    assert (image.tobytes(), dict(image.info), image.size) == before


def test_large_and_small_images_give_as_many_pixels() -> None:
    for size in ((300, 225), (640, 480), (4000, 3000)):
        for format in ("JPEG", "PNG"):
            assert PIXELS <= len(sample_pixels(encode(blobs(size, seed=2), format))) < 4 * PIXELS


def test_a_photograph_of_50_megapixels_is_labelled() -> None:
    assert label(encode(stripes((8160, 6120)), "JPEG")) == "blue"
