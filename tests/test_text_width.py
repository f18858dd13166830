"""The width of texts in a terminal. The figures are those that a terminal shows."""

from __future__ import annotations

import unicodedata

import pytest

from imagestore.text_width import padded, text_width


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("", 0), ("rose", 4), ("Löwenzahn", 9), ("мак", 3), ("ورد", 3), ("バラ", 4), ("ﾊﾞﾗ", 3),
        ("花 rose", 7), ("\uff21\uff22", 4), ("장미", 4), ("🌹", 2), ("🇩🇪", 2), ("❤️", 2), ("🌹️", 2), ("❤", 1),
        ("e\u0301", 1), ("ก็", 1),
    ],
)  # fmt: skip
def test_a_text_is_as_wide_as_a_terminal_shows_it(text: str, width: int) -> None:
    assert text_width(text) == width
    assert text_width(unicodedata.normalize("NFD", text)) == width


def test_a_padded_text_has_its_width() -> None:
    assert [padded(text, 4) for text in ("", "花", "rose", "orchid")] == ["    ", "花  ", "rose", "orchid"]
