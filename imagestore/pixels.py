"""From the bytes of an image to a few thousand of its pixels, in bounded memory, whatever the bytes are.

Colours need no detail: a JPEG is decoded at 1/8, 1/4 or 1/2 of its size (libjpeg's scaled transform), and
anything else is averaged down after decoding, so that every picture, large or small, is looked at through
about the same number of pixels. Used by colour. Safe in processes; in threads too, but that what others
warn of in the meantime (and, while a TIFF is decoded, write to standard error) may be lost.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from imagestore.decode import DAMAGE, FORMATS, NotAnImage

PIXELS = 3000  # fewest that a picture is brought down to; fewer than four times as many come out
MOST_BYTES = 112 << 20  # that decoding may take: two workers and their parent stay below 400 MB
MOST_SCANS = 100  # of a progressive JPEG, each as long as the file says; encoders write about ten
OPAQUE, INVISIBLE = 255, 8  # alpha; what is below INVISIBLE does not count

# Bytes for each pixel beside the picture itself: decoded copies that the reader of the format holds.
OVERHEAD = {"WEBP": 9, "TIFF": 4}


def sample(data: bytes | Image.Image) -> np.ndarray:
    """uint8 (n, 3), sRGB: the first picture of an encoded image, or a Pillow image, averaged down.

    Transparency lies on white; pixels that are invisible are left out where others are not. Embedded
    colour profiles are not applied. Raises NotAnImage.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow thinks of odd files is not for the user to read
            return _rgb(_reduced(_decoded(data) if isinstance(data, bytes) else data))
    except UnidentifiedImageError:
        raise NotAnImage("not an image of a known format") from None
    except Image.DecompressionBombError:
        raise NotAnImage("claims to be enormous; it is not decoded") from None
    except MemoryError:
        raise NotAnImage("needs more memory than there is") from None
    except DAMAGE as error:
        raise NotAnImage(f"cannot be decoded ({(str(error) or repr(error)).splitlines()[0]})") from None


def _decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    size = f"{image.width:,} x {image.height:,} pixels"
    needed = 0
    if isinstance(image, JpegImageFile):
        needed = _coefficients(image, data)
        scale = next((s for s in (8, 4, 2) if image.width * image.height >= PIXELS * s * s), 1)
        image.draft("RGB", (max(image.width // scale, 1), max(image.height // scale, 1)))
    needed += image.width * image.height * (_depth(image) + OVERHEAD.get(image.format or "", 0))
    if needed > MOST_BYTES:
        raise NotAnImage(f"{size} would take {needed >> 20:,} MB to decode, more than {MOST_BYTES >> 20} MB")
    with _silent() if image.format == "TIFF" else contextlib.nullcontext():
        image.load()
    return image


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Past Python, libtiff writes what it thinks of a file to standard error: send that nowhere."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _coefficients(image: JpegImageFile, data: bytes) -> int:
    """The bytes that libjpeg holds beside the pixels: all coefficients, where a JPEG is progressive."""
    if "progressive" not in image.info:
        return 0
    if data.count(b"\xff\xda") > MOST_SCANS:
        raise NotAnImage(f"a progressive JPEG of more than {MOST_SCANS} scans; it is not decoded")
    blocks = [across * down for _, across, down, *_ in image.layer]
    return image.width * image.height * 2 * sum(blocks) // max(blocks)


def _depth(image: Image.Image) -> int:
    """Bytes that a pixel takes in Pillow, with the copy of it where it must be converted."""
    if image.mode == "P":
        return 1 + 4
    if image.mode.startswith("I;16"):
        return 2 + 4
    return 1 if image.mode in ("1", "L") else 4


def _reduced(image: Image.Image) -> Image.Image:
    area = image.width * image.height
    if area < 4 * PIXELS:
        return image
    if image.mode == "P":
        image = image.convert("RGBA" if _has_alpha(image) else "RGB")
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
    if _has_alpha(image):
        return _visible(np.array(image.convert("RGBA"), np.uint16).reshape(-1, 4))
    return np.array(image.convert("RGB")).reshape(-1, 3)


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


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
