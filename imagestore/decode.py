"""From an image's bytes to a decoded picture, within bounds, whatever the bytes are.

Whoever opens images that came from outside opens them here (dataset, plot and classify with `open_image`,
pixels with `load`), so that the checks against decompression bombs and broken files stand
in one place. Safe in processes; in threads too, but that what others warn of in the meantime (and, while
a TIFF is decoded, write to standard error) may be lost.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import threading
import warnings
from collections.abc import Callable, Iterator

from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")


DAMAGE = (  # what Pillow's readers raise when a file is not what it should be
    OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, IndexError, OverflowError, struct.error,
)  # fmt: skip


MOST_BYTES = 112 << 20  # that decoding may take: two workers and their parent stay below 400 MB


MOST_SCANS = 100  # of a progressive JPEG, each as long as the file says; encoders write about ten


# Bytes for each pixel beside the picture itself: decoded copies that the reader of the format holds.
OVERHEAD = {"WEBP": 9, "TIFF": 4}


_standard_error = threading.Lock()  # held while it is sent elsewhere


class NotAnImage(Exception):
    """The bytes cannot be decoded within bounds; the message is one line that says why."""


def open_image(data: bytes, at_least: tuple[int, int] | None = None) -> Image.Image:
    """The first picture in `data`, decoded, as RGB, upright, transparency on white.

    With `at_least` (width, height), a JPEG comes at the smallest of the sizes 1/1, 1/2, 1/4, 1/8 that
    is no smaller: several times as fast. Raises NotAnImage.
    """
    with only_images():
        return _as_rgb(ImageOps.exif_transpose(load(data, lambda width, height: at_least or (width, height))))


@contextlib.contextmanager
def only_images() -> Iterator[None]:
    """Raise NotAnImage for whatever Pillow raises inside, and keep its warnings from the user."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UnidentifiedImageError:
        raise NotAnImage("not an image of a known format") from None
    except Image.DecompressionBombError:
        raise NotAnImage("claims to be enormous; it is not decoded") from None
    except MemoryError:
        raise NotAnImage("needs more memory than there is") from None
    except DAMAGE as error:
        raise NotAnImage(f"cannot be decoded ({(str(error) or repr(error)).splitlines()[0]})") from None


def load(data: bytes, wanted: Callable[[int, int], tuple[int, int]]) -> Image.Image:
    """The first picture in `data`, decoded, in its own mode. Use inside `only_images`.

    `wanted` says for a picture's width and height which size is enough; a JPEG is scaled down towards it
    (by 2, 4 or 8) as it is decoded. Raises NotAnImage where it would take too much memory.
    """
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    needed = _coefficients(image, data)
    image.draft("RGB", wanted(image.width, image.height))
    needed += image.width * image.height * (_depth(image) + OVERHEAD.get(image.format or "", 0))
    if needed > MOST_BYTES:
        size = f"{image.width:,} x {image.height:,} pixels"
        raise NotAnImage(f"{size} would take {needed >> 20:,} MB to decode, more than {MOST_BYTES >> 20} MB")
    with _silent() if image.format == "TIFF" else contextlib.nullcontext():
        image.load()
    return image


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Past Python, libtiff writes what it thinks of a file to standard error: send that nowhere."""
    with _standard_error:
        kept = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


def _coefficients(image: Image.Image, data: bytes) -> int:
    """The bytes that libjpeg holds beside the pixels: all coefficients, where a JPEG is progressive."""
    if not isinstance(image, JpegImageFile) or "progressive" not in image.info:
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


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow clips 16 bits where it should scale them
        image = image.convert("I")
    if image.mode == "I":
        image = image.point(lambda value: value * (1 / 256)).convert("L")
    if has_alpha(image):
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def has_alpha(image: Image.Image) -> bool:
    """Whether parts of the picture may be transparent."""
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
