"""The colour histogram of some pixels, and where its cells lie in CIELAB.

The 4 high bits of R, G and B number 4,096 cells. Lab is kept in whole eighths: then float32 products, and
float64 sums over up to 2^32 pixels, are exact in any order of addition.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from imagestore.colour.cielab import linear_levels, linear_to_lab

BITS = 4  # of each of R, G and B
CELLS = 1 << 3 * BITS
STEPS = 8  # to a unit of Lab


@dataclass(frozen=True, eq=False, kw_only=True)
class Histogram:
    """The cells that hold pixels, and their pixels."""

    cells: np.ndarray  # int64 (n,): the numbers of the cells, ascending
    counts: np.ndarray  # float64 (n,): pixels in each cell
    rgb_sums: np.ndarray  # float64 (3, n): sums of R, G and B over the pixels of each cell

    def __len__(self) -> int:
        """The number of cells that hold pixels."""
        return len(self.cells)


def make_histogram(rgb: np.ndarray) -> Histogram:
    """Count the pixels, uint8 (n, 3), of each cell."""
    red, green, blue = (rgb >> (8 - BITS)).astype(np.intp).T
    cell = red << 2 * BITS | green << BITS | blue
    counts = np.bincount(cell, minlength=CELLS)
    cells = np.flatnonzero(counts)
    rgb_sums = np.array([np.bincount(cell, channel, CELLS)[cells] for channel in rgb.T])
    return Histogram(cells=cells, counts=counts[cells].astype(np.float64), rgb_sums=rgb_sums)


@functools.cache
def cell_points() -> np.ndarray:
    """float32 (CELLS, 4): L, a and b of each cell's mean colour, in whole STEPS, and a 1."""
    means = linear_levels().reshape(1 << BITS, -1).mean(1)
    grid = np.stack(np.meshgrid(means, means, means, indexing="ij"), -1).reshape(-1, 3)
    return np.column_stack([np.rint(linear_to_lab(grid) * STEPS), np.ones(len(grid))]).astype(np.float32)
