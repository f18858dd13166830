"""Texts as a font can draw them."""

from __future__ import annotations

from collections.abc import Callable

from imagestore.console import printable


def drawable(text: str, has_character: Callable[[str], bool]) -> str:
    """The text on one line. `has_character` tells whether the font has a character.

    A character that it lacks becomes its number, as in Python: all such characters would be drawn as the
    same box.
    """
    line = printable(text.replace("\n", " "))
    return "".join(c if has_character(c) else c.encode("unicode_escape").decode() for c in line)
