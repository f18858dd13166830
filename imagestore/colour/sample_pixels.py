"""From an image to a few thousand of its pixels, averaged down.

Colours need no detail. A JPEG is decoded at 1/8, 1/4 or 1/2 of its size (by libjpeg's scaled transform);
other images are averaged down after decoding. So large and small images give about the same number of
pixels.

Safe in processes and, with the restriction in decode/decode_image.py, in threads.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from imagestore.decode.decode_image import decode_unconverted
from imagestore.decode.errors import errors_as_not_an_image
from imagestore.decode.to_rgb import has_alpha

# A larger image is averaged down to at least as many pixels, and mostly to fewer than four times as many.
PIXELS = 3000
OPAQUE = 255  # alpha
LEAST_VISIBLE = 8  # alpha; pixels below it do not count


def sample_pixels(image: bytes | Image.Image) -> np.ndarray:
    """uint8 (n, 3), sRGB: the first frame of an encoded image, or a Pillow image, averaged down.

    Transparent pixels are laid on white. Invisible pixels are left out if there are visible ones. Embedded
    colour profiles are not applied. Raises NotAnImage.
    """
    with errors_as_not_an_image():
        full = decode_unconverted(image, _size_to_decode) if isinstance(image, bytes) else image
        return _to_rgb(_average_down(full), has_16_bits=full.mode.startswith("I;16"))


def _size_to_decode(width: int, height: int) -> tuple[int, int]:
    """The smallest size at which libjpeg can decode a JPEG of this size to at least PIXELS pixels."""
    scale = next((scale for scale in (8, 4, 2) if width * height >= PIXELS * scale * scale), 1)
    return max(width // scale, 1), max(height // scale, 1)


def _average_down(image: Image.Image) -> Image.Image:
    """The image, averaged down if it has four times PIXELS pixels or more; its mode may change then."""
    area = image.width * image.height
    if area < 4 * PIXELS:
        return image
    factor = math.isqrt(area // PIXELS)
    factors = min(factor, image.width), min(factor, image.height)
    smaller = _with_averageable_mode(image).reduce(factors)
    smaller.info = image.info
    return smaller


def _with_averageable_mode(image: Image.Image) -> Image.Image:
    """The image in a mode whose numbers can be averaged: neither indexes into a palette nor packed bits."""
    if image.mode == "P":
        return image.convert("RGBA" if has_alpha(image) else "RGB")
    if image.mode == "1":
        return image.convert("L")
    return image.convert("I") if image.mode.startswith("I;16") else image


def _to_rgb(image: Image.Image, *, has_16_bits: bool) -> np.ndarray:
    """uint8 (n, 3): the pixels that count."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return np.frombuffer(image.tobytes(), np.uint8).reshape(-1, 3)
    if image.mode.startswith("I") or image.mode == "F":
        return np.repeat(_grey_levels(image, has_16_bits=has_16_bits), 3).reshape(-1, 3)
    if has_alpha(image):
        return _visible_on_white(np.array(image.convert("RGBA"), np.uint16).reshape(-1, 4))
    return np.array(image.convert("RGB")).reshape(-1, 3)


def _grey_levels(image: Image.Image, *, has_16_bits: bool) -> np.ndarray:
    """uint8 (h, w): an image of numbers (modes I, I;16 and F) as levels from black to white."""
    values = np.nan_to_num(np.array(image, np.float64), posinf=0, neginf=0)
    white = 65535.0 if has_16_bits else _guess_white(values, whole_numbers=image.mode == "I")
    return np.rint(np.clip(values / white, 0, 1) * 255).astype(np.uint8)


def _guess_white(values: np.ndarray, *, whole_numbers: bool) -> float:
    """The number that stands for white: the end of the smallest usual range that holds all values."""
    largest = float(values.max())
    usual = (255, 65535) if whole_numbers else (1, 255, 65535)
    return next((white for white in usual if largest <= white), largest)


def _visible_on_white(rgba: np.ndarray) -> np.ndarray:
    """uint8 (n, 3) of uint16 (m, 4): the visible pixels on white, or one white pixel if all are invisible."""
    visible = rgba[rgba[:, 3] >= LEAST_VISIBLE]
    if not len(visible):
        return np.full((1, 3), 255, np.uint8)
    alpha = visible[:, 3:].astype(np.uint32)
    return ((visible[:, :3] * alpha + 255 * (OPAQUE - alpha) + 127) // OPAQUE).astype(np.uint8)
