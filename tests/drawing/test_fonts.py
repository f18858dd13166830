"""Texts that fit, in a font that has their characters."""

from __future__ import annotations

import re

import pytest
from PIL import ImageFont

from imagestore.drawing.fonts import fitting_line, fitting_names, load_font

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


LONG = "a_very_long_label_of_a_class_" * 3


def may_be(shown: str, name: str) -> bool:
    """Whether a name that was perhaps cut is this one."""
    return re.fullmatch(re.escape(shown).replace("…", ".+"), name) is not None


@pytest.mark.parametrize("widths", [(45, 85), (85, 85), (98, 90)])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("red", "blue"),
        (f"{LONG}red", f"{LONG}blue"),
        (f"red_{LONG}", f"blue_{LONG}"),
        (f"{LONG}red_{LONG}", f"{LONG}blue_{LONG}"),
        (f"{LONG}red_{LONG}", "blue"),
        (LONG, "_of_a_class_"),
        (f"x{LONG}", LONG),
    ],
)
def test_two_long_names_that_differ_look_different(first: str, second: str, widths: tuple[int, int]) -> None:
    font = load_font(11)
    found = fitting_names([first, second], font, widths)
    for shown, own, other, width in zip(found, (first, second), (second, first), widths, strict=True):
        assert font.getlength(shown) <= width
        assert may_be(shown, own)
        assert not may_be(shown, other)


@pytest.mark.parametrize(("first", "second"), [(LONG, LONG * 2), ("i" * 99, "i" * 100)])
def test_a_name_that_ends_earlier_looks_different(first: str, second: str) -> None:
    ended, goes_on = fitting_names([first, second], load_font(11), (60, 60))
    assert len(ended) < len(goes_on) and goes_on.startswith(ended)


def test_two_equal_names_keep_their_ends() -> None:
    for shown in fitting_names([LONG, LONG], load_font(11), (45, 85)):
        assert may_be(shown, LONG) and shown.endswith("ss_")
