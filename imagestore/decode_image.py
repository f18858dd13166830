"""From an image's bytes to its pixels, within bounds.

All images from outside are decoded here: `decode_rgb` gives RGB, `decode_unconverted` the mode of the file.
So the checks against broken files and decompression bombs are in one place. To add a format, add a row to
FORMATS.

Safe in processes. In threads, too, with a restriction: while one thread decodes, warnings of other threads
may be lost; while it decodes a TIFF, all that they write to standard error is lost.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeGuard

from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile


@dataclass(frozen=True, kw_only=True)
class Format:
    """What is special about decoding a format."""

    reader_bytes_per_pixel: int = 0  # decoded copies that the reader holds beside the image itself
    silence_standard_error: bool = False  # the C library writes messages there


FORMATS = {  # by Pillow's name
    "JPEG": Format(),
    "PNG": Format(),
    "GIF": Format(),
    "WEBP": Format(reader_bytes_per_pixel=9),
    "TIFF": Format(reader_bytes_per_pixel=4, silence_standard_error=True),
    "BMP": Format(),
}
MOST_BYTES = 112 << 20  # to decode an image: two workers and their parent stay below 400 MB
MOST_SCANS = 100  # of a progressive JPEG: each takes time. Encoders write about ten
PILLOW_ERRORS = (  # that Pillow's readers raise for damaged files
    OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, IndexError, OverflowError, struct.error,
)  # fmt: skip

_standard_error_lock = threading.Lock()  # held while standard error is silenced


class NotAnImage(Exception):
    """The bytes cannot be decoded within bounds. The message is one line with the reason."""


# ----- to RGB -----


def decode_rgb(data: bytes, at_least: tuple[int, int] | None = None) -> Image.Image:
    """The first frame of an encoded image as RGB, upright by its EXIF, transparency on white.

    With `at_least` (width, height), a JPEG is decoded at the smallest scale (1/1, 1/2, 1/4, 1/8) that is at
    least this size: several times as fast. Raises NotAnImage.
    """
    with errors_as_not_an_image():
        image = decode_unconverted(data, lambda width, height: at_least or (width, height))
        return _to_rgb(ImageOps.exif_transpose(image))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow would clip 16 bits instead of scaling them
        image = image.convert("I")
    if image.mode == "I":
        image = image.point(lambda value: value * (1 / 256)).convert("L")
    if has_alpha(image):
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def has_alpha(image: Image.Image) -> bool:
    """Whether parts of the image may be transparent."""
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


# ----- to pixels in the mode of the file -----


def decode_unconverted(data: bytes, size_to_decode: Callable[[int, int], tuple[int, int]]) -> Image.Image:
    """The first frame of an encoded image, in the mode of the file. Call it inside `errors_as_not_an_image`.

    `size_to_decode` returns the (width, height) that is enough for an image of a width and a height. A JPEG
    is decoded at the smallest scale (1/1, 1/2, 1/4, 1/8) that is at least as large; other formats ignore it.
    Raises NotAnImage if decoding would take too much memory or time.
    """
    image = Image.open(io.BytesIO(data), formats=tuple(FORMATS))
    _check_scans(image, data)
    full_size = image.size
    image.draft("RGB", size_to_decode(*full_size))
    _check_memory(image, full_size)
    with _silence_standard_error() if _format_of(image).silence_standard_error else contextlib.nullcontext():
        image.load()
    return image


def _format_of(image: Image.Image) -> Format:
    return FORMATS.get(image.format or "", Format())  # Pillow calls a JPEG with several pictures MPO


@contextlib.contextmanager
def errors_as_not_an_image() -> Iterator[None]:
    """Turn all errors that Pillow raises inside into NotAnImage, and ignore its warnings."""
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
    except PILLOW_ERRORS as error:
        raise NotAnImage(f"cannot be decoded ({(str(error) or repr(error)).splitlines()[0]})") from None


@contextlib.contextmanager
def _silence_standard_error() -> Iterator[None]:
    """Send standard error to /dev/null: libtiff writes to it past Python."""
    with _standard_error_lock:
        saved = os.dup(2)
        devnull = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(devnull, 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(devnull)


# ----- bounds -----


def _check_scans(image: Image.Image, data: bytes) -> None:
    if _is_progressive_jpeg(image) and data.count(b"\xff\xda") > MOST_SCANS:
        raise NotAnImage(f"a progressive JPEG of more than {MOST_SCANS} scans; it is not decoded")


def _check_memory(image: Image.Image, full_size: tuple[int, int]) -> None:
    needed = _memory_to_decode(image, full_size)
    if needed > MOST_BYTES:
        size = f"{image.width:,} x {image.height:,} pixels"
        raise NotAnImage(f"{size} would take {needed >> 20:,} MB to decode, more than {MOST_BYTES >> 20} MB")


def _memory_to_decode(image: Image.Image, full_size: tuple[int, int]) -> int:
    """Bytes that decoding takes at most. A JPEG of `full_size` may be decoded at a smaller size."""
    per_pixel = _bytes_per_pixel(image.mode) + _format_of(image).reader_bytes_per_pixel
    needed = image.width * image.height * per_pixel
    if _is_progressive_jpeg(image):
        needed += _coefficient_bytes(image, full_size)
    return needed


def _bytes_per_pixel(mode: str) -> int:
    """Bytes of a pixel in Pillow, with those of its copy if the mode must be converted."""
    if mode == "P":
        return 1 + 4
    if mode.startswith("I;16"):
        return 2 + 4
    return 1 if mode in ("1", "L") else 4


def _coefficient_bytes(image: JpegImageFile, full_size: tuple[int, int]) -> int:
    """Bytes of all DCT coefficients, at full size: libjpeg holds them while it decodes a progressive JPEG."""
    samples = [horizontal * vertical for _, horizontal, vertical, _ in image.layer]
    return full_size[0] * full_size[1] * 2 * sum(samples) // max(samples)


def _is_progressive_jpeg(image: Image.Image) -> TypeGuard[JpegImageFile]:
    return isinstance(image, JpegImageFile) and "progressive" in image.info
