"""`mv --from`: tables with the labels of many images."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.helpers.archives import pack
from tests.helpers.mended_stores import BY_FOLDER, PHOTOS, heuristic, labels_of, mend

BASES = ["a/1.jpg", "b/1.jpg", "c/1.jpg"]
IN_ARCHIVE = {name: name.split("/")[1] for name, _ in PHOTOS}


def table(*rows: tuple[object, ...], name: str = "t.csv") -> str:
    """A table in the current folder."""
    with open(name, "w", newline="") as file:
        csv.writer(file, delimiter="\t" if name.endswith(".tsv") else ",").writerows(rows)
    return name


@pytest.mark.parametrize(
    "titles", [("name", "label"), ("Path", "predicted"), ("file", "class"), ("member", "target")]
)
@pytest.mark.parametrize("file", ["t.csv", "t.tsv"])
def test_rows_name_images_by_path_member_or_base_name(store, titles, file):
    rows = [
        ("red/02.jpg", "rose"),
        ("photos/red/05.jpg", "rose"),
        ("./elsewhere/08.jpg", "tulip"),
        ("00.jpg", "blue"),
        ("11", "tulip"),
    ]
    done = mend("mv", store, "--from", table(titles, *rows, name=file))
    assert (done.status, done.err) == (0, "already under that label: 1 image\n")
    assert "(4 relabelled)" in done.out
    roses, tulips = dict.fromkeys(("02", "05"), "rose"), dict.fromkeys(("08", "11"), "tulip")
    expected = {f"photos/red/{number}.jpg": label for number, label in (roses | tulips).items()}
    assert labels_of(store) == IN_ARCHIVE | expected


def test_json_and_named_columns(store):
    Path("t.json").write_text(json.dumps({"02.jpg": "rose", "05.jpg": 7}))
    assert mend("mv", store, "--from", "t.json").status == 0
    assert labels_of(store)["photos/red/05.jpg"] == "7"
    path = table(("picture", "species"), ("02.jpg", "AC/DC"))
    assert mend("mv", store, "--from", path).status == 1
    assert (
        mend("mv", store, "--from", path, "--name-column", "picture", "--label-column", "species").status == 0
    )
    assert labels_of(store)["photos/red/02.jpg"] == "AC%2FDC"


def test_json_tells_an_empty_label_from_none(store):
    Path("t.json").write_text(json.dumps({"02.jpg": "", "05.jpg": None}))
    done = mend("mv", store, "--from", "t.json")
    assert (done.status, done.err) == (0, "rows without a label: 1: 05.jpg\n")
    assert labels_of(store) == IN_ARCHIVE | {"photos/red/02.jpg": "%empty"}


def test_the_table_of_summary_is_one(store):
    text = heuristic("summary", store, "--csv").out
    Path("t.csv").write_text(text.replace("red/02.jpg,red,", "red/02.jpg,rose,"))
    assert "(1 relabelled)" in mend("mv", store, "--from", "t.csv").out
    assert labels_of(store) == IN_ARCHIVE | {"photos/red/02.jpg": "rose"}


def test_rows_that_say_nothing_are_counted_and_named(store):
    Path("07.jpg").write_bytes(PHOTOS[7][1] + b"other")
    mend("add", store, "07.jpg", "blue/")
    rows = [
        *((f"none/x{i}.jpg", "rose") for i in range(12)),
        ("07.jpg", "rose"),  # is the name of two images, but the member of one
        ("x/07.jpg", "rose"),
        ("02.jpg", "rose"),
        ("red/02.jpg", "tulip"),
        ("05.jpg", "rose"),
        ("red/05.jpg", "rose"),
        ("08.jpg", ""),
        ("11.jpg", "  "),
    ]
    done = mend("mv", store, "--from", table(("name", "label"), *rows))
    assert done.status == 0 and "(2 relabelled)" in done.out
    assert "rows that match no image: 12: none/x0.jpg; none/x1.jpg;" in done.err
    assert "none/x9.jpg; and 2 more" in done.err and "x10" not in done.err
    assert "rows that match several images: 1: x/07.jpg\n" in done.err
    assert "rows that contradict another row, so the image stays as it is: 1: red/02.jpg\n" in done.err
    assert "rows without a label: 2: 08.jpg; 11.jpg\n" in done.err
    assert labels_of(store) == IN_ARCHIVE | {"photos/red/05.jpg": "rose", "07.jpg": "rose"}


def test_only_rows_that_are_sure_count(store):
    rows = [
        ("02.jpg", "rose", 0.9),
        ("05.jpg", "rose", "0.899"),
        ("08.jpg", "rose", "nan"),
        ("11.jpg", "rose", "1"),
    ]
    path = table(("name", "label", "confidence"), *rows)
    done = mend("mv", store, "--from", path, "--min-confidence", "0.9")
    assert (done.status, done.err) == (0, "rows that are less sure: 2: 05.jpg; 08.jpg\n")
    assert labels_of(store) == IN_ARCHIVE | {"photos/red/02.jpg": "rose", "photos/red/11.jpg": "rose"}
    assert (
        mend("mv", store, "--from", table(rows[0][:2], name="u.csv"), "--min-confidence", "0.9").status == 1
    )


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", (), "t.csv is empty"),
        ("a,b\n", (), "t.csv has no column"),
        ("name,label\nx.jpg,red\n", (), "none of its rows gives a label to an image"),
        ("name,label\n02.jpg,red\n", ("--min-confidence", "0.5"), "t.csv has no column 'confidence'"),
        ("name,label,confidence\n02.jpg,red,?\n", ("--min-confidence", "0.5"), "02.jpg is no number: ?"),
        ("name,label\n02.jpg\n", (), "line 2: it has 1 of 2 columns"),
    ],
)
def test_a_wrong_table_changes_nothing(store, text, options, message):
    Path("t.csv").write_text(text)
    before = store.read_bytes()
    done = mend("mv", store, "--from", "t.csv", *options)
    assert done.status == 1 and message in done.err and done.err.count("\n") == 1
    assert store.read_bytes() == before


def test_of_equal_base_names_the_folders_decide(made):
    """Also when the images are no longer under the labels that the table's paths have."""
    Path("b.tar").write_bytes(pack([(f"top/{path}", PHOTOS[i][1]) for i, path in enumerate(BASES)]))
    assert heuristic("partition", "b.tar", "b.h5", "c.h5", 1, *BY_FOLDER).status == 0
    path = table(("path", "class"), *zip(BASES, "xyz", strict=True), ("d/1.jpg", "q"))
    assert "(3 relabelled)" in mend("mv", "b.h5", "--from", path).out
    done = mend("mv", "b.h5", "--from", path)
    assert done.err == "already under that label: 3 images\nrows that match several images: 1: d/1.jpg\n"
    assert labels_of(Path("b.h5")) == {f"top/{base}": label for base, label in zip(BASES, "xyz", strict=True)}


