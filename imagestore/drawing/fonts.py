"""The font of texts in pictures, and texts that it can draw.

DejaVu Sans knows most alphabets: matplotlib brings it along, and many systems have it. Without it, another
font of the system serves, or else Pillow's own, which has the letters of English.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

from imagestore.drawing.plain_text import drawable

FONT = "DejaVuSans.ttf"
OTHER_FONTS = ("NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "FreeSans.ttf")
NO_CHARACTER = "\uffff"  # Unicode promises that this is none: a font draws its sign for a missing one

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@lru_cache(maxsize=8)
def load_font(size: int) -> Font:
    """The font in a size of so many pixels."""
    for file in _font_files():
        try:
            return ImageFont.truetype(file, size)
        except OSError:  # there is no such file
            continue
    return ImageFont.load_default(size)


def _font_files() -> Iterator[str]:
    """Where the font may be. Pillow looks for a plain name in the folders of the system."""
    matplotlib = importlib.util.find_spec("matplotlib")
    for folder in (matplotlib and matplotlib.submodule_search_locations) or ():
        yield str(Path(folder, "mpl-data", "fonts", "ttf", FONT))
    yield from (FONT, *OTHER_FONTS)


def fitting_line(text: str, font: Font, width: float) -> str:
    """The text as one line, at most `width` pixels wide.

    A longer text keeps its last characters, which tell one name from another.
    """
    text = drawable(text, lambda character: _has(font, character))
    if font.getlength(text) <= width:
        return text
    start = 1
    while start < len(text) and font.getlength("…" + text[start:]) > width:
        start += 1
    return "…" + text[start:]


@lru_cache(maxsize=4096)
def _has(font: Font, character: str) -> bool:
    """Whether the font has the character."""
    return character.isspace() or _drawn(font, character) != _drawn(font, NO_CHARACTER)


def _drawn(font: Font, character: str) -> tuple[tuple[int, int], bytes]:
    """Size and pixels of a character."""
    mask = font.getmask(character)
    return mask.size, bytes(mask)
