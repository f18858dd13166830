"""Pictures for people: an image beside its palette, and contact sheets of many small images.

matplotlib is imported only inside the functions that draw. No screen is needed, except for a window. Not
safe in threads, as matplotlib is not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import ImageOps

from imagestore.colour.colour_names import name_of
from imagestore.colour.palette import Palette
from imagestore.decode.decode_image import decode_rgb
from imagestore.decode.errors import NotAnImage
from imagestore.figures import plain_line, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100

# The image beside its palette.
IMAGE_SIZE = (900, 900)  # pixels that are enough
SMALLEST_SHARE = 0.005  # of a colour that gets a bar
LONGEST_HEADING = 90  # characters

# The contact sheet, in pixels.
THUMBNAIL = 128
GAP = 8
CAPTION_HEIGHT = 16  # of each line below the images
BELOW_CAPTIONS = 4
FRAME = 4  # around an image that has a colour
TITLE_WIDTH = 190  # left of each row
HEADING_HEIGHT = 46  # above all rows
LEAST_WIDTH = 480
LONGEST_CAPTION = 19  # characters
LONGEST_TITLE = 22  # characters of each line
UNDECODABLE_GREY = 200


@dataclass(frozen=True)
class CaptionedImage:
    """An encoded image, and the text below it, of several lines or empty.

    If it has a `colour` (as matplotlib names it), its frame and its text have it.
    """

    data: bytes
    caption: str
    colour: str | None = None


@dataclass(frozen=True)
class SheetRow:
    """A row of a contact sheet. The title, of one or several lines, stands left of the images."""

    title: str
    images: Sequence[CaptionedImage]


# ----- an image beside its palette -----


def palette_picture(image: bytes, palette: Palette, heading: str) -> Figure:
    """An encoded image beside its colours: a bar for each, as long as its share. Raises NotAnImage."""
    from matplotlib.figure import Figure

    pixels = np.asarray(decode_rgb(image, IMAGE_SIZE))
    figure = Figure(figsize=(11, 5.2), dpi=DPI, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    left.imshow(pixels)
    left.set_axis_off()
    _draw_bars(right, palette)
    figure.suptitle(plain_line(heading, LONGEST_HEADING), fontsize=14)
    return figure


def _draw_bars(axes: Axes, palette: Palette) -> None:
    bars = max(1, int((palette.share >= SMALLEST_SHARE).sum()))
    share = palette.share[:bars].tolist()
    axes.barh(range(bars), share, 0.8, color=palette.rgb[:bars] / 255, edgecolor="0.6", linewidth=0.6)
    for bar, lab, code in zip(range(bars), palette.lab, palette.hex_codes(), strict=False):
        text = f"{share[bar]:6.1%}   {name_of(lab)}   {code}"
        axes.text(share[bar] + share[0] * 0.03, bar, text, va="center", fontsize=11)
    # The text of the longest bar takes about as much room as the bar.
    axes.set(xlim=(0, share[0] * 2.2), ylim=(max(bars, 3) - 0.4, -0.6))
    axes.set_axis_off()


# ----- contact sheet -----


def contact_sheet(rows: Sequence[SheetRow], heading: str) -> Figure:
    """A sheet of thumbnails in titled rows. An image that cannot be decoded leaves a grey square.

    All thumbnails are in one array: matplotlib would take seconds to draw each in its own axes.
    """
    from matplotlib.figure import Figure

    columns = max((len(row.images) for row in rows), default=1) or 1
    lines = max((len(image.caption.splitlines()) for row in rows for image in row.images), default=0)
    row_height = THUMBNAIL + (lines * CAPTION_HEIGHT + BELOW_CAPTIONS if lines else 0) + GAP
    width = max(TITLE_WIDTH + columns * (THUMBNAIL + GAP) + GAP, LEAST_WIDTH)
    height = HEADING_HEIGHT + max(len(rows), 1) * row_height
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.text(GAP, HEADING_HEIGHT / 2, plain_line(heading, LONGEST_HEADING), fontsize=14, va="center")
    sheet = np.full((height, width, 3), 255, np.uint8)
    for number, row in enumerate(rows):
        _draw_row(axes, sheet, row, top=HEADING_HEIGHT + number * row_height)
    axes.imshow(sheet, extent=(0, width, height, 0), interpolation="none", aspect="auto")
    return figure


def _draw_row(axes: Axes, sheet: np.ndarray, row: SheetRow, *, top: int) -> None:
    """Draw the texts of a row on the axes, and its thumbnails into the sheet, uint8 (h, w, 3)."""
    title = "\n".join(plain_line(line, LONGEST_TITLE) for line in row.title.splitlines())
    axes.text(GAP, top + THUMBNAIL / 2, title, fontsize=13, va="center", linespacing=1.5)
    below = top + THUMBNAIL + 2
    for column, image in enumerate(row.images):
        left = TITLE_WIDTH + column * (THUMBNAIL + GAP)
        sheet[top : top + THUMBNAIL, left : left + THUMBNAIL] = _framed(_thumbnail(image.data), image.colour)
        caption = "\n".join(plain_line(line, LONGEST_CAPTION) for line in image.caption.splitlines())
        colour = image.colour or "0.3"
        axes.text(left + THUMBNAIL / 2, below, caption, fontsize=8, ha="center", va="top", color=colour)


def _framed(thumbnail: np.ndarray, colour: str | None) -> np.ndarray:
    """The thumbnail, uint8 (THUMBNAIL, THUMBNAIL, 3), with a frame if there is a colour."""
    if colour is None:
        return thumbnail
    from matplotlib.colors import to_rgb

    framed = np.empty_like(thumbnail)
    framed[:] = np.round(255 * np.array(to_rgb(colour)))
    inner = slice(FRAME, -FRAME)
    framed[inner, inner] = thumbnail[inner, inner]
    return framed


def _thumbnail(image: bytes) -> np.ndarray:
    """uint8 (THUMBNAIL, THUMBNAIL, 3): the middle of the image, or grey if it cannot be decoded."""
    size = (THUMBNAIL, THUMBNAIL)
    try:
        return np.asarray(ImageOps.fit(decode_rgb(image, size), size))
    except NotAnImage:
        return np.full((THUMBNAIL, THUMBNAIL, 3), UNDECODABLE_GREY, np.uint8)


# ----- window or file -----


def show_or_save(figure: Figure, output: Path | None, default: Path) -> Path | None:
    """Show the figure in a window if there is a screen and no `output`; return None.

    Otherwise write it, whole or not at all, to `output` or else to `default`; return that path. The suffix
    chooses the format. Raises UserError.
    """
    if output is None and _has_screen() and _show_in_window(figure):
        return None
    path = output or default
    save_figure(figure, path)
    return path


def _has_screen() -> bool:
    return sys.platform in ("win32", "darwin") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )


def _show_in_window(figure: Figure) -> bool:
    """Show the figure until its window is closed; return False if no window could be opened."""
    try:
        from matplotlib import pyplot

        window = pyplot.figure(figsize=figure.get_size_inches())
        if window.canvas.manager is None or pyplot.get_backend().lower() == "agg":
            return False
        window.canvas.manager.canvas.figure = figure
        figure.set_canvas(window.canvas.manager.canvas)
        pyplot.show()
    except Exception:  # each toolkit has its own errors if the screen does not answer
        return False
    return True
