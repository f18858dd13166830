"""From the bytes of an image to a few thousand of its pixels, in bounded memory, whatever the bytes are.

Colours need no detail: a JPEG is decoded at 1/8, 1/4 or 1/2 of its size (libjpeg's scaled transform), and
anything else is averaged down after decoding, so that every picture, large or small, is looked at through
about the same number of pixels. Used by colour. Safe in processes; in threads too, but that what others
warn of in the meantime (and, while a TIFF is decoded, write to standard error) may be lost.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from imagestore.decode import has_alpha, load, only_images

PIXELS = 3000  # fewest that a picture is brought down to; fewer than four times as many come out


OPAQUE, INVISIBLE = 255, 8  # alpha; what is below INVISIBLE does not count


def sample_pixels(data: bytes | Image.Image) -> np.ndarray:
    """uint8 (n, 3), sRGB: the first picture of an encoded image, or a Pillow image, averaged down.

    Transparency lies on white; pixels that are invisible are left out where others are not. Embedded
    colour profiles are not applied. Raises NotAnImage.
    """
    with only_images():
        return _rgb(_reduced(load(data, _enough) if isinstance(data, bytes) else data))


def _enough(width: int, height: int) -> tuple[int, int]:
    """The size, for a JPEG of this size, that leaves PIXELS pixels or more."""
    scale = next((s for s in (8, 4, 2) if width * height >= PIXELS * s * s), 1)
    return max(width // scale, 1), max(height // scale, 1)


def _reduced(image: Image.Image) -> Image.Image:
    area = image.width * image.height
    if area < 4 * PIXELS:
        return image
    if image.mode == "P":
        image = image.convert("RGBA" if has_alpha(image) else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode.startswith("I;16"):
        image = _with_depth(image.convert("I"), 16)
    factor = math.isqrt(area // PIXELS)
    smaller = image.reduce((min(factor, image.width), min(factor, image.height)))
    smaller.info = image.info
    return smaller


def _rgb(image: Image.Image) -> np.ndarray:
    if image.mode == "RGB" and "transparency" not in image.info:
        return np.frombuffer(image.tobytes(), np.uint8).reshape(-1, 3)
    if image.mode.startswith("I") or image.mode == "F":
        return np.repeat(_grey(image), 3).reshape(-1, 3)
    if has_alpha(image):
        return _visible(np.array(image.convert("RGBA"), np.uint16).reshape(-1, 4))
    return np.array(image.convert("RGB")).reshape(-1, 3)


def _with_depth(image: Image.Image, bits: int) -> Image.Image:
    image.info["bits"] = bits
    return image


def _grey(image: Image.Image) -> np.ndarray:
    """uint8 of a picture of numbers: 16-bit ones whole, others by the range that they seem to use."""
    values = np.nan_to_num(np.array(image, np.float64), posinf=0, neginf=0)
    top = 65535 if image.mode.startswith("I;16") or image.info.get("bits") == 16 else float(values.max())
    white = next((limit for limit in (1, 255, 65535) if top <= limit), top)
    if white == 1 and image.mode == "I":
        white = 255
    return np.rint(np.clip(values / white, 0, 1) * 255).astype(np.uint8)


def _visible(rgba: np.ndarray) -> np.ndarray:
    seen = rgba[rgba[:, 3] >= INVISIBLE]
    if not len(seen):
        return np.full((1, 3), 255, np.uint8)
    alpha = seen[:, 3:].astype(np.uint32)
    return ((seen[:, :3] * alpha + 255 * (OPAQUE - alpha) + 127) // OPAQUE).astype(np.uint8)
