"""From an image's bytes to its pixels, within bounds, whatever the bytes are.

Whoever opens images that came from outside (dataset, examine, classify) opens them here, so that the
checks against decompression bombs and broken files stand in one place. Safe in threads and processes.
"""

from __future__ import annotations

import io
import struct
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")
DAMAGE = (  # what Pillow's readers raise when a file is not what it should be
    OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, IndexError, OverflowError, struct.error,
)  # fmt: skip
MOST_PIXELS = 50_000_000  # to be decoded at once: 150 MB as RGB; a JPEG of 8 times the side stays below it


class NotAnImage(Exception):
    """The bytes cannot be decoded within bounds; the message is one line that says why."""


def open_image(data: bytes, at_least: tuple[int, int] | None = None) -> Image.Image:
    """The first picture in `data`, decoded, as RGB, upright, transparency on white.

    With `at_least` (width, height), a JPEG comes at the smallest of the sizes 1/1, 1/2, 1/4, 1/8 that
    is no smaller: several times as fast. Raises NotAnImage.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow thinks of odd files is not for the user to read
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            if at_least:
                image.draft("RGB", at_least)
            if image.width * image.height > MOST_PIXELS:
                raise NotAnImage(f"{image.width:,} x {image.height:,} pixels are too many")
            return _as_rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise NotAnImage("not an image of a known format") from None
    except Image.DecompressionBombError:
        raise NotAnImage("claims to be enormous") from None
    except DAMAGE as error:
        raise NotAnImage(f"cannot be decoded ({(str(error) or repr(error)).splitlines()[0]})") from None


def _as_rgb(image: Image.Image) -> Image.Image:
    image.load()
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):  # Pillow clips 16 bits where it should scale them
        image = image.convert("I")
    if image.mode == "I":
        image = image.point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
