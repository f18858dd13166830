"""matplotlib's figures: texts that can be drawn as they are, and pictures in files.

matplotlib is imported only inside the functions. No screen is needed. Not safe in threads, as matplotlib is
not.
"""

from __future__ import annotations

import io
import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from imagestore.console import UserError
from imagestore.drawing.picture_file import write_picture
from imagestore.drawing.plain_text import drawable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FONT = "DejaVu Sans"  # comes with matplotlib


def plain_line(text: str, longest: int) -> str:
    """The text as one line that matplotlib does not read as a formula.

    A longer text keeps its last characters, which tell one name from another.
    """
    drawn = _characters_of_font()
    text = drawable(text, lambda character: ord(character) in drawn)
    return (text if len(text) <= longest else "…" + text[1 - longest :]).replace("$", r"\$")


@lru_cache(maxsize=1)
def _characters_of_font() -> frozenset[int]:
    """The numbers of the characters that FONT has."""
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont(FONT)).get_charmap())


def save_figure(figure: Figure, path: Path, *, is_cropped: bool = False) -> None:
    """Write the figure, whole or not at all; the suffix chooses the format. Raises UserError.

    With `is_cropped`, empty margins are cut off.
    """
    suffix = path.suffix[1:].lower() or "png"
    drawn = io.BytesIO()
    try:
        with warnings.catch_warnings():  # about texts that leave no room
            warnings.simplefilter("ignore")
            figure.savefig(drawn, format=suffix, bbox_inches="tight" if is_cropped else None)
    except ValueError:
        formats = ", ".join(sorted(figure.canvas.get_supported_filetypes()))
        raise UserError(f"{path}: pictures are not written as .{suffix}; choose one of {formats}") from None
    write_picture(drawn.getvalue(), path)
