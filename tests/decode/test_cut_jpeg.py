"""cut_jpeg.py: a JPEG that lacks only its end is a picture, of the rows that are there."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from imagestore.decode.cut_jpeg import complete_jpeg
from imagestore.decode.decode_image import decode_8_bits, decode_rgb
from imagestore.decode.errors import NotAnImage
from tests.decode.test_decode_image import jpeg
from tests.helpers.images import blobs, encode

SIZE = (320, 400)
NOISE = Image.merge("RGB", [Image.effect_noise(SIZE, 90) for _ in range(3)])  # as many bytes for each row
BASELINE = {
    "4:2:0": encode(NOISE, "JPEG"),
    "4:4:4": encode(NOISE, "JPEG", subsampling=0),
    "grey": encode(NOISE.convert("L"), "JPEG"),
    "CMYK": encode(NOISE.convert("CMYK"), "JPEG"),
    "optimized": encode(NOISE, "JPEG", optimize=True),
    "restarts": encode(NOISE, "JPEG", restart_marker_blocks=7),
    "flat": encode(Image.new("RGB", SIZE, "orange"), "JPEG"),
}
PHOTOGRAPH = Image.blend(NOISE, blobs(SIZE), 0.8)
PROGRESSIVE = {
    "colour": encode(PHOTOGRAPH, "JPEG", progressive=True),
    "4:4:4": encode(PHOTOGRAPH, "JPEG", progressive=True, subsampling=0),
    "grey": encode(PHOTOGRAPH.convert("L"), "JPEG", progressive=True),
    "CMYK": encode(PHOTOGRAPH.convert("CMYK"), "JPEG", progressive=True),
}


def is_incomplete(data: bytes) -> bool:
    return decode_8_bits(data, lambda width, height: (width, height)).is_incomplete


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode_rgb(data)).astype(int)


# ----- sequential -----


@pytest.mark.parametrize("kind", BASELINE)
@pytest.mark.parametrize("missing", [1, 2, 3, 20, 300])
def test_a_jpeg_without_its_last_bytes_is_a_picture(kind: str, missing: int) -> None:
    whole = BASELINE[kind]
    cut = whole[: -min(missing, len(whole) // 40)]
    assert is_incomplete(cut) and not is_incomplete(whole)
    rows = pixels(cut)
    assert 0.95 * SIZE[1] <= len(rows) <= SIZE[1]
    assert np.abs(rows[:-16] - pixels(whole)[: len(rows) - 16]).max() <= 1


@pytest.mark.parametrize("kind", ["4:2:0", "4:4:4", "grey", "optimized", "restarts"])
def test_the_rows_that_are_there_are_counted(kind: str) -> None:
    """Noise takes as many bytes everywhere, so the share of the bytes is the share of the rows."""
    whole = BASELINE[kind]
    start = whole.index(b"\xff\xda")
    for share in (0.2, 0.5, 0.9, 0.94, 0.97, 0.99):
        cut = whole[: start + int((len(whole) - start) * share)]
        if share < 0.95:
            with pytest.raises(NotAnImage, match=r"^cut short: [\d,]+ of its 400 rows are there$") as refused:
                decode_rgb(cut)
            rows = int(str(refused.value).split()[2])
        else:
            rows = decode_rgb(cut).height
        assert share * SIZE[1] - 17 <= rows <= share * SIZE[1] + 3


@pytest.mark.parametrize("behind", [bytes(100), bytes(5000), b"\xff"])
def test_zeros_in_place_of_the_end_are_no_pixels(behind: bytes) -> None:
    """As a download leaves them that has reserved the room of the whole file."""
    whole = BASELINE["4:2:0"]
    rows = decode_rgb(whole[: len(whole) * 97 // 100] + behind).height
    assert abs(rows - decode_rgb(whole[: len(whole) * 97 // 100]).height) <= 8
    with pytest.raises(NotAnImage, match="cut short"):
        decode_rgb(whole[: len(whole) // 2] + behind)


def test_a_scaled_picture_has_as_many_rows() -> None:
    cut = BASELINE["4:2:0"][:-1000]
    rows = decode_rgb(cut).height
    assert rows < SIZE[1]
    assert decode_rgb(cut, (40, 50)).size == (40, rows // 8)


@pytest.mark.parametrize("length", [2, 3, 20, 150, 400, 620])
def test_a_jpeg_that_is_cut_before_its_pixels_is_none(length: int) -> None:
    with pytest.raises(NotAnImage):
        decode_rgb(BASELINE["4:2:0"][:length])


def test_an_arithmetic_jpeg_may_hold_many_pixels_in_few_bytes() -> None:
    """Its codes take less than a bit. Pillow writes none, so this one only says that it is arithmetic."""
    huffman = jpeg(6000, 4000)
    with pytest.raises(NotAnImage, match="claims"):
        decode_rgb(huffman)
    assert decode_rgb(huffman.replace(b"\xff\xc0", b"\xff\xc9")).size == (6000, 4000)


def test_a_whole_jpeg_is_not_completed() -> None:
    assert complete_jpeg(BASELINE["4:2:0"]) is None
    assert complete_jpeg(PROGRESSIVE["colour"] + b"appended") is None


# ----- progressive -----


def scans(data: bytes) -> list[int]:
    """Where the scans begin."""
    starts = [place for place in range(len(data) - 1) if data[place : place + 2] == b"\xff\xda"]
    assert len(starts) >= 5
    return starts


@pytest.mark.parametrize("kind", PROGRESSIVE)
def test_a_progressive_jpeg_may_lack_its_last_scan(kind: str) -> None:
    whole = PROGRESSIVE[kind]
    *_, before_last, last = scans(whole)
    for length in (len(whole) - 2, (last + len(whole)) // 2, last + 12, last + 3, last):
        assert decode_rgb(whole[:length]).size == SIZE, length
        assert is_incomplete(whole[:length])
        assert np.abs(pixels(whole[:length]) - pixels(whole)).mean() < 8
    with pytest.raises(NotAnImage, match=r"^cut short: \d+ of its scans are whole, more are missing$"):
        decode_rgb(whole[: (before_last + last) // 2])


@pytest.mark.parametrize("kind", PROGRESSIVE)
def test_a_progressive_jpeg_that_is_cut_earlier_is_none(kind: str) -> None:
    whole = PROGRESSIVE[kind]
    for start in scans(whole)[:-1]:
        with pytest.raises(NotAnImage, match=r"cut short|more than its bytes can hold"):
            decode_rgb(whole[: start + 16])


# ----- scans of one colour each -----


def test_a_colour_without_its_scan_is_missing() -> None:
    """Of a sequential JPEG whose scans have one component each, only the last may be cut."""
    grey = NOISE.convert("L")
    whole = encode(Image.merge("RGB", [grey] * 3), "JPEG", subsampling=0)
    start = whole.index(b"\xff\xda")
    header = whole[start : start + 14]
    assert header[4] == 3  # components
    alone = header[:2] + b"\0\x08\1" + header[5:7] + b"\0\x3f\0"
    only_first = whole[:start] + alone + encode(grey, "JPEG").split(b"\xff\xda")[1][8:-2]
    with pytest.raises(NotAnImage, match="cut short: 0 of its 400 rows are there"):
        decode_rgb(only_first)