def test_json_tells_no_confidence(store):
    Path("t.json").write_text('[{"name": "02.jpg", "label": "rose", "confidence": 1}]')
    done = mend("mv", store, "--from", "t.json", "--min-confidence", "0.5")
    assert (done.status, done.err) == (
        1, "h5vfs: error: t.json: --min-confidence needs a CSV or TSV file\n",
    )  # fmt: skip
    assert "(1 relabelled)" in mend("mv", store, "--from", "t.json").out


def test_a_table_may_be_applied_again(store):
    """After the first time, the paths in the table are those of before."""
    path = table(("name", "label"), *((f"red/{i:02d}.jpg", "rose") for i in (2, 5, 8, 11)))
    assert "(4 relabelled)" in mend("mv", store, "--from", path).out
    done = mend("mv", store, "--from", path)
    assert "(0 relabelled)" in done.out and done.err == "already under that label: 4 images\n"


@pytest.mark.parametrize("title", ["store", "source"])
def test_a_table_of_several_stores_says_which_row_is_whose(made, title):
    """The same path in two stores is two images."""
    for name, i in (("a.h5", 0), ("b.h5", 1)):
        Path("1.jpg").write_bytes(PHOTOS[i][1] + b"new")
        (made / name).write_bytes((made / "all.h5").read_bytes())
        mend("add", name, "1.jpg", "red/")
    path = table(("name", "label", title), ("red/1.jpg", "rose", "a.h5"), ("red/1.jpg", "tulip", "gone/b.h5"))
    for name, label in (("a.h5", "rose"), ("b.h5", "tulip")):
        done = mend("mv", name, "--from", path)
        assert done.status == 0 and "(1 relabelled)" in done.out
        assert done.err == "rows of other stores: 1: red/1.jpg\n"
        assert labels_of(made / name)["1.jpg"] == label
    (made / "c.h5").write_bytes((made / "all.h5").read_bytes())
    mend("add", "c.h5", "1.jpg", "red/")
    done = mend("mv", "c.h5", "--from", path)  # a store that the table does not name
    assert done.status == 0 and "contradict another row" in done.err
