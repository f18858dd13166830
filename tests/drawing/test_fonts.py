"""Texts that fit, in a font that has their characters."""

from __future__ import annotations

import pytest
from PIL import ImageFont

from imagestore.drawing.fonts import fitting_line, load_font

WIDE = 10_000  # pixels


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("dark-green", "dark-green"),
        ("ünï_çödé αβγ", "ünï_çödé αβγ"),
        ("two\nlines", "two lines"),
        ("\x1b[1m", r"\x1b[1m"),
        ("no-utf8-\udcff", r"no-utf8-\xff"),
        ("玫瑰", r"\u73ab\u7470"),
        ("🌹 rose", r"\U0001f339 rose"),
    ],
)
def test_a_text_is_drawn_as_it_is_or_by_numbers(text: str, line: str) -> None:
    assert fitting_line(text, load_font(15), WIDE) == line


def test_letters_that_a_font_lacks_become_numbers() -> None:
    """Pillow's own font has the letters of English, and draws the same box for all others."""
    assert fitting_line("rose ωλ", ImageFont.load_default(15), WIDE) == r"rose \u03c9\u03bb"


@pytest.mark.parametrize("width", [40, 100, 333])
def test_a_long_text_keeps_its_end_and_fits(width: int) -> None:
    font = load_font(15)
    text = "".join(f"{number}_" for number in range(200))
    line = fitting_line(text, font, width)
    assert line.startswith("…") and text.endswith(line[1:])
    assert width - 20 < font.getlength(line) <= width


def test_a_text_that_fits_is_not_cut() -> None:
    font = load_font(15)
    assert fitting_line("image_0001.jpg", font, font.getlength("image_0001.jpg")) == "image_0001.jpg"
