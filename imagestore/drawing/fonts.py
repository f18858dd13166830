"""The font of texts in pictures, and texts that it can draw.

DejaVu Sans knows most alphabets: matplotlib brings it along, and many systems have it. Without it, another
font of the system serves, or else Pillow's own, which has the letters of English.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

from imagestore.drawing.plain_text import drawable

FONT = "DejaVuSans.ttf"
OTHER_FONTS = ("NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "FreeSans.ttf")
NO_CHARACTER = "\uffff"  # Unicode promises that this is none: a font draws its sign for a missing one
CONTEXT = 3  # characters before the first one that differs

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
    text = _drawable(text, font)
    if font.getlength(text) <= width:
        return text
    start = 1
    while start < len(text) and font.getlength("…" + text[start:]) > width:
        start += 1
    return "…" + text[start:]


def fitting_names(names: Sequence[str], font: Font, widths: Sequence[float]) -> list[str]:
    """Two names, each at most so many pixels wide. If they differ, they look different.

    They keep their last characters. If these are the same, they keep the first ones that differ.
    """
    first, second = names = [_drawable(name, font) for name in names]
    ends = [fitting_line(name, font, width) for name, width in zip(names, widths, strict=True)]
    cut = [end for name, end in zip(names, ends, strict=True) if end != name]
    common_end = _common_start(first[::-1], second[::-1])
    if first == second or all(len(end) - 1 > common_end for end in cut):
        return ends
    start = max(_common_start(first, second) - CONTEXT, 0)
    left_out = "…" if start else ""
    return [
        _beginning(left_out + name[start:], font, width) for name, width in zip(names, widths, strict=True)
    ]


def _common_start(first: str, second: str) -> int:
    """How many characters at the start are the same."""
    differ = (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    return next(differ, min(len(first), len(second)))


def _beginning(text: str, font: Font, width: float) -> str:
    """The text, or as many of its first characters as fit."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _drawable(text: str, font: Font) -> str:
    return drawable(text, lambda character: _has(font, character))


@lru_cache(maxsize=4096)
def _has(font: Font, character: str) -> bool:
    """Whether the font has the character."""
    return character.isspace() or _drawn(font, character) != _drawn(font, NO_CHARACTER)


def _drawn(font: Font, character: str) -> tuple[tuple[int, int], bytes]:
    """Size and pixels of a character."""
    mask = font.getmask(character)
    return mask.size, bytes(mask)
