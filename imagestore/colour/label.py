"""From a palette to the label that names it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imagestore.colour.palette import Palette, first_largest, tally_of
from imagestore.colour.terms import SHADES, TERMS, shaded, votes


def label_of(palette: Palette) -> str:
    """The name that covers most of the image: 'dark-red', 'light-blue', 'grey'."""
    tally = tally_of(palette.share, palette.lab) if palette.tally is None else palette.tally
    term = first_largest(tally[:, 0])
    return shaded(TERMS[term], tally[term, 1:].round(3))


def share_covered(palette: Palette, term: str) -> float:
    """How much of the image, 0 to 1, goes by a basic term."""
    tally = tally_of(palette.share, palette.lab) if palette.tally is None else palette.tally
    return float(tally[TERMS.index(term), 0])


def name_of(lab: Sequence[float] | np.ndarray) -> str:
    """The name of one colour in CIELAB (D65): a basic term, with dark- or light- where it helps."""
    lab = np.asarray(lab, np.float64)[None]
    return shaded(TERMS[first_largest(votes(lab)[:, 0])], lab[0])


def basic_term(label: str) -> str:
    """The basic term of a label: 'dark-red' is 'red'."""
    return label.rpartition("-")[2]


def all_labels() -> list[str]:
    """Every label there is, sorted."""
    return sorted([*TERMS, *(f"{shade}-{term}" for shade in ("dark", "light") for term in SHADES)])
