"""One answer as a line of output and as the caption of a picture."""

from __future__ import annotations

import pytest

from imagestore.classifying.answer import Answer, Picture


@pytest.mark.parametrize(
    ("true_label", "line", "caption"),
    [
        (None, "red/a.jpg  red  87.7 %", "88 %"),
        ("red", "red/a.jpg  red  87.7 %  right", "right, 88 %"),
        ("blue", "red/a.jpg  red  87.7 %  wrong: blue", "blue, 88 %"),
    ],
)
def test_an_answer_tells_label_confidence_and_truth(true_label: str | None, line: str, caption: str) -> None:
    answer = Answer(Picture("red/a.jpg", b"", true_label), "red", 0.8767)
    assert answer.line() == line
    assert answer.caption() == caption
    assert answer.is_right == (true_label == "red")


def test_an_answer_is_one_line_with_any_name() -> None:
    """Names and labels may hold what a terminal would act on, or bytes that are no UTF-8."""
    answer = Answer(Picture("a\n.jpg", b"", "true\x1b[2m"), "no-utf8-\udcff", 1.0)
    assert answer.line() == r"a\n.jpg  no-utf8-\xff  100.0 %  wrong: true\x1b[2m"
