"""One answer as a line of output, as JSON, and as a row of a table."""

from __future__ import annotations

import json

import pytest

from imagestore.classifying.answer import Answer, Guess, Picture, columns


def answer(true_label: str | None, *guesses: tuple[str, float], name: str = "red/a.jpg") -> Answer:
    return Answer(Picture(name, b"", true_label), tuple(Guess(*guess) for guess in guesses))


@pytest.mark.parametrize(
    ("true_label", "line"),
    [
        (None, "red/a.jpg  red  87.7 %"),
        ("red", "red/a.jpg  red  87.7 %  right"),
        ("blue", "red/a.jpg  red  87.7 %  wrong: blue"),
    ],
)
def test_an_answer_tells_label_confidence_and_truth(true_label: str | None, line: str) -> None:
    found = answer(true_label, ("red", 0.8767))
    assert found.line() == line
    assert found.is_right == (true_label == "red")
    assert found.is_wrong == (true_label == "blue")


def test_further_guesses_follow_the_first() -> None:
    found = answer("blue", ("red", 0.6), ("blue", 0.3), ("green", 0.1))
    assert found.line() == "red/a.jpg  red  60.0 %  blue  30.0 %  green  10.0 %  wrong: blue"
    assert found.row() == ["red/a.jpg", "red", "0.600000", "blue", "blue", "0.300000", "green", "0.100000"]
    assert columns(3) == [
        "name", "label", "confidence", "true_label", "label_2", "confidence_2", "label_3", "confidence_3",
    ]  # fmt: skip
    assert json.loads(found.json()) == {
        "name": "red/a.jpg", "label": "red", "confidence": 0.6, "true_label": "blue", "right": False,
        "top": [
            {"label": "red", "confidence": 0.6},
            {"label": "blue", "confidence": 0.3},
            {"label": "green", "confidence": 0.1},
        ],
    }  # fmt: skip


def test_a_true_label_that_is_not_known_is_null_or_empty() -> None:
    found = answer(None, ("red", 0.75))
    assert json.loads(found.json()) == {
        "name": "red/a.jpg", "label": "red", "confidence": 0.75, "true_label": None, "right": None,
    }  # fmt: skip
    assert found.row() == ["red/a.jpg", "red", "0.750000", ""]
    assert len(found.row()) == len(columns(1))


def test_an_answer_is_one_line_with_any_name() -> None:
    """Names and labels may hold what a terminal would act on, or bytes that are no UTF-8."""
    found = answer("true\x1b[2m", ("no-utf8-\udcff", 1.0), name="a\n.jpg")
    assert found.line() == r"a\n.jpg  no-utf8-\xff  100.0 %  wrong: true\x1b[2m"
    (line,) = found.json().splitlines()
    assert json.loads(line)["name"] == "a\n.jpg"
    assert json.loads(line)["label"] == "no-utf8-\udcff"
