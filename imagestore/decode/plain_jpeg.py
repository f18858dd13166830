"""Decode a plain JPEG with simplejpeg: the same pixels as Pillow's bit for bit, in less time.

Both use libjpeg-turbo. simplejpeg makes no image file object in Python, releases the interpreter's lock while
it decodes, and writes RGB without a fourth byte. A JPEG is plain if it is upright and has the usual colours,
its end, and no damage. Pillow decodes everything else.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from imagestore.decode.jpeg_structure import (
    END,
    FRAMES,
    MOST_SCANS,
    PIXELS_PER_BYTE,
    START_OF_SCAN,
    WITHOUT_LENGTH,
    read_metadata,
)
from imagestore.decode.memory_bound import memory_bound
from imagestore.decode.orientation import UPRIGHT, read_orientation

try:
    import simplejpeg
except ImportError:  # no wheel for this machine: Pillow decodes all
    simplejpeg = None

LARGEST_FILE = 1 << 20  # bytes; of larger ones, the time is in the pixels
SMALLEST_SIDE = 64  # pixels; of smaller pictures, several scales have the same size
BYTES_PER_PIXEL = 10  # at most: the coefficients of a progressive JPEG, and the picture
SCALES = (8, 4, 2, 1)
START = b"\xff\xd8\xff"
EXIF_OR_XMP, SEVERAL_PICTURES = 0xE1, 0xE2  # markers of segments; the second is that of colour profiles, too
BASELINE = 0xC0
BLOCK_ROWS, EDGE_ROWS = 32, 16  # rows that are coded together at most, and that reach into those above
USUAL_FRAMES = {0xC0, 0xC1}  # all others are progressive, or rare


def plain_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a JPEG that is plain by its header; None if Pillow has to decode it."""
    if simplejpeg is None or len(data) > LARGEST_FILE or not data.startswith(START) or not data.endswith(END):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        is_plain = colours == "YCbCr" and min(width, height) >= SMALLEST_SIDE and _has_plain_header(data)
    except (ValueError, IndexError):  # damage
        return None
    needed = width * height * BYTES_PER_PIXEL + len(data)
    if not is_plain or width * height > PIXELS_PER_BYTE * len(data) or needed > memory_bound():
        return None
    return width, height


def decode_plain_jpeg(
    data: bytes, size_to_decode: Callable[[int, int], tuple[int, int]] | None = None
) -> np.ndarray | None:
    """uint8 (H, W, 3), RGB; None if Pillow has to decode it.

    `size_to_decode` returns the (width, height) that is enough for a picture of a width and a height. The
    picture is decoded at the smallest scale (1/1, 1/2, 1/4, 1/8) that is at least as large.
    """
    size = plain_jpeg_size(data)
    if size is None:
        return None
    return decode_at_scale(data, size, scale_for(size, size_to_decode(*size)) if size_to_decode else 1)


def scale_for(size: tuple[int, int], enough: tuple[int, int]) -> int:
    """The largest of SCALES at which a picture of `size` (width, height) is at least as large as `enough`."""
    ratio = min(size[0] // enough[0], size[1] // enough[1])
    return next((scale for scale in SCALES if scale <= ratio), 1)


def decode_at_scale(
    data: bytes, size: tuple[int, int], scale: int, *, is_upper_part: bool = False
) -> np.ndarray | None:
    """uint8 (H, W, 3), a plain JPEG of `size` (width, height) at 1/`scale`; None if it is damaged."""
    try:
        return simplejpeg.decode_jpeg(
            data,
            min_factor=scale,
            min_width=size[0] // scale,
            min_height=size[1] // scale,
            strict=not is_upper_part,  # bytes are left over behind an upper part
        )
    except ValueError:
        return None


def upper_part(data: bytes, height: int, rows: int) -> tuple[bytes, int] | None:
    """A JPEG of a `height` whose header claims its upper `rows` or some more, and how many it claims.

    A decoder stops there, and these rows are the same. None if it is progressive, or if little is saved.
    """
    claimed = max(-(-(rows + EDGE_ROWS) // BLOCK_ROWS) * BLOCK_ROWS, SMALLEST_SIDE)
    place = 2
    while data[place + 1] not in FRAMES:
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    if data[place + 1] != BASELINE or claimed >= height:
        return None
    return data[: place + 5] + claimed.to_bytes(2, "big") + data[place + 7 :], claimed


def _has_plain_header(data: bytes) -> bool:
    """Whether the picture is upright, the only one, and not of too many scans. Raises IndexError."""
    place, has_metadata, is_usual = 2, False, False
    while (marker := data[place + 1]) != START_OF_SCAN:
        if data[place] != 0xFF or marker in WITHOUT_LENGTH:
            return False
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == SEVERAL_PICTURES and data.startswith(b"MPF\0", place + 4):
            return False
        has_metadata |= marker == EXIF_OR_XMP
        is_usual |= marker in USUAL_FRAMES
        place += 2 + length
    if not is_usual and data.count(b"\xff\xda") > MOST_SCANS:
        return False
    return not has_metadata or _is_upright(data)


def _is_upright(data: bytes) -> bool:
    metadata = read_metadata(data)
    return read_orientation(metadata.exif, metadata.xmp) == UPRIGHT
