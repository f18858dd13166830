"""Names: whatever a link is called, it gets a name that a file system can hold, and that leads back to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestore.vfs import names

ANYTHING = st.binary(max_size=400) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
TRICKY = st.lists(
    st.sampled_from(
        [b"%", b"%2", b"%41", b"~", b"-", b"/", b"\0", b"\xff", b".", b"a", "é".encode(), b"%~", b".jpg"]
    )
).map(b"".join)


@pytest.mark.parametrize(
    "name", [b"image_0001.jpg", b"100%.jpg", b"a b", b".hidden", "Blümen".encode(), b"line\nbreak"]
)
def test_ordinary_names_stay(name):
    assert names.escape(name) == name


@given(ANYTHING | TRICKY)
def test_every_name_can_be_held_and_leads_back(name):
    shown = names.escape(name)
    assert 1 <= len(shown) <= 255
    assert not set(shown) & set(b"/\0")
    assert shown not in (b".", b"..")
    shown.decode("utf-8")
    assert names.is_shortened(shown) or names.unescape(shown) == name


@given(TRICKY, TRICKY)
def test_no_two_names_are_shown_alike(one, other):
    assert (names.escape(one) == names.escape(other)) == (one == other)


@given(TRICKY, st.integers(2, 99))
def test_what_is_made_here_is_no_escaped_name(name, number):
    for made in (names.numbered(names.escape(name), number), names.generated(name, taken=True)):
        assert len(made) <= 255
        assert names.escape(names.unescape(made)) != made


def test_a_long_name_keeps_its_start_and_its_suffix():
    shown = names.escape(b"x" * 300 + b".jpg")
    assert len(shown) == 255
    assert shown.startswith(b"xxx")
    assert shown.endswith(b".jpg")
    assert names.is_shortened(shown)
    assert shown != names.escape(b"x" * 301 + b".jpg")
