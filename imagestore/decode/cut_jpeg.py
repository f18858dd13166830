"""A JPEG that lacks only its end is a picture: how much of it is there, and bytes that can be decoded.

Downloads that broke off are like this. Some programs fill them up with zeros.
"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass

from PIL import Image, ImageChops
from PIL.JpegImagePlugin import JpegImageFile

from imagestore.decode.errors import NotAnImage
from imagestore.decode.jpeg_structure import END, Structure, read_structure

LEAST_SHARE = 0.95  # of the rows, if the picture is not progressive
BLOCK = 8  # rows and columns; a JPEG is decoded at 1/8 with one pixel for each block
RANDOM_BYTES = 1 << 16
FILLED_UP = bytes(64)  # so many zeros at the end are no pixels


@dataclass(frozen=True)
class CompletedJpeg:
    """Bytes with an end, and how many rows of the picture they hold, from the top."""

    data: bytes
    rows: int
    all_rows: int


def complete_jpeg(data: bytes) -> CompletedJpeg | None:
    """A cut JPEG with an end; None if it has one. Raises NotAnImage if more than its end is missing."""
    structure = read_structure(data)
    if structure.has_end:
        return None
    if not structure.scans or not structure.height:
        raise NotAnImage("cut short before its pixels")
    pixels = _without_filling(data[: structure.end_of_scans])
    if structure.is_progressive:
        if not _lacks_one_scan(structure, is_closed=structure.end_of_scans < len(data)):
            raise NotAnImage(
                f"cut short: {len(structure.scans) - 1} of its scans are whole, more are missing"
            )
        rows = structure.height
    else:
        rows = _count_rows(pixels, structure)
        if rows < LEAST_SHARE * structure.height:
            raise NotAnImage(f"cut short: {rows:,} of its {structure.height:,} rows are there")
    return CompletedJpeg(pixels + END, rows, structure.height)


def _without_filling(data: bytes) -> bytes:
    if data.endswith(FILLED_UP):
        data = data.rstrip(b"\0")
        return data + b"\0" if data.endswith(b"\xff") else data  # the two are one byte of pixels
    return data.rstrip(b"\xff")  # half of a byte of pixels, or of a marker


def _lacks_one_scan(structure: Structure, *, is_closed: bool) -> bool:
    """Whether nothing is missing but the rest of the last scan, or, if that `is_closed`, one more scan.

    The coefficients must be exact then: in a whole picture, all of them are, down to the last bit.
    """
    bits_left: dict[tuple[int, int], int | None] = {
        (component, number): None for component in structure.components for number in range(BLOCK * BLOCK)
    }
    for scan in structure.scans:
        bits_left |= {
            (component, number): scan.low for component in scan.components for number in scan.coefficients
        }
    missing = {key: bits for key, bits in bits_left.items() if bits != 0}
    if not missing or not is_closed:
        return not missing
    # One scan refines by one bit: the mean (number 0) of several components, or other numbers of one.
    is_mean = all(number == 0 for _, number in missing)
    components = {component for component, _ in missing}
    return (is_mean or len(components) == 1) and set(missing.values()) in ({1}, {None})


def _count_rows(data: bytes, structure: Structure) -> int:
    """How many rows of a cut sequential JPEG are in the data, a multiple of BLOCK or all of them.

    Different bytes are put in the place of the missing ones. What differs in the pictures is not in the data.
    """
    if {component for scan in structure.scans for component in scan.components} != set(structure.components):
        return 0  # a colour is missing everywhere
    grey, *others = (_decode_small(data + tail + END) for tail in (b"", _random_bytes(1), _random_bytes(2)))
    differences = (ImageChops.difference(grey, other).getbbox() for other in others)
    lines = min(box[1] if box else grey.height for box in differences)
    return structure.height if lines == grey.height else lines * structure.height // grey.height


def _decode_small(data: bytes) -> Image.Image:
    image = JpegImageFile(io.BytesIO(data))
    image.draft(None, (max(image.width // BLOCK, 1), max(image.height // BLOCK, 1)))
    image.load()
    return image


def _random_bytes(seed: int) -> bytes:
    """Without a marker."""
    return random.Random(seed).randbytes(RANDOM_BYTES).replace(b"\xff", b"\xfe")
