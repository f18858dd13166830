"""Counting the answers, and the images on the contact sheet."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from imagestore.classifying.answer import Answer, Picture
from imagestore.classifying.tally import SHEET_COLUMNS, Tally
from tests.helpers.small_stores import COLOURS, picture

LABELS = list(COLOURS)


def answer(label: str, true_label: str | None, data: bytes = b"") -> Answer:
    return Answer(Picture("image.jpg", data, true_label), label, 0.75)


def test_answers_without_a_true_label_do_not_count(capsys: pytest.CaptureFixture) -> None:
    """Only the other answers do. The user is told of true labels that were not trained on."""
    tally = Tally(LABELS)
    for label, true_label in (("red", "red"), ("red", "blue"), ("blue", "white"), ("blue", None)):
        tally.add(answer(label, true_label))
    tally.print_accuracy()
    out, err = capsys.readouterr()
    assert (tally.answers, out) == (4, "accuracy 33.3 % (1 of 3)\n")
    assert err == "classify: 1 of them have a label that the network was not trained on\n"


def test_no_accuracy_is_printed_without_true_labels(capsys: pytest.CaptureFixture) -> None:
    tally = Tally(LABELS)
    tally.add(answer("red", None))
    tally.print_accuracy()
    assert capsys.readouterr() == ("", "")


def test_the_sheet_has_some_images_of_each_label() -> None:
    """Also if the images of one label all come before those of the next."""
    tally = Tally(LABELS)
    for label in LABELS:
        for _ in range(200):
            tally.add(answer(label, label))
    assert {label: len(row) for label, row in tally.sheet.items()} == dict.fromkeys(LABELS, SHEET_COLUMNS)


def test_the_sheet_is_a_picture_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    tally = Tally(LABELS)
    tally.add(answer("red", "blue", picture(COLOURS["blue"], 1)))
    tally.save_sheet("test.h5", tmp_path / "sheet.png")
    assert capsys.readouterr().out == f"wrote {tmp_path}/sheet.png\n"
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        sheet.load()
