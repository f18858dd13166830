"""Counting the answers, and the images on the contact sheet."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from imagestore.classifying.accuracy import SHEET_COLUMNS, Accuracy
from imagestore.classifying.answer import Answer, Picture
from tests.helpers.small_stores import COLOURS, picture

LABELS = list(COLOURS)


def answer(label: str, true_label: str | None, data: bytes = b"") -> Answer:
    return Answer(Picture("image.jpg", data, true_label), label, 0.75)


def test_answers_without_a_true_label_do_not_count(capsys: pytest.CaptureFixture) -> None:
    """Only the other answers do. The user is told of true labels that were not trained on."""
    accuracy = Accuracy(LABELS)
    for label, true_label in (("red", "red"), ("red", "blue"), ("blue", "white"), ("blue", None)):
        accuracy.add(answer(label, true_label))
    accuracy.print_line()
    out, err = capsys.readouterr()
    assert (accuracy.answers, out) == (4, "accuracy 33.3 % (1 of 3)\n")
    assert err == "classify: 1 of them have a label that the network was not trained on\n"


def test_no_accuracy_is_printed_without_true_labels(capsys: pytest.CaptureFixture) -> None:
    accuracy = Accuracy(LABELS)
    accuracy.add(answer("red", None))
    accuracy.print_line()
    assert capsys.readouterr() == ("", "")


def test_the_sheet_has_some_images_of_each_label() -> None:
    """Also if the images of one label all come before those of the next."""
    accuracy = Accuracy(LABELS)
    for label in LABELS:
        for _ in range(200):
            accuracy.add(answer(label, label))
    assert {label: len(row) for label, row in accuracy.sheet.items()} == dict.fromkeys(LABELS, SHEET_COLUMNS)


def test_the_sheet_is_a_picture_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    accuracy = Accuracy(LABELS)
    accuracy.add(answer("red", "blue", picture(COLOURS["blue"], 1)))
    accuracy.save_sheet("test.h5", tmp_path / "sheet.png")
    assert capsys.readouterr().out == f"wrote {tmp_path}/sheet.png\n"
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        sheet.load()
