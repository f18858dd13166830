"""--model auto: the model that suits the labels. Imports nothing slow."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Berlin and Kay's eleven basic colour terms; two more that the ISCC-NBS names are made of (K. Kelly and
# D. Judd, NBS Special Publication 440, 1976); the other names of CSS 2.1, section 4.3.6; and cyan, magenta,
# turquoise. The older scripts have lime and cyan.
TERMS = frozenset(
    ("black", "white", "grey", "gray", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown",
     "olive", "violet", "aqua", "fuchsia", "lime", "maroon", "navy", "silver", "teal", "cyan", "magenta",
     "turquoise")
)  # fmt: skip
# What stands before a term there, in full and abbreviated.
MIXTURES = frozenset(
    ("blackish", "whitish", "greyish", "grayish", "reddish", "orangish", "yellowish", "greenish", "bluish",
     "purplish", "pinkish", "brownish", "olivish", "violetish", "gy", "bk", "r", "y", "g", "b", "p", "pk")
)  # fmt: skip
SHADES = frozenset(
    ("dark", "light", "deep", "pale", "bright", "brilliant", "medium", "mid", "vivid", "dull", "strong",
     "moderate", "very", "d", "l", "v", "m", "s", "vd", "vl")
)  # fmt: skip
SHARE_OF_COLOURS = 0.9  # of the labels; others are such as "unknown"


def choose_model(labels: Sequence[str], heuristic_of_stores: bool, side_of_pictures: int) -> tuple[str, str]:
    """The model for these labels, and why.

    `heuristic_of_stores` is whether the colour heuristic labelled the stores, as they say themselves.
    `side_of_pictures` is that of their images, in pixels.
    """
    if heuristic_of_stores:
        return "colour", "the labels are colours: the store says that they come from the colour heuristic"
    named = [label for label in labels if is_colour_name(label)]
    if len(labels) > 1 and len(named) >= SHARE_OF_COLOURS * len(labels):
        return "colour", f"the labels are names of colours, such as {named[0]!r}"
    other = next((label for label in labels if not is_colour_name(label)), labels[0])
    return (
        "small",
        f"labels such as {other!r} are no colours; the pictures have {side_of_pictures} pixels a side",
    )


def is_colour_name(label: str) -> bool:
    """Whether a label is made of basic colour terms: 'd._red', 'dark-red', 'reddish brown', 'LightBlue'."""
    words = re.findall(r"[^\W\d_]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", label).lower())
    words = [part for word in words for part in _parts(word)]
    return not TERMS.isdisjoint(words) and (TERMS | MIXTURES | SHADES).issuperset(words)


def _parts(word: str) -> list[str]:
    """'darkred' is two words."""
    for first in SHADES:
        if word.startswith(first) and word.removeprefix(first) in TERMS:
            return [first, word.removeprefix(first)]
    return [word]
