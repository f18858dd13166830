"""The answers as a CSV file."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from imagestore.classifying.answer import Answer, Guess, Picture, columns
from imagestore.classifying.answers_table import answers_table
from imagestore.labelling.name_table import NameTable
from imagestore.labelling.read_tables import read_table

NAMES = [
    "red/a.jpg",
    'a "quoted", name.jpg',
    "two\nlines.jpg",
    "a\rb.jpg",
    "ünï.jpg",
    "no-utf8-\udcff.jpg",
    " x ",
]


def answer(name: str) -> Answer:
    return Answer(Picture(name, b"", "blue"), (Guess("red", 0.75), Guess("a,b", 0.25)))


def test_names_of_any_kind_come_back(tmp_path: Path) -> None:
    """Also by the tables that `--labels FILE.csv` reads."""
    with answers_table(tmp_path / "a.csv", columns(2)) as table:
        for name in NAMES:
            table.add(answer(name))
        assert not (tmp_path / "a.csv").exists()
    with (tmp_path / "a.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == NAMES
    assert rows[0] == {
        "name": "red/a.jpg", "label": "red", "confidence": "0.750000", "true_label": "blue",
        "label_2": "a,b", "confidence_2": "0.250000",
    }  # fmt: skip
    labels = NameTable(tmp_path / "a.csv", read_table(tmp_path / "a.csv", ["label"], None))
    assert len(labels) == len(NAMES) and [labels.find(name) for name in NAMES] == ["red"] * len(NAMES)
    assert (
        (tmp_path / "a.csv")
        .read_bytes()
        .startswith(b"name,label,confidence,true_label,label_2,confidence_2\nred/a.jpg,red,")
    )


def test_a_table_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("what was there")
    with pytest.raises(ZeroDivisionError), answers_table(tmp_path / "a.csv", columns(2)) as table:
        table.add(answer("a.jpg"))
        raise ZeroDivisionError
    assert (tmp_path / "a.csv").read_text() == "what was there"
    assert os.listdir(tmp_path) == ["a.csv"]
