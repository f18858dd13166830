"""How wide a text is in a terminal, so that the columns of a table are straight."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

AS_EMOJI = "\ufe0f"  # makes the character before it an emoji


def text_width(text: str) -> int:
    """The columns that a text takes in a terminal.

    As Unicode's annex 11 has it: letters of East Asia and emoji take two. Marks above and below take none.
    """
    composed = unicodedata.normalize("NFC", text)  # a syllable of Korean is one character then
    widened = sum(mark == AS_EMOJI and _columns(before) == 1 for before, mark in pairwise(composed))
    return sum(map(_columns, composed)) + widened


def padded(text: str, width: int) -> str:
    """The text, with spaces at its end, `width` columns wide. A wider text stays as it is."""
    return text + " " * (width - text_width(text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
