"""jpeg_structure.py: metadata costs no JPEG its picture, and bytes behind the picture are no part of it."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestore.colour.palette import find_palette
from imagestore.decode.decode_image import decode_8_bits, decode_rgb
from imagestore.decode.errors import NotAnImage
from imagestore.decode.jpeg_structure import read_structure
from tests.helpers.images import blobs, encode


def test_bytes_behind_left_out_metadata_are_passed_over() -> None:
    """A writer gave its EXIF block too short a length, so its end stands between segments."""
    data = encode(blobs(), "JPEG")
    exif = b"\xff\xe1\0\x10Exif\0\0MM\0*\0\0\0\x08" + b"\0\4\0\6\0\0"
    assert decode_rgb(data[:2] + exif + data[2:]).tobytes() == decode_rgb(data).tobytes()


# ----- metadata -----


def segment(marker: int, body: bytes) -> bytes:
    return bytes([255, marker]) + struct.pack(">H", len(body) + 2) + body


DAMAGED = {
    "a short JFIF": segment(0xE0, b"JFIF\0"),
    "a JFIF without density": segment(0xE0, b"JFIF\0\1\1"),
    "a short Adobe": segment(0xEE, b"Adobe\0"),
    "a profile without number": segment(0xE2, b"ICC_PROFILE\0"),
    "a profile of which a part is missing": segment(0xE2, b"ICC_PROFILE\0\1\3part"),
    "a list of pictures that is none": segment(0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff"),
    "a list of pictures that is empty": segment(0xE2, b"MPF\0"),
    "half a resource": segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x03\xed"),
    "a resource of a wrong size": segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x03\xed\0\0\xff\xff\xff\xff"),
    "a FlashPix block": segment(0xE2, b"FPXR\0"),
    "a comment": segment(0xFE, b"\xff\xd8\xff\xda\xff\xd9"),
    "an XMP block that is none": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0\xff\xfe"),
    "an empty segment": segment(0xE5, b""),
    "all of them": b"",
}
DAMAGED["all of them"] = b"".join(DAMAGED.values())


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("kind", DAMAGED)
def test_no_metadata_costs_a_jpeg(kind: str, large: bool) -> None:
    """A large file goes another way: its metadata is left out before it is opened."""
    data = encode(blobs(), "JPEG")
    padding = segment(0xEF, bytes(60_000)) * 20 if large else b""
    damaged = data[:2] + padding + DAMAGED[kind] + data[2:]
    assert decode_rgb(damaged).tobytes() == decode_rgb(data).tobytes()


def test_cmyk_stays_what_adobe_says() -> None:
    cmyk = encode(blobs().convert("CMYK"), "JPEG")
    large = cmyk[:2] + segment(0xEF, bytes(60_000)) * 20 + cmyk[2:]
    assert decode_rgb(large).tobytes() == decode_rgb(cmyk).tobytes()


# ----- scans and the end -----

PROGRESSIVE = encode(blobs(), "JPEG", progressive=True)
SCANS = PROGRESSIVE.count(b"\xff\xda")


@pytest.mark.parametrize("behind", ["motion photograph", "another JPEG", "scans", "markers"])
def test_bytes_behind_the_picture_are_no_scans(behind: str) -> None:
    bytes_behind = {
        "motion photograph": b"MotionPhoto_Data" + random.Random(1).randbytes(8 << 20),
        "another JPEG": PROGRESSIVE * 20,
        "scans": b"\xff\xda\0\x08\1\1\0\0\x3f\0" * 500,
        "markers": b"\xff\xd8\xff\xda\xff\xd9" * 300,
    }[behind]
    data = PROGRESSIVE + bytes_behind
    assert data.count(b"\xff\xda") > 100
    structure = read_structure(data)
    assert (len(structure.scans), structure.has_end) == (SCANS, True)
    assert decode_rgb(data).tobytes() == decode_rgb(PROGRESSIVE).tobytes()
    assert not decode_8_bits(data, lambda width, height: (width, height)).is_incomplete


def test_thumbnails_in_metadata_are_no_scans() -> None:
    thumbnail = encode(blobs((40, 30)), "JPEG", progressive=True)
    metadata = segment(0xE1, b"Exif\0\0" + thumbnail * 20) * 5
    assert metadata.count(b"\xff\xda") > 100
    data = PROGRESSIVE[:2] + metadata + PROGRESSIVE[2:]
    assert len(read_structure(data).scans) == SCANS
    assert decode_rgb(data).tobytes() == decode_rgb(PROGRESSIVE).tobytes()


def test_what_is_said_of_a_jpeg() -> None:
    structure = read_structure(PROGRESSIVE)
    assert structure.is_progressive and structure.has_end
    assert (structure.height, structure.components) == (480, (1, 2, 3))
    assert structure.end_of_scans == len(PROGRESSIVE) - 2
    first, *_, last = structure.scans
    assert (first.components, first.coefficients, first.low) == ((1, 2, 3), range(1), 1)
    assert (last.components, last.coefficients, last.low) == ((1,), range(1, 64), 0)
    baseline = read_structure(encode(blobs(), "JPEG", restart_marker_blocks=3))
    assert (baseline.is_progressive, len(baseline.scans), baseline.has_end) == (False, 1, True)


@pytest.mark.parametrize("progressive", [False, True])
def test_sampling_factors_of_zero_are_refused(progressive: bool) -> None:
    data = bytearray(encode(blobs(), "JPEG", progressive=progressive))
    frame = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    for component in range(3):
        data[frame + 11 + 3 * component] = 0
    for decode in (decode_rgb, find_palette):
        with pytest.raises(NotAnImage):
            decode(bytes(data))


@given(st.binary(max_size=300))
def test_no_bytes_stop_the_search_for_segments(body: bytes) -> None:
    structure = read_structure(b"\xff\xd8\xff" + body)
    assert structure.end_of_scans <= len(body) + 3
