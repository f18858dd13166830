"""From a palette to the label of its image: the name that covers most of it."""

from __future__ import annotations

from imagestore.colour.colour_names import TERMS, strongest_term, with_shade
from imagestore.colour.palette import Palette
from imagestore.colour.term_coverage import Coverage, coverage_of_colours


def label_of(palette: Palette) -> str:
    """The name that covers most of the image: 'dark-red', 'light-blue', 'grey'."""
    coverage = _coverage_of(palette)
    term = strongest_term(coverage.share)
    return with_shade(term, coverage.lab[TERMS.index(term)].round(3))


def share_covered(palette: Palette, term: str) -> float:
    """The share of the image, 0 to 1, that goes by a basic term."""
    return float(_coverage_of(palette).share[TERMS.index(term)])


def _coverage_of(palette: Palette) -> Coverage:
    if palette.coverage is not None:
        return palette.coverage
    return coverage_of_colours(palette.lab, palette.share)
