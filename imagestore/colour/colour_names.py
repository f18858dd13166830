"""From a colour in CIELAB to its name: a basic colour term, with `dark-` or `light-` before it if that helps.

The eleven terms are those of Berlin and Kay, Basic Color Terms (1969). The borders between them were
learned from the answers of two kinds of people:

- Readers who named random screen colours: R. Munroe's xkcd colour survey (2010). J. Heer and M. Stone
  published the counts of 153 names in 8,325 cells of Lab with "Color Naming Models for Color Selection,
  Image Editing and Palette Design" (CHI 2012). Each name was reduced to the basic term at its end.
- Makers of named swatches: names that hold exactly one basic term. All names of CSS Color 4 were used, and
  half (chosen by the hash of the name) of those in the lists of xkcd, Wikipedia, "Name that Color" and the
  ISCC-NBS centroids (K. Kelly and D. Judd, NBS Special Publication 440, 1976). The other half was held out,
  and so were RAL, Sanzo Wada's colours and risograph inks: `benchmarks/colour.py` measures on names that
  were not used here. Four names of CSS on which the survey is divided (aliceblue, darkslategray,
  lightseagreen, lightgoldenrodyellow) count more, because people write them.

The fit places a few points for each term. It minimises the cross-entropy between the answers and the
points' Gaussian votes. Black and its border with grey (pure greys below #2c2c2c are black) were then fitted
again, mostly to the survey. Lightness counts half of what a and b do, because people go by hue first. A
point is no typical colour: only the border half way between two points of different terms has a meaning. So
some points lie outside the gamut. R. Benavente et al. (JOSA A 25, 2008) do the same with sigmoids, and J.
van de Weijer et al. (IEEE TIP 18, 2009) with a table of 32,768 entries.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# The points in Lab (D65) that vote for each term.
POINTS = {
    "black": ((-15, -14, 9), (-14, 0, 0), (-12, 23, 1), (-11, 1, 16), (-9, 2, -6)),
    "white": ((118, -4, 27), (117, 3, 13), (118, 6, 11)),
    "grey": ((48, -1, 0), (50, 4, -7), (50, 1, 1), (66, -6, 20)),
    "red": ((22, 31, 9), (28, 59, 10), (29, 53, 47), (36, 42, 26), (43, 74, 27), (47, 79, 60)),
    "orange": ((55, 40, 58), (64, 59, 63), (65, 36, 65), (65, 39, 44), (77, 11, 65), (94, 14, 31)),
    "yellow": ((77, 5, 72), (86, -1, 80), (90, -2, 57), (96, -22, 84), (101, -16, 65), (104, -4, 26)),
    "green": (
        (24, -14, 9), (52, -29, 6), (52, -20, 33), (59, -18, 56),
        (74, -34, 69), (79, -47, 45), (79, -17, 17), (81, -67, 68),
    ),
    "blue": (
        (15, 25, -52), (18, 0, -19), (27, 57, -83), (46, 22, -71),
        (51, -10, -21), (56, 17, -51), (84, -8, -19), (86, -24, 0),
    ),
    "purple": (
        (23, 23, -7), (31, 47, -3), (37, 45, -34), (48, 70, -49),
        (50, 68, -71), (52, 18, -9), (57, 36, -40),
    ),
    "pink": (
        (53, 56, 2), (60, 71, 15), (63, 37, 3), (67, 77, -46),
        (75, 37, 25), (80, 25, 3), (80, 51, -31), (85, 18, 17),
    ),
    "brown": (
        (14, 19, 10), (21, 9, 16), (33, 30, 29), (38, 28, 46),
        (47, 7, 30), (48, 13, 16), (53, 2, 58), (63, 4, 31),
    ),
}  # fmt: skip
TERMS = tuple(POINTS)
LIGHTNESS = 0.5  # the weight of a step of L, beside a step of a or b
REACH = 7.5  # standard deviation of a point's vote, in units of Lab

# A colour is dark if L + C/4 is below the first number, and light if L - C/4 is above the second. C is the
# chroma: a vivid colour is neither dark nor light. Each number lies a third of the way from the survey's mean
# "dark X" or "light X" to its mean "X". For red, orange and yellow the second number is moved, so that the
# sRGB primaries and #ffa500 stay plain.
SHADES = {
    "grey": (40, 74),
    "red": (52, 40),
    "orange": (74, 58),
    "yellow": (96, 76),
    "green": (60, 62),
    "blue": (44, 53),
    "purple": (43, 37),
    "pink": (68, 61),
    "brown": (34, 44),
}

_SCALE = np.array([LIGHTNESS, 1, 1])
_POINTS = np.array([point for points in POINTS.values() for point in points]) * _SCALE
_SQUARES = (_POINTS**2).sum(1)[:, None]
_FIRST_POINTS = np.cumsum([0, *map(len, POINTS.values())])[:-1]  # the first row of each term in _POINTS


def name_of(lab: Sequence[float] | np.ndarray) -> str:
    """The name of one colour in CIELAB (D65), such as 'red' or 'dark-red'."""
    colour = np.asarray(lab, np.float64)
    return with_shade(strongest_term(votes(colour[None])[:, 0]), colour)


def votes(lab: np.ndarray) -> np.ndarray:
    """How strongly each term stands for each colour: (n, 3) Lab to float64 (11, n); columns sum to 1."""
    scaled = np.asarray(lab, np.float64) * _SCALE
    # The square of the colour is left out of the distance: it is the same for every point.
    nearness = (2 * (_POINTS @ scaled.T) - _SQUARES) / (2 * REACH**2)
    weights = np.exp(nearness - nearness.max(0))
    sums = np.add.reduceat(weights, _FIRST_POINTS, axis=0)
    return sums / sums.sum(0)


def strongest_term(weights: np.ndarray) -> str:
    """The term with the largest of 11 weights, rounded so that the last digit of a machine cannot decide."""
    return TERMS[weights.round(6).argmax()]


def with_shade(term: str, lab: np.ndarray) -> str:
    """The term, with `dark-` or `light-` before it if the colour (3,) is far from the term's usual one."""
    if term not in SHADES:
        return term
    dark, light = SHADES[term]
    lightness, vividness = float(lab[0]), float(np.hypot(lab[1], lab[2])) / 4
    if lightness + vividness < dark:
        return f"dark-{term}"
    return f"light-{term}" if lightness - vividness > light else term


def basic_term(label: str) -> str:
    """The basic term of a label: 'dark-red' is 'red'."""
    return label.rpartition("-")[2]


def all_labels() -> list[str]:
    """All labels that `name_of` can return, sorted."""
    return sorted([*TERMS, *(f"{shade}-{term}" for shade in ("dark", "light") for term in SHADES)])
