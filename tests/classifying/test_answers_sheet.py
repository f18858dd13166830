"""The contact sheet of answers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagestore.classifying.answer import Answer, Guess, Picture
from imagestore.classifying.answers_sheet import COLUMNS, RIGHT_COLOUR, ROWS, WRONG_COLOUR, AnswersSheet
from tests.helpers.small_stores import COLOURS, picture

LABELS = list(COLOURS)


def answer(label: str, true_label: str | None, data: bytes = b"", name: str = "image.jpg") -> Answer:
    return Answer(Picture(name, data, true_label), (Guess(label, 0.75),))


def pixels_of(path: Path, colour: str) -> int:
    """How many pixels of a picture have exactly this colour, such as '#1a7f37'."""
    with Image.open(path) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    rgb = tuple(bytes.fromhex(colour[1:]))
    return int((pixels == rgb).all(2).sum())


def test_the_sheet_has_some_images_of_each_label() -> None:
    """Also if the images of one label all come before those of the next."""
    sheet = AnswersSheet()
    for label in LABELS:
        for _ in range(200):
            sheet.add(answer(label, label))
    assert {label: len(row) for label, row in sheet.rows.items()} == dict.fromkeys(LABELS, COLUMNS)
    assert sheet.counts == dict.fromkeys(LABELS, 200)


def test_the_sheet_is_a_fair_sample() -> None:
    """Of 50 wrong answers and then 50 right ones, it shows both."""
    sheet = AnswersSheet()
    for i in range(100):
        sheet.add(answer("red", "blue" if i < 50 else "red", name=f"{i:03d}"))
    names = [kept.picture.name for kept in sheet.rows["red"]]
    assert len(set(names)) == COLUMNS and names == sorted(names)
    assert {kept.is_right for kept in sheet.rows["red"]} == {True, False}


@pytest.mark.slow
def test_of_many_labels_the_commonest_are_shown(tmp_path: Path) -> None:
    """The images of few labels are in memory, and the picture has a height that can be drawn."""
    sheet = AnswersSheet()
    for label in range(1000):
        for _ in range(1 + label % 7):
            sheet.add(answer(f"label {label}", None, picture(COLOURS["red"], 1)))
        assert len(sheet.rows) <= 2 * ROWS
    sheet.save("test.h5", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as drawn:
        assert drawn.height < 200 * ROWS
    assert min(sheet.counts[label] for label in sheet.rows) > 1


@pytest.mark.parametrize(("true_label", "green", "red"), [("red", 1, 0), ("blue", 0, 1), (None, 0, 0)])
def test_right_is_green_and_wrong_is_red(
    tmp_path: Path, true_label: str | None, green: int, red: int
) -> None:
    sheet = AnswersSheet()
    sheet.add(answer("red", true_label, picture((250, 250, 250), 1)))
    assert sheet.save("test.h5", tmp_path / "sheet.png") == tmp_path / "sheet.png"
    frame = 128 * 4 * 4 - 4 * 4 * 4  # pixels of a frame of 4 pixels around 128 pixels
    assert pixels_of(tmp_path / "sheet.png", RIGHT_COLOUR) >= frame * green
    assert pixels_of(tmp_path / "sheet.png", WRONG_COLOUR) >= frame * red
    assert (pixels_of(tmp_path / "sheet.png", RIGHT_COLOUR) > 0) == bool(green)
    assert (pixels_of(tmp_path / "sheet.png", WRONG_COLOUR) > 0) == bool(red)


LONG = "Ophrys_sphegodes_subspecies_" * 4


@pytest.mark.parametrize(
    ("label", "true_label", "caption"),
    [
        ("red", None, "red 75 %"),
        ("red", "red", "red 75 %\nright"),
        ("red", "blue", "red 75 %\ntrue: blue"),
        ("no-utf8-\udcff", "a\nb", "no-utf8-\\xff 75 %\ntrue: a\\nb"),
        (f"{LONG}atrata", f"{LONG}litigiosa", "….*atrata 75 %\ntrue: ….*litigiosa"),
        (f"atrata_{LONG}", f"litigiosa_{LONG}", "atrata.*… 75 %\ntrue: litigiosa.*…"),
    ],
)
def test_a_caption_tells_both_labels(label: str, true_label: str | None, caption: str) -> None:
    """However long they are."""
    sheet = AnswersSheet()
    sheet.add(answer(label, true_label, picture(COLOURS["red"], 1)))
    *_, text = sheet.canvas("test.h5").texts
    drawn = "\n".join(text.lines)
    assert drawn == caption or (LONG in label and re.fullmatch(caption, drawn))
