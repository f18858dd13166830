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

from imagestore.decode.decode_image import Decoded, decode_8_bits
from imagestore.decode.errors import NotAnImage
from imagestore.decode.to_rgb import to_8_bits

# A larger image is averaged down to at least as many pixels, and mostly to fewer than four times as many.
PIXELS = 3000
OPAQUE = 255  # alpha
LEAST_VISIBLE = 8  # alpha; pixels below it do not count


def sample_pixels(image: bytes | Image.Image) -> np.ndarray:
    """uint8 (n, 3), sRGB: the first frame of an encoded image, or a Pillow image, averaged down.

    Transparent pixels are laid on white. Invisible pixels are left out if there are visible ones. Embedded
    colour profiles are not applied. Raises NotAnImage.
    """
    full = decode_small(image).image if isinstance(image, bytes) else image
    try:
        return _to_rgb(_average_down(to_8_bits(full)))
    except MemoryError:
        raise NotAnImage("needs more memory than there is") from None


def decode_small(data: bytes) -> Decoded:
    """An encoded image, no larger than colours need if its format can be decoded so. Raises NotAnImage."""
    return decode_8_bits(data, _size_to_decode)


def _size_to_decode(width: int, height: int) -> tuple[int, int]:
    """The smallest size at which libjpeg can decode a JPEG of this size to at least PIXELS pixels."""
    scale = next((scale for scale in (8, 4, 2) if width * height >= PIXELS * scale * scale), 1)
    return max(width // scale, 1), max(height // scale, 1)


def _average_down(image: Image.Image) -> Image.Image:
    """The image (L, RGB or RGBA), averaged down if it has four times PIXELS pixels or more."""
    area = image.width * image.height
    if area < 4 * PIXELS:
        return image
    factor = math.isqrt(area // PIXELS)
    return image.reduce((min(factor, image.width), min(factor, image.height)))


def _to_rgb(image: Image.Image) -> np.ndarray:
    """uint8 (n, 3): the pixels that count."""
    if image.mode == "RGBA":
        return _visible_on_white(np.array(image, np.uint16).reshape(-1, 4))
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    return np.frombuffer(rgb.tobytes(), np.uint8).reshape(-1, 3)


def _visible_on_white(rgba: np.ndarray) -> np.ndarray:
    """uint8 (n, 3) of uint16 (m, 4): the visible pixels on white, or one white pixel if all are invisible."""
    visible = rgba[rgba[:, 3] >= LEAST_VISIBLE]
    if not len(visible):
        return np.full((1, 3), 255, np.uint8)
    alpha = visible[:, 3:].astype(np.uint32)
    return ((visible[:, :3] * alpha + 255 * (OPAQUE - alpha) + 127) // OPAQUE).astype(np.uint8)
