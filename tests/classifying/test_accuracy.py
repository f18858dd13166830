"""Counting the answers."""

from __future__ import annotations

from imagestore.classifying.accuracy import Accuracy
from imagestore.classifying.answer import Answer, Guess, Picture
from tests.helpers.small_stores import COLOURS

LABELS = list(COLOURS)  # blue, green, red


def counted(*answers: tuple[str, str | None], labels: list[str] = LABELS) -> Accuracy:
    """The accuracy of answers with a predicted and a true label each."""
    accuracy = Accuracy(labels)
    for label, true_label in answers:
        accuracy.add(Answer(Picture("image.jpg", b"", true_label), (Guess(label, 0.75),)))
    return accuracy


def test_answers_without_a_true_label_do_not_count() -> None:
    accuracy = counted(("red", "red"), ("red", "blue"), ("blue", None))
    assert (accuracy.answers, accuracy.with_true_label) == (3, 2)
    assert list(accuracy.lines()) == ["accuracy 50.0 % (1 of 2)", "balanced accuracy 50.0 %"]
    assert accuracy.untrained_line() == ""


def test_each_label_counts_alike_in_the_balanced_accuracy() -> None:
    """Labels that the store lacks do not count."""
    accuracy = counted(*[("red", "red")] * 8, ("red", "blue"), ("blue", "blue"))
    assert list(accuracy.lines()) == ["accuracy 90.0 % (9 of 10)", "balanced accuracy 75.0 %"]


def test_a_label_that_was_not_trained_on_counts_as_wrong() -> None:
    """The user is told of it, and of the accuracy without it."""
    accuracy = counted(("red", "red"), ("red", "blue"), ("blue", "white"), ("red", "white"), ("blue", "blue"))
    assert list(accuracy.lines()) == ["accuracy 40.0 % (2 of 5)", "balanced accuracy 50.0 %"]
    assert accuracy.untrained_line() == (
        "2 of them have a label that the network was not trained on (white); "
        "of the others, 66.7 % are right (2 of 3)"
    )
    only = counted(*[("red", name) for name in ("a", "b\x1b", "c", "d", "e")])
    assert only.untrained_line() == (
        r"5 of them have a label that the network was not trained on (a, b\x1b, c and 2 more)"
    )


def test_nothing_is_said_without_true_labels() -> None:
    accuracy = counted(("red", None))
    assert list(accuracy.lines()) == []
    assert accuracy.untrained_line() == ""


def test_the_report_has_a_line_for_each_label() -> None:
    accuracy = counted(
        ("red", "red"), ("red", "red"), ("red", "blue"), ("green", "white"), labels=[*LABELS, "grey", "black"]
    )
    assert list(accuracy.report()) == [
        "label  precision   recall  images  predicted",
        "blue           -    0.0 %       1          0",
        "green      0.0 %        -       0          1",
        "red       66.7 %  100.0 %       2          3",
        "white          -    0.0 %       1          0",
        "2 more labels have no image here and were never predicted",
    ]


def test_the_report_is_straight_for_wide_letters() -> None:
    accuracy = counted(("花", "花"), ("red", "🌹"), labels=["花", "red"])
    assert list(accuracy.report()) == [
        "label  precision   recall  images  predicted",
        "花       100.0 %  100.0 %       1          1",
        "red        0.0 %        -       0          1",
        "🌹             -    0.0 %       1          0",
    ]
