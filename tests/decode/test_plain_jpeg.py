"""Plain JPEGs: the pixels are Pillow's bit for bit at each scale, and Pillow decodes what is not plain."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from imagestore.decode.plain_jpeg import decode_at_scale, decode_plain_jpeg, plain_jpeg_size, upper_part


def photograph(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth colours with some noise, so that all coefficients are used."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (9, 11, 3), np.uint8)).resize((width, height))
    noise = random.integers(-20, 21, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(coarse, np.int16) + noise, 0, 255).astype(np.uint8))


def jpeg(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def by_pillow(data: bytes, scale: int) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    image.draft(None, (image.width // scale, image.height // scale))
    return np.asarray(image)


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [(64, 64), (65, 79), (500, 333), (641, 480)])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_the_pixels_are_those_of_pillow(
    scale: int, size: tuple[int, int], subsampling: int, progressive: bool
) -> None:
    for quality in (30, 95):
        data = jpeg(photograph(*size), quality=quality, subsampling=subsampling, progressive=progressive)
        pixels = decode_plain_jpeg(data, lambda w, h: (w // scale, h // scale))
        assert np.array_equal(pixels, by_pillow(data, scale))


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_what_is_not_plain_is_left_to_pillow() -> None:
    picture = photograph(100, 80)
    whole = jpeg(picture)
    assert plain_jpeg_size(whole) == (100, 80)
    assert plain_jpeg_size(jpeg(picture, exif=turned(1))) == (100, 80)
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    for data in (
        jpeg(picture, exif=turned(6)),
        jpeg(picture, xmp=xmp),
        jpeg(picture.convert("CMYK")),
        jpeg(picture.convert("L")),
        jpeg(photograph(63, 80)),
        whole[:-2],
        whole[: len(whole) // 2],
        whole[:20] + b"\xff\xd9",
        b"\xff\xd8\xff\xd9",
        b"",
    ):
        assert decode_plain_jpeg(data) is None


def test_a_damaged_scan_is_left_to_pillow() -> None:
    data = bytearray(jpeg(photograph(200, 160)))
    data[-200:-150] = b"\xff\xd0" * 25
    assert plain_jpeg_size(bytes(data)) == (200, 160)
    assert decode_plain_jpeg(bytes(data)) is None


def test_the_bound_of_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    data = jpeg(photograph(500, 400))
    monkeypatch.setenv("IMAGESTORE_DECODE_MEMORY", "1M")
    assert decode_plain_jpeg(data) is None


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("restart", [0, 1])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_an_upper_part_has_the_same_pixels(subsampling: int, restart: int, scale: int) -> None:
    data = jpeg(photograph(333, 500), quality=90, subsampling=subsampling, restart_marker_rows=restart)
    whole = by_pillow(data, scale)
    for rows in (1, 64, 200, 333):
        part, claimed = upper_part(data, 500, rows)
        assert rows <= claimed < 500
        pixels = decode_at_scale(part, (333, claimed), scale, is_upper_part=True)
        assert pixels.shape[0] == claimed // scale
        assert np.array_equal(pixels[: rows // scale], whole[: rows // scale])


def test_what_is_needed_to_the_end_has_no_upper_part() -> None:
    assert upper_part(jpeg(photograph(333, 500), progressive=True), 500, 100) is None
    assert upper_part(jpeg(photograph(333, 500)), 500, 490) is None
