"""Pictures for people: an image beside its palette, and sheets of many small images in titled rows.

Used by examine and classify. matplotlib is imported only where a picture is drawn, and needs no screen
unless a window is asked for. Not thread-safe, as matplotlib is not.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import ImageOps

from imagestore import files
from imagestore.colour.label import name_of
from imagestore.colour.palette import Palette
from imagestore.console import UserError
from imagestore.decode import NotAnImage, open_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


DPI = 100


DETAIL = (900, 900)  # pixels that are enough of the image beside its palette


SMALLEST_SHARE = 0.005  # of a colour that gets a bar


# A sheet, in pixels.
THUMBNAIL = 128


GAP = 8


CAPTION = 20  # below each image, where there are captions


TITLE = 190  # left of each row


HEADING = 46  # above all


LONGEST_CAPTION = 19  # characters


LONGEST_TITLE = 22


Picture = tuple[bytes, str]  # an encoded image, and its caption


def palette_picture(image: bytes, palette: Palette, title: str) -> Figure:
    """The image beside its colours: a bar for each, as long as its share. Raises NotAnImage."""
    from matplotlib.figure import Figure

    pixels = np.asarray(open_image(image, DETAIL))
    figure = Figure(figsize=(11, 5.2), dpi=DPI, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    left.imshow(pixels)
    left.set_axis_off()
    _draw_bars(right, palette)
    figure.suptitle(_plain(title, 90), fontsize=14)
    return figure


def _draw_bars(axes: Axes, palette: Palette) -> None:
    shown = max(1, int((palette.share >= SMALLEST_SHARE).sum()))
    share = palette.share[:shown].tolist()
    places = range(shown)
    axes.barh(places, share, 0.8, color=palette.rgb[:shown] / 255, edgecolor="0.6", linewidth=0.6)
    for place, lab, code in zip(places, palette.lab, palette.hex_codes(), strict=False):
        text = f"{share[place]:6.1%}   {name_of(lab)}   {code}"
        axes.text(share[place] + share[0] * 0.03, place, text, va="center", fontsize=11)
    # The text of the longest bar needs about as much room again as the bar.
    axes.set(xlim=(0, share[0] * 2.2), ylim=(max(shown, 3) - 0.4, -0.6))
    axes.set_axis_off()


def contact_sheet(rows: Sequence[tuple[str, Sequence[Picture]]], title: str) -> Figure:
    """A row of small images for each (title, pictures); what cannot be decoded leaves a grey place.

    The images are laid out as one array: matplotlib would take seconds for as many axes.
    """
    from matplotlib.figure import Figure

    columns = max((len(pictures) for _, pictures in rows), default=1) or 1
    step = THUMBNAIL + (CAPTION if any(text for _, pictures in rows for _, text in pictures) else 0) + GAP
    width = max(TITLE + columns * (THUMBNAIL + GAP) + GAP, 480)
    height = HEADING + max(len(rows), 1) * step
    sheet = np.full((height, width, 3), 255, np.uint8)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.text(GAP, HEADING / 2, _plain(title, 90), fontsize=14, va="center")
    for row, (name, pictures) in enumerate(rows):
        top = HEADING + row * step
        heading = "\n".join(_plain(line, LONGEST_TITLE) for line in name.splitlines())
        axes.text(GAP, top + THUMBNAIL / 2, heading, fontsize=13, va="center", linespacing=1.5)
        for column, (image, caption) in enumerate(pictures):
            left = TITLE + column * (THUMBNAIL + GAP)
            sheet[top : top + THUMBNAIL, left : left + THUMBNAIL] = _thumbnail(image)
            below = (left + THUMBNAIL / 2, top + THUMBNAIL + 2)
            axes.text(
                *below, _plain(caption, LONGEST_CAPTION), fontsize=8, ha="center", va="top", color="0.3"
            )
    axes.imshow(sheet, extent=(0, width, height, 0), interpolation="none", aspect="auto")
    return figure


def _thumbnail(image: bytes) -> np.ndarray:
    """uint8 (THUMBNAIL, THUMBNAIL, 3): the middle of the image, or grey where it cannot be decoded."""
    try:
        square = ImageOps.fit(open_image(image, (THUMBNAIL, THUMBNAIL)), (THUMBNAIL, THUMBNAIL))
    except NotAnImage:
        return np.full((THUMBNAIL, THUMBNAIL, 3), 200, np.uint8)
    return np.asarray(square)


def _plain(text: str, longest: int) -> str:
    """On one line, of at most so many characters (the end tells names apart), not to be read as formulas."""
    text = text.encode("utf-8", "backslashreplace").decode().replace("\n", " ").replace("$", r"\$")
    return text if len(text) <= longest else "…" + text[1 - longest :]


def show_or_save(figure: Figure, output: Path | None, default: Path) -> Path | None:
    """Show the figure in a window, where there is a screen and no `output`; returns None then.

    Otherwise write it, whole or not at all, to `output`, or to `default`; returns the path written.
    Raises UserError.
    """
    if output is None and _has_screen() and _shown(figure):
        return None
    path = output or default
    _save(figure, path)
    return path


def _has_screen() -> bool:
    return sys.platform in ("win32", "darwin") or any(
        os.environ.get(k) for k in ("DISPLAY", "WAYLAND_DISPLAY")
    )


def _shown(figure: Figure) -> bool:
    """Whether a window could be opened; returns when it is closed again."""
    try:
        from matplotlib import pyplot

        window = pyplot.figure(figsize=figure.get_size_inches())
        if window.canvas.manager is None or pyplot.get_backend().lower() == "agg":
            return False
        window.canvas.manager.canvas.figure = figure
        figure.set_canvas(window.canvas.manager.canvas)
        pyplot.show()
    except Exception:  # whatever a toolkit raises where the screen turns out to be none
        return False
    return True


def _save(figure: Figure, path: Path) -> None:
    kind = path.suffix[1:].lower() or "png"
    drawn = io.BytesIO()
    try:
        with warnings.catch_warnings():  # of glyphs that the font does not have
            warnings.simplefilter("ignore")
            figure.savefig(drawn, format=kind)
    except ValueError:
        kinds = ", ".join(sorted(figure.canvas.get_supported_filetypes()))
        raise UserError(f"{path}: pictures are not written as .{kind}; choose one of {kinds}") from None
    try:
        with files.whole(path) as temporary:
            temporary.write_bytes(drawn.getvalue())
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
