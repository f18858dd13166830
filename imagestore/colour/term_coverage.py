"""How much of an image each basic colour term covers.

Each pixel has one vote, and shares it out among the terms. A pixel votes as the cell of the histogram that
it is in.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from imagestore.colour.colour_names import votes
from imagestore.colour.histogram import STEPS, cell_points

VOTE_PARTS = 1024  # a pixel's vote is shared out in whole parts, so that sums are exact
CELL_BLOCKS = 16  # the cells vote in blocks: less memory


@dataclass(frozen=True, eq=False)
class Coverage:
    """The part of an image that goes by each of the 11 basic terms, in the order of TERMS."""

    share: np.ndarray  # float64 (11,): sums to 1
    lab: np.ndarray  # float64 (11, 3): the mean CIELAB colour of that part


def coverage_of_cells(cells: np.ndarray, weighted_points: np.ndarray) -> Coverage:
    """The coverage of a histogram: `weighted_points` (n, 4) are the cells' points times their pixels."""
    return _from_sums(_cell_votes()[cells].T @ weighted_points)


def coverage_of_colours(lab: np.ndarray, share: np.ndarray) -> Coverage:
    """The coverage of a few flat colours: CIELAB (n, 3), and each colour's share of the image (n,)."""
    points = np.column_stack([lab * STEPS, np.ones(len(lab))])
    return _from_sums(votes(lab) @ (points * share[:, None]))


def _from_sums(sums: np.ndarray) -> Coverage:
    """From each term's sums (11, 4): L, a and b in STEPS, and pixels."""
    pixels = sums[:, 3]
    return Coverage(pixels / pixels.sum(), sums[:, :3] / np.maximum(pixels[:, None], 1e-9) / STEPS)


@functools.cache
def _cell_votes() -> np.ndarray:
    """float32 (CELLS, 11): how many of its VOTE_PARTS each cell gives to each term."""
    lab = cell_points()[:, :3] / STEPS
    blocks = [np.rint(votes(block) * VOTE_PARTS).T.astype(np.float32) for block in np.split(lab, CELL_BLOCKS)]
    return np.concatenate(blocks)
