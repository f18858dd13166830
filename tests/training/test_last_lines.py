"""The last lines of a training."""

from __future__ import annotations

import numpy as np

from imagestore.training.last_lines import last_lines, percent
from imagestore.training.predictions import Predictions


def test_the_last_lines_tell_accuracy_and_confusions() -> None:
    """Ten images of red, of which three got blue and one green; two of blue, both right."""
    predictions = Predictions(["red", "blue", "green"])
    predictions.add(np.array([0] * 6 + [1] * 3 + [2] + [1] * 2), np.array([0] * 10 + [1] * 2))
    assert last_lines(predictions) == [
        'validation: accuracy 66.7 %, balanced accuracy 80.0 %, always "red" 83.3 %',
        'often wrong: 3 of 10 images of "red" were predicted as "blue"',
        'often wrong: 1 of 10 images of "red" were predicted as "green"',
    ]


def test_the_best_epoch_comes_first() -> None:
    predictions = Predictions(["red"])
    predictions.add_one(0, 0)
    assert last_lines(predictions, "best epoch: 3 of 7")[0] == "best epoch: 3 of 7"
    assert last_lines(Predictions(["red"]), "best epoch: 3 of 7") == []


def test_only_three_confusions_are_named() -> None:
    predictions = Predictions(list("abcdef"))
    predictions.add(np.array([1, 2, 3, 4, 5]), np.array([0, 0, 0, 0, 0]))
    assert len(last_lines(predictions)) == 4


def test_without_validation_nothing_is_said() -> None:
    assert last_lines(Predictions(["red"])) == []


def test_a_label_of_any_name_stays_on_its_line() -> None:
    predictions = Predictions(["dark\x1b[1m\nred", "no-utf8-\udcff"])
    predictions.add(np.array([1]), np.array([0]))
    assert last_lines(predictions) == [
        r'validation: accuracy 0.0 %, balanced accuracy 0.0 %, always "dark\x1b[1m\nred" 100.0 %',
        r'often wrong: 1 of 1 image of "dark\x1b[1m\nred" was predicted as "no-utf8-\xff"',
    ]


def test_what_is_not_defined_is_no_number() -> None:
    assert (percent(None), percent(0.0), percent(1.0)) == ("-", "0.0 %", "100.0 %")
