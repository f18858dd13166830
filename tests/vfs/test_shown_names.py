"""Names: each link gets a name that a file system can hold, and that leads back to the link."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestore.store.label_names import group_name
from imagestore.vfs import shown_names

ANYTHING = st.binary(max_size=400) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
PARTS = [
    b"%", b"%2", b"5", b"%41", b"%2F", b"%FF", b"%2E", b"~", b"-", b"\xff", b".", b"a", "é".encode(), b"%~",
    b".jpg",
]  # fmt: skip
TRICKY_TEXT = st.lists(st.sampled_from([*PARTS, b"/", b"\0"])).map(b"".join)
TRICKY = st.lists(st.sampled_from(PARTS)).map(b"".join)
LINKS = ANYTHING.map(lambda name: name.translate(None, b"/\0")) | TRICKY  # HDF5's paths have no others


@pytest.mark.parametrize(
    "name",
    [
        b"image_0001.jpg", b"100%.jpg", b"a b", b".hidden", "Blümen".encode(), b"line\nbreak", b"a%41",
        b"50%25",
        *(group_name(label).encode() for label in ("AC/DC", "AC%2FDC", "a%25/%00", "..", "", "x\0y", "/")),
    ],
)  # fmt: skip
def test_ordinary_names_stay_as_they_are(name):
    assert shown_names.escape(name) == name


@given(ANYTHING | TRICKY_TEXT, st.sampled_from([shown_names.escape, shown_names.escape_text]))
def test_any_name_is_shown_as_a_file_name(name, escape):
    shown_name = escape(name)
    assert 1 <= len(shown_name) <= 255
    assert not set(shown_name) & set(b"/\0")
    assert shown_name not in (b".", b"..")
    shown_name.decode("utf-8")


@given(LINKS)
def test_the_name_of_a_link_leads_back_to_it(name):
    shown_name = shown_names.escape(name)
    assert shown_names.is_shortened(shown_name) or shown_names.unescape(shown_name) == name


@given(TRICKY_TEXT, TRICKY_TEXT)
def test_different_texts_have_different_shown_names(first, second):
    assert (shown_names.escape_text(first) == shown_names.escape_text(second)) == (first == second)


@given(TRICKY, TRICKY)
def test_different_links_have_different_shown_names(first, second):
    assert (shown_names.escape(first) == shown_names.escape(second)) == (first == second)


@given(TRICKY, st.integers(2, 99))
def test_a_name_with_a_mark_is_the_shown_name_of_no_link(name, number):
    for marked in (
        shown_names.numbered(shown_names.escape(name), number),
        shown_names.numpy_file(name, is_taken=True),
    ):
        assert len(marked) <= 255
        assert shown_names.escape(shown_names.unescape(marked)) != marked


def test_a_long_name_keeps_its_start_and_its_suffix():
    shown_name = shown_names.escape(b"x" * 300 + b".jpg")
    assert len(shown_name) == 255
    assert shown_name.startswith(b"xxx")
    assert shown_name.endswith(b".jpg")
    assert shown_names.is_shortened(shown_name)
    assert shown_name != shown_names.escape(b"x" * 301 + b".jpg")
