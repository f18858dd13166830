"""Contact sheets: many small images in titled rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image, ImageOps

from imagestore.decode.decode_image import decode_rgb
from imagestore.decode.errors import NotAnImage
from imagestore.drawing.canvas import GREY, Box, Canvas
from imagestore.drawing.fonts import fitting_names, load_font

# Pixels.
THUMBNAIL = 128
GAP = 8
CAPTION_HEIGHT = 16  # of each line below the images
BELOW_CAPTIONS = 4
KERNING = 2  # that parts of a line may be wider together than alone
FRAME = 4  # around an image that has a colour
TITLE_WIDTH = 190  # left of each row
HEADING_HEIGHT = 46  # above all rows
LEAST_WIDTH = 480
HEADING_SIZE, TITLE_SIZE, CAPTION_SIZE = 19, 18, 11  # of the letters
UNDECODABLE = "#c8c8c8"


@dataclass(frozen=True)
class CaptionedImage:
    """An encoded image, and the text below it, of several lines or empty.

    If it has a `colour`, such as "#1a7f37", its frame and its text have it.
    """

    data: bytes
    caption: str
    colour: str | None = None


class CaptionLine(NamedTuple):
    """A line of a caption: a name, and what stands before and after it."""

    before: str
    name: str
    after: str


@dataclass(frozen=True)
class SheetRow:
    """A row of a contact sheet. The title, of one or several lines, stands left of the images."""

    title: str
    images: Sequence[CaptionedImage]


def caption_of_two(first: CaptionLine, second: CaptionLine) -> str:
    """A caption of two lines. Long names are cut, but two that differ look different."""
    lines, font = (first, second), load_font(CAPTION_SIZE)
    widths = [THUMBNAIL - KERNING - font.getlength(line.before + line.after) for line in lines]
    names = fitting_names([line.name for line in lines], font, widths)
    return "\n".join(line.before + name + line.after for line, name in zip(lines, names, strict=True))


def contact_sheet(rows: Sequence[SheetRow], heading: str) -> Canvas:
    """A sheet of thumbnails in titled rows. An image that cannot be decoded leaves a grey square."""
    columns = max((len(row.images) for row in rows), default=1) or 1
    lines = max((len(image.caption.splitlines()) for row in rows for image in row.images), default=0)
    row_height = THUMBNAIL + (lines * CAPTION_HEIGHT + BELOW_CAPTIONS if lines else 0) + GAP
    width = max(TITLE_WIDTH + columns * (THUMBNAIL + GAP) + GAP, LEAST_WIDTH)
    sheet = Canvas(width, HEADING_HEIGHT + max(len(rows), 1) * row_height)
    sheet.write(GAP, HEADING_HEIGHT / 2, heading, HEADING_SIZE, width - 2 * GAP)
    for number, row in enumerate(rows):
        _add_row(sheet, row, top=HEADING_HEIGHT + number * row_height)
    return sheet


def _add_row(sheet: Canvas, row: SheetRow, *, top: int) -> None:
    sheet.write(GAP, top + THUMBNAIL / 2, row.title, TITLE_SIZE, TITLE_WIDTH - 2 * GAP)
    for column, image in enumerate(row.images):
        left = TITLE_WIDTH + column * (THUMBNAIL + GAP)
        _add_image(sheet, image, left, top)


def _add_image(sheet: Canvas, image: CaptionedImage, left: int, top: int) -> None:
    """Add a thumbnail with its frame and its caption."""
    thumbnail, inset = _thumbnail(image.data), 0
    if image.colour is not None:
        inset = FRAME
        sheet.boxes.append(Box(left, top, left + THUMBNAIL, top + THUMBNAIL, image.colour))
        thumbnail = ImageOps.crop(thumbnail, FRAME)
    sheet.images.append((left + inset, top + inset, thumbnail))
    centre, below = left + THUMBNAIL / 2, top + THUMBNAIL + 2
    sheet.write(centre, below, image.caption, CAPTION_SIZE, THUMBNAIL, image.colour or GREY, anchor="ma")


def _thumbnail(image: bytes) -> Image.Image:
    """The middle of the image, THUMBNAIL by THUMBNAIL pixels, or grey if it cannot be decoded."""
    size = (THUMBNAIL, THUMBNAIL)
    try:
        return ImageOps.fit(decode_rgb(image, size), size)
    except NotAnImage:
        return Image.new("RGB", size, UNDECODABLE)
