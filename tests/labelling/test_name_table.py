"""A table's names and the members of an archive."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagestore.labelling.name_table import AmbiguousName, NameTable

TABLE = Path("labels.csv")


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("jpg/1.jpg", "jpg/1.jpg"),
        ("./jpg/1.jpg", "jpg/1.jpg"),
        ("jpg/1.jpg", "./jpg/1.jpg"),
        ("1.jpg", "flowers/jpg/1.jpg"),
        ("/home/me/data/1.jpg", "flowers/jpg/1.jpg"),
        ("jpg\\1.jpg", "jpg/1.jpg"),
        ("\u00fc/\u00e9.jpg", "photos/u\u0308/e\u0301.jpg"),  # as macOS packs it
        ("e\u0301.jpg", "photos/\u00e9.jpg"),
        ("caf\u00e9.jpg", "jpg/caf\udce9.jpg"),  # Latin-1 in a tar
        ("caf\u00e9/1.jpg", "caf\u0398/1.jpg"),  # and in a zip file
        ("1", "flowers/jpg/1.jpg"),  # as at Kaggle
        ("jpg/1", "flowers/jpg/1.JPEG"),
        ("1.5", "flowers/1.5.png"),
    ],
)
def test_a_member_is_found_by_full_name_or_base_name(name, member):
    assert NameTable(TABLE, [(name, "rose"), ("2.jpg", "tulip")]).find(member) == "rose"


def test_a_member_that_the_table_does_not_name_has_no_value():
    assert NameTable(TABLE, [("1.jpg", "rose")]).find("11.jpg") is None


def test_the_name_with_its_suffix_goes_before_the_bare_one():
    table = NameTable(TABLE, [("1", "rose"), ("1.jpg", "tulip")])
    assert table.find("a/1.jpg") == "tulip"


def test_the_name_of_an_image_means_no_image_of_two_suffixes():
    assert NameTable(TABLE, [("1.jpg", "rose")]).find("1.jpg.png") is None


def test_a_bare_name_of_two_members_is_an_error():
    table = NameTable(TABLE, [("1", "rose")])
    assert table.find("1.jpg") == "rose"
    with pytest.raises(AmbiguousName, match=r"labels.csv: 1 could be 1.jpg or 1.png"):
        table.find("1.png")


def test_the_full_name_goes_before_the_base_name():
    table = NameTable(TABLE, [("a/1.jpg", "rose"), ("b/1.jpg", "tulip")])
    assert [table.find("b/1.jpg"), table.find("a/1.jpg")] == ["tulip", "rose"]


def test_a_base_name_of_two_rows_is_an_error():
    table = NameTable(TABLE, [("a/1.jpg", "rose"), ("b/1.jpg", "tulip")])
    with pytest.raises(AmbiguousName, match=r"labels.csv: c/1.jpg could be a/1.jpg or b/1.jpg"):
        table.find("c/1.jpg")


@pytest.mark.parametrize(("top", "listed"), [("flowers/", ""), ("", "/home/me/"), ("flowers/", "/home/me/")])
def test_of_equal_base_names_the_folders_decide(top, listed):
    names = ["a/1.jpg", "b/1.jpg", "c/1.jpg"]
    table = NameTable(TABLE, [(listed + name, value) for name, value in zip(names, "xyy", strict=True)])
    assert [table.find(top + name) for name in names] == ["x", "y", "y"]


def test_a_table_of_equal_base_names_is_fast_to_search():
    table = NameTable(TABLE, [(f"{i}/image.jpg", str(i)) for i in range(20_000)])
    assert [table.find(f"top/{i}/image.jpg") for i in range(20_000)] == list(map(str, range(20_000)))


def test_two_rows_of_equal_values_are_no_error():
    table = NameTable(TABLE, [("a/1.jpg", "rose"), ("b/1.jpg", "rose"), ("a/1.jpg", "rose")])
    assert table.find("c/1.jpg") == "rose"


def test_a_row_that_means_two_members_is_an_error():
    table = NameTable(TABLE, [("1.jpg", "rose")])
    assert [table.find("a/1.jpg"), table.find("a/1.jpg")] == ["rose", "rose"]  # the same member, packed twice
    with pytest.raises(AmbiguousName, match=r"1.jpg could be a/1.jpg or b/1.jpg"):
        table.find("b/1.jpg")


def test_a_name_with_two_values_is_an_error_that_names_it():
    with pytest.raises(AmbiguousName, match=r"labels.csv names 1.jpg twice, with rose and with tulip"):
        NameTable(TABLE, [("1.jpg", "rose"), ("./1.jpg", "tulip")])


def test_a_row_without_a_value_contradicts_no_other():
    table = NameTable(TABLE, [("a/1.jpg", None), ("b/1.jpg", "rose"), ("b/1.jpg", None), ("a/2.jpg", None)])
    names = ["a/1.jpg", "b/1.jpg", "c/2.jpg"]
    assert [table.find(name) for name in names] == [None, "rose", None]
    assert table.values() == {"rose"}
