"""--model auto: which labels are colours."""

from __future__ import annotations

import pytest

from imagestore.colour.colour_names import all_labels
from imagestore.networks.choose_model import choose_model


@pytest.mark.parametrize(
    "labels",
    [
        all_labels(),
        ["d._red", "l._blue", "green"],
        ["d._lime", "vd._cyan", "vl._lime", "_cyan", "l._grey"],  # of the older scripts, as are these names
        ["navy", "teal", "maroon", "magenta", "light turquoise"],
        ["dark red", "reddish brown", "Black"],
        ["v. pink", "gy. red", "m. olive", "deep yellowish green"],
        ["DarkRed", "lightblue", "LIGHT_GREEN"],
        ["01 red", "02 blue"],
        [*all_labels(), "unknown"],
    ],
)
def test_labels_that_are_colours(labels: list[str]) -> None:
    model, why = choose_model(labels, False, 500)
    assert model == "colour"
    assert labels[0] in why


@pytest.mark.parametrize(
    "labels",
    [
        ["rose", "tulip"],
        ["brown bear", "black bear", "polar bear"],
        ["apple", "orange", "banana"],
        ["lime", "lemon", "orange"],
        ["gold", "silver", "bronze"],
        ["1", "2", "3"],
        ["red rose", "yellow rose"],
        ["light", "dark"],
        ["red"],
        ["röt", "grün"],
    ],
)
def test_labels_that_are_no_colours(labels: list[str]) -> None:
    model, why = choose_model(labels, False, 500)
    assert model == "small"
    assert "500 pixels" in why


def test_a_store_that_colours_labelled_says_so_itself() -> None:
    model, why = choose_model(["warm", "cold"], True, 500)
    assert model == "colour"
    assert "the store says" in why
