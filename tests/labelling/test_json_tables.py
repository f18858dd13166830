"""JSON that says something of images, in the forms that people and programs write."""

from __future__ import annotations

import json

import pytest

from imagestore.console import UserError
from imagestore.labelling.read_tables import read_table

LABELS = ("label", "class", "target")
PAIRS = [("x/a.jpg", "rose"), ("x/b.jpg", "tulip"), ("x/c.jpg", "rose")]
NAMES, VALUES = (list(column) for column in zip(*PAIRS, strict=True))
RECORDS = [{"file_name": name, "label": value, "n": 1} for name, value in PAIRS]
COCO = {
    "images": [{"id": i + 5, "file_name": name} for i, name in enumerate(NAMES)],
    "annotations": [{"id": i, "image_id": i + 5, "category_id": i % 2} for i in range(3)],
    "categories": [{"id": 0, "name": "rose"}, {"id": 1, "name": "tulip"}],
}


def read(tmp_path, document, name="labels.json"):
    text = document if isinstance(document, str) else json.dumps(document)
    (tmp_path / name).write_text(text)
    return read_table(tmp_path / name, LABELS, None)


@pytest.mark.parametrize(
    "document",
    [
        dict(PAIRS),
        RECORDS,
        [list(pair) for pair in PAIRS],
        {"labels": dict(PAIRS)},
        {"labels": [list(pair) for pair in PAIRS], "version": 1},  # as StyleGAN has it
        {"data": RECORDS},
        {"name": NAMES, "label": VALUES},
        {"label": dict(enumerate(VALUES)), "name": dict(enumerate(NAMES))},  # pandas.DataFrame.to_json
        {"columns": ["n", "label", "name"], "data": [[1, value, name] for name, value in PAIRS]},
        {name: {"label": value, "n": 1} for name, value in PAIRS},
        {name: [value] for name, value in PAIRS},
        {"rose": NAMES[::2], "tulip": NAMES[1:2]},
        COCO,
    ],
)
def test_every_form_says_the_same(tmp_path, document):
    assert sorted(read(tmp_path, document)) == PAIRS


@pytest.mark.parametrize("name", ["metadata.jsonl", "labels.ndjson", "labels.json"])
def test_each_line_may_be_a_record(tmp_path, name):
    text = "\n".join(map(json.dumps, RECORDS)) + "\n\n"
    assert read(tmp_path, text, name) == PAIRS
    assert (
        read(tmp_path, json.dumps(RECORDS[0]) + "\n" if name != "labels.json" else RECORDS[:1], name)
        == PAIRS[:1]
    )


def test_an_image_with_several_categories_has_no_label(tmp_path):
    more = [{"image_id": 5, "category_id": 1}, {"image_id": 6, "category_id": 1}]
    coco = {**COCO, "annotations": [*COCO["annotations"], *more]}
    assert read(tmp_path, coco) == [("x/a.jpg", None), ("x/b.jpg", "tulip"), ("x/c.jpg", "rose")]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({**COCO, "categories": []}, "as COCO has them, but 0 is not there"),
        ({"name": NAMES, "label": VALUES[:1]}, "is not of the form"),
        ({"labels": 3, "a.jpg": [1, 2]}, "is not of the form"),
        ({}, "names no image"),
    ],
)
def test_what_makes_no_sense_is_one_line(tmp_path, document, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, document)
