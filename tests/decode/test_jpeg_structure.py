"""jpeg_structure.py: what stands between segments."""

from __future__ import annotations

from imagestore.decode.decode_image import decode_rgb
from tests.helpers.images import blobs, encode


def test_bytes_behind_left_out_metadata_are_passed_over() -> None:
    """A writer gave its EXIF block too short a length, so its end stands between segments."""
    data = encode(blobs(), "JPEG")
    exif = b"\xff\xe1\0\x10Exif\0\0MM\0*\0\0\0\x08" + b"\0\4\0\6\0\0"
    assert decode_rgb(data[:2] + exif + data[2:]).tobytes() == decode_rgb(data).tobytes()
