"""From an image's bytes to its pixels: `decode_rgb` gives RGB, `decode_8_bits` keeps transparency and greys.

Safe in processes and in threads. While a thread decodes, warnings of other threads may be lost; while it
decodes a TIFF, all that they write to standard error is lost. Nothing of Pillow's is changed.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from imagestore.decode.cut_jpeg import complete_jpeg
from imagestore.decode.errors import errors_as_not_an_image
from imagestore.decode.formats import format_of, open_image
from imagestore.decode.jpeg_structure import END, check_claims
from imagestore.decode.memory_bound import memory_bound
from imagestore.decode.memory_needed import check_canvas, check_memory, memory_needed
from imagestore.decode.orientation import UPRIGHT, exif_blocks, make_upright, read_orientation
from imagestore.decode.pixels_and_metadata import pixels_only, read_metadata
from imagestore.decode.plain_jpeg import decode_plain_jpeg
from imagestore.decode.png_chunks import with_right_end
from imagestore.decode.quiet import silencing_standard_error
from imagestore.decode.several_frames import has_several_frames
from imagestore.decode.to_rgb import on_white, scale_transparent_colour, to_8_bits

SMALL_JPEG = 1 << 20  # bytes
SCALES = (1, 2, 4, 8)  # to which libjpeg can reduce a picture while it decodes it


@dataclass(frozen=True)
class Decoded:
    """A picture, and what is worth a word about it."""

    image: Image.Image
    is_incomplete: bool = False  # the end of its file is missing, and what is there was enough
    is_first_of_several: bool = False  # frames, pages or views; the others are not decoded


def decode_rgb(data: bytes, at_least: tuple[int, int] | None = None) -> Image.Image:
    """The first frame of an encoded image as RGB, upright by its EXIF, transparency on white.

    With `at_least` (width, height), a JPEG is decoded at the smallest scale (1/1, 1/2, 1/4, 1/8) that is at
    least this size: several times as fast. A JPEG that is too large for the memory (see memory_bound.py) is
    decoded at the largest scale that fits. Raises NotAnImage.
    """
    pixels = decode_plain_jpeg(data, None if at_least is None else lambda width, height: at_least)
    return _decode_with_pillow(data, at_least) if pixels is None else Image.fromarray(pixels)


def decode_rgb_array(data: bytes, at_least: tuple[int, int] | None = None) -> np.ndarray:
    """The pixels of `decode_rgb`, uint8 (H, W, 3); a plain JPEG is not copied. Raises NotAnImage."""
    pixels = decode_plain_jpeg(data, None if at_least is None else lambda width, height: at_least)
    return np.array(_decode_with_pillow(data, at_least)) if pixels is None else pixels


def _decode_with_pillow(data: bytes, at_least: tuple[int, int] | None) -> Image.Image:
    with errors_as_not_an_image():
        opened = _open(data)
        metadata = read_metadata(data)
        orientation = read_orientation(metadata.exif or exif_blocks(opened.image), metadata.xmp)
        scale = _scale_for(opened.image, at_least or opened.image.size)
        loaded = _load(opened, scale, is_turned=orientation != UPRIGHT)
        return on_white(make_upright(to_8_bits(loaded.image), orientation))


def decode_8_bits(data: bytes, size_to_decode: Callable[[int, int], tuple[int, int]]) -> Decoded:
    """The first frame of an encoded image as L, RGB or RGBA. Raises NotAnImage.

    `size_to_decode` returns the (width, height) that is enough for an image of a width and a height. A JPEG
    is decoded at the smallest scale (1/1, 1/2, 1/4, 1/8) that is at least as large; other formats ignore it.
    """
    if (pixels := decode_plain_jpeg(data, size_to_decode)) is not None:
        return Decoded(Image.fromarray(pixels))
    with errors_as_not_an_image():
        opened = _open(data)
        scale = _scale_for(opened.image, size_to_decode(*opened.image.size))
        loaded = _load(opened, scale, is_turned=False)
        is_first_of_several = has_several_frames(data, opened.image)
        return Decoded(to_8_bits(loaded.image), loaded.is_incomplete, is_first_of_several)


# ----- opening -----


@dataclass(frozen=True)
class _Opened:
    """An image that is not decoded yet."""

    image: Image.Image
    data: bytes  # what its decoder reads
    file_bytes: int  # in memory: the file, and `data` if that is a copy


def _open(data: bytes) -> _Opened:
    image, needed = _open_with_metadata(data), data
    if image is None:
        check_canvas(data)
        needed = pixels_only(data)
        image = open_image(needed)
    if isinstance(image, JpegImageFile):
        check_claims(image, needed)
    return _Opened(image, needed, len(data) + (0 if needed is data else len(needed)))


def _open_with_metadata(data: bytes) -> Image.Image | None:
    """A small JPEG as it is: the fastest way. None for other files, and if damaged metadata is in the way."""
    if len(data) > SMALL_JPEG or not data.startswith(b"\xff\xd8\xff"):
        return None
    try:
        return JpegImageFile(io.BytesIO(data))
    except (SyntaxError, ValueError, OSError):
        return None


# ----- scales of a JPEG -----


def _scale_for(image: Image.Image, enough: tuple[int, int]) -> int:
    """The largest of SCALES at which a JPEG is at least as large as `enough`; 1 for other formats."""
    if not isinstance(image, JpegImageFile):
        return 1
    ratio = min(image.width // enough[0], image.height // enough[1])
    return max((scale for scale in SCALES if scale <= ratio), default=1)


def _reduce(image: JpegImageFile, scale: int) -> None:
    """Have an opened JPEG decoded at 1/`scale` of its size."""
    image.draft(None, (max(image.width // scale, 1), max(image.height // scale, 1)))


# ----- pixels -----


def _load(opened: _Opened, scale: int, *, is_turned: bool) -> Decoded:
    """The picture in the mode of the file."""
    image, data = opened.image, opened.data
    needed = opened.file_bytes + memory_needed(image, scale, is_turned=is_turned)
    if isinstance(image, JpegImageFile):
        while needed > memory_bound() and scale < SCALES[-1]:
            scale *= 2
            needed = opened.file_bytes + memory_needed(image, scale, is_turned=is_turned)
        check_memory(needed, image.size)
        return _load_jpeg(image, data, scale)
    check_memory(needed, image.size)
    scale_transparent_colour(image)
    if image.format == "PNG":
        return Decoded(_load_png(image, data))
    with silencing_standard_error if format_of(image).silence_standard_error else contextlib.nullcontext():
        image.load()
    return Decoded(image)


def _load_jpeg(image: JpegImageFile, data: bytes, scale: int) -> Decoded:
    """The picture; if only the end of the file is missing, the rows that are there."""
    _reduce(image, scale)
    try:
        image.load()
        completed = None if data.endswith(END) else complete_jpeg(data)  # zeros may look like pixels
        if completed is None:
            return Decoded(image)
    except OSError:
        completed = complete_jpeg(data)
        if completed is None:
            raise
    image.close()  # its memory is needed again
    image = JpegImageFile(io.BytesIO(completed.data))
    _reduce(image, scale)
    image.load()
    rows = max(image.height * completed.rows // completed.all_rows, 1)
    is_whole = rows == image.height
    return Decoded(image if is_whole else image.crop((0, 0, image.width, rows)), is_incomplete=True)


def _load_png(image: Image.Image, data: bytes) -> Image.Image:
    """The picture, also if all rows are there and only the end of their stream is wrong."""
    try:
        image.load()
        return image
    except (OSError, SyntaxError):
        completed = with_right_end(data)
        if completed is None:
            raise
    image.close()  # its memory is needed again
    image = open_image(completed)
    scale_transparent_colour(image)
    image.load()
    return image
