"""colour/colour_names.py: swatches get the names that people give them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import CSS4_COLORS, XKCD_COLORS

from imagestore.colour.cielab import srgb_to_lab
from imagestore.colour.colour_names import TERMS, all_labels, basic_term, name_of, strongest_term, votes

# Names that hardly anybody would dispute.
PLAIN = {
    "#000000": "black", "#ffffff": "white", "#808080": "grey", "#ff0000": "red", "#ffa500": "orange",
    "#ffff00": "yellow", "#008000": "green", "#00ff00": "green", "#0000ff": "blue", "#800080": "purple",
    "#ffc0cb": "light-pink", "#964b00": "brown", "#000080": "dark-blue", "#006400": "dark-green",
    "#add8e6": "light-blue", "#90ee90": "light-green", "#8b0000": "dark-red", "#d3d3d3": "light-grey",
    "#654321": "brown", "#ff69b4": "pink", "#ff7f00": "orange", "#e6e6fa": "light-blue",
    "#301934": "dark-purple",
}  # fmt: skip
QUALIFIERS = (
    "", "light", "dark", "deep", "pale", "bright", "medium", "vivid", "hot", "royal", "sky", "forest",
)  # fmt: skip


def name_of_code(hex_code: str) -> str:
    return name_of(srgb_to_lab(np.array([list(bytes.fromhex(hex_code[1:]))], np.uint8))[0])


@pytest.mark.parametrize(("code", "name"), PLAIN.items())
def test_a_plain_colour_has_its_usual_name(code: str, name: str) -> None:
    assert name_of_code(code) == name


@pytest.mark.parametrize(
    ("swatches", "least"), [(CSS4_COLORS, 0.8), (XKCD_COLORS, 0.95)], ids=["CSS", "xkcd survey"]
)
def test_swatches_get_the_basic_term_in_their_name(swatches: dict[str, str], least: float) -> None:
    """Of the names that are a basic term, alone or after a plain qualifier."""
    agrees = []
    for swatch_name, code in swatches.items():
        words = swatch_name.removeprefix("xkcd:").replace("gray", "grey").replace(" ", "")
        term = next((term for term in TERMS if words.endswith(term)), None)
        if term and words.removesuffix(term) in QUALIFIERS:
            agrees.append(basic_term(name_of_code(code)) == term)
    assert len(agrees) > 25
    assert np.mean(agrees) >= least


@given(st.tuples(st.floats(0, 100), st.floats(-128, 128), st.floats(-128, 128)))
def test_any_lab_colour_has_one_of_the_labels(lab: tuple[float, float, float]) -> None:
    name = name_of(lab)
    assert name in all_labels()
    assert basic_term(name) in TERMS


@pytest.mark.parametrize("level", range(0, 256, 5))
def test_greys_are_never_coloured(level: int) -> None:
    assert basic_term(name_of_code(f"#{level:02x}{level:02x}{level:02x}")) in ("black", "grey", "white")


def test_labels_are_safe_as_names_of_files_and_groups() -> None:
    assert len(set(all_labels())) == len(all_labels()) == 11 + 2 * 9
    for label in all_labels():
        assert label.replace("-", "").isalpha() and label.isascii() and label == label.lower()


def test_each_colour_has_one_vote() -> None:
    lab = np.random.default_rng(1).uniform((0, -128, -128), (100, 128, 128), (500, 3))
    shares = votes(lab)
    assert shares.shape == (len(TERMS), 500)
    assert shares.sum(0) == pytest.approx(1)


def test_the_last_digits_do_not_choose_the_term() -> None:
    weights = np.full(len(TERMS), 0.09)
    weights[5] += 1e-9  # another machine may add this to another term
    assert strongest_term(weights) == TERMS[0]
