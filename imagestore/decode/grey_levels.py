"""Grey pictures of more than 8 bits, and of floating-point numbers, as levels from 0 (black) to 255 (white).

The numbers that stand for black and for white follow from the file, or else from all pixels of the picture:

    16 bits, and PGM            0 and 65535
    12 bits, TIFF               0 and 4095
    whole numbers of 32 bits    0 and 255, or 0 and 65535, if all pixels fit; else the smallest and largest
    floating-point numbers      0 and 1 if the largest is at most 1; 0 and 255 if all pixels fit; else the
                                smallest and the largest

Of floating-point numbers only the finite ones decide. What is no number is black.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

PIXELS_AT_A_TIME = 1 << 18  # so the temporary arrays stay small

# Tags of TIFF 6.0, and values of theirs.
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
WHITE_IS_ZERO = 0  # of PHOTOMETRIC
UNSIGNED = 1  # of SAMPLE_FORMAT; the default


def holds_numbers(image: Image.Image) -> bool:
    """Whether the pixels are grey numbers that Pillow would clip, not scale, on the way to 8 bits."""
    return image.mode.startswith("I") or image.mode == "F"


def to_grey_levels(image: Image.Image) -> Image.Image:
    """A picture of mode I, I;16 or F as one of mode L, or RGBA if the file names a transparent number."""
    levels = np.empty((image.height, image.width), np.uint8)
    opaque = np.empty_like(levels) if "transparency" in image.info else None
    black, white = _black_and_white(image)
    for rows, values in _bands(image):
        levels[rows] = scale_to_levels(values, black, white)
        if opaque is not None:
            opaque[rows] = np.where(values == image.info["transparency"], 0, 255)
    if opaque is None:
        return Image.fromarray(levels)
    return Image.merge("LA", (Image.fromarray(levels), Image.fromarray(opaque))).convert("RGBA")


def usual_range(smallest: float, largest: float, *, floats: bool) -> tuple[float, float]:
    """The smallest usual range that holds all numbers, or else the range from the smallest to the largest."""
    if floats and 0 < largest <= 1:
        return 0.0, 1.0
    for white in (1.0, 255.0) if floats else (255.0, 65535.0):
        if smallest >= 0 and largest <= white:
            return 0.0, white
    return (smallest, largest) if smallest < largest else (smallest - 1, largest)


def scale_to_levels(values: np.ndarray, black: float, white: float) -> np.ndarray:
    """uint8, of the shape of `values`: 0 for the number `black` and below, 255 for `white` and above."""
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return scale_to_levels(np.arange(1 << 16, dtype=np.float32), black, white)[values]
    with np.errstate(invalid="ignore", over="ignore"):  # infinite numbers
        levels = np.rint((values.astype(np.float64) - black) * (255 / (white - black)))
    return np.nan_to_num(np.clip(levels, 0, 255)).astype(np.uint8)


def _bands(image: Image.Image) -> Iterator[tuple[slice, np.ndarray]]:
    """The pixels (rows, width) a few rows at a time, from top to bottom, each time with these rows."""
    rows_at_a_time = max(1, PIXELS_AT_A_TIME // image.width)
    for top in range(0, image.height, rows_at_a_time):
        bottom = min(top + rows_at_a_time, image.height)
        values = np.asarray(image.crop((0, top, image.width, bottom)))
        yield slice(top, bottom), values.view(np.uint32) if _is_unsigned(image) else values


# ----- which numbers are black and white -----


def _black_and_white(image: Image.Image) -> tuple[float, float]:
    """The numbers that stand for black and for white, which are never equal."""
    white = _white_by_the_file(image)
    black, white = (0.0, white) if white else usual_range(*_extremes(image), floats=image.mode == "F")
    return (white, black) if _tiff_tag(image, PHOTOMETRIC) == WHITE_IS_ZERO else (black, white)


def _white_by_the_file(image: Image.Image) -> float | None:
    if image.mode.startswith("I;16"):
        return float((1 << (_tiff_tag(image, BITS) or 16)) - 1)
    return 65535.0 if image.format == "PPM" and image.mode == "I" else None  # Pillow scales a PGM to 16 bits


def _extremes(image: Image.Image) -> tuple[float, float]:
    """The smallest and the largest finite number of a picture; zeros if there is none."""
    finite = [values[np.isfinite(values)] for _, values in _bands(image)]
    finite = [values for values in finite if values.size]
    if not finite:
        return 0.0, 0.0
    return float(min(values.min() for values in finite)), float(max(values.max() for values in finite))


def _is_unsigned(image: Image.Image) -> bool:
    """Whether 32-bit numbers have no sign, although Pillow reads them as if they had one."""
    return (
        image.mode == "I"
        and _tiff_tag(image, BITS) == 32
        and _tiff_tag(image, SAMPLE_FORMAT) in (None, UNSIGNED)
    )


def _tiff_tag(image: Image.Image, tag: int) -> int | None:
    """The first value of a tag of a TIFF; None if there is none."""
    value = image.tag_v2.get(tag) if image.format == "TIFF" else None
    return value[0] if isinstance(value, tuple) else value
