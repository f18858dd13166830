"""The dominant colours of an image: k-means in CIELAB (D65) over the histogram of a few thousand pixels.

The largest cluster does not name the image: in more than half of the photographs that were tried, the two
largest of eight clusters are within five points of each other, and k-means may split a meadow in two. So a
palette also holds the votes of all pixels (see term_coverage.py), which hardly change; label.py reads them.

Nothing is random. The first centres are a fixed pattern, scaled to the image. All numbers that decide are
whole (see histogram.py), so that no linear algebra library rounds them in another way.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from PIL import Image

from imagestore.colour.cielab import srgb_to_lab
from imagestore.colour.histogram import BITS, Histogram, cell_points, make_histogram
from imagestore.colour.sample_pixels import PIXELS, sample_pixels
from imagestore.colour.term_coverage import Coverage, coverage_of_cells, coverage_of_colours

HEURISTIC_VERSION = "4"  # raise it if equal bytes may get another palette or label than before
CLUSTERS = 8
ROUNDS = 3  # of k-means; more hardly move the clusters of a photograph


@dataclass(frozen=True, eq=False)
class Palette:
    """The k dominant colours of an image, largest first."""

    share: np.ndarray  # float32 (k,): sums to 1
    lab: np.ndarray  # float32 (k, 3): CIELAB of `rgb`
    rgb: np.ndarray  # uint8 (k, 3): sRGB, the mean of the cluster's pixels
    coverage: Coverage | None = None  # by the votes of all pixels; None if only the colours are known

    def __len__(self) -> int:
        """The number of colours: fewer than the clusters if the image has fewer colours."""
        return len(self.share)

    def table(self) -> np.ndarray:
        """The colours as a store keeps them, float32 (k, 7): share, L, a, b, R, G, B."""
        return np.column_stack([self.share, self.lab, self.rgb]).astype(np.float32)

    @classmethod
    def from_table(cls, table: np.ndarray) -> Palette:
        """The palette of a `table()`, without its coverage."""
        table = np.asarray(table, np.float32)
        return cls(table[:, 0], table[:, 1:4], table[:, 4:7].astype(np.uint8))

    def hex_codes(self) -> list[str]:
        """Each colour as '#rrggbb'."""
        return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in self.rgb.tolist()]


def heuristic_settings() -> dict[str, int]:
    """The settings that palettes and labels depend on, beside HEURISTIC_VERSION."""
    return {"clusters": CLUSTERS, "rounds": ROUNDS, "bits": BITS, "pixels": PIXELS}


def find_palette(image: bytes | Image.Image, clusters: int = CLUSTERS) -> Palette:
    """The dominant colours, at most `clusters`, of an encoded image or a Pillow image. Raises NotAnImage."""
    histogram = make_histogram(sample_pixels(image))
    points = cell_points()[histogram.cells]
    weighted_points = points * histogram.counts[:, None]  # float64 (cells, 4): sums of L, a, b and pixels
    cluster_of_cell = _cluster(np.ascontiguousarray(points.T), weighted_points, clusters)
    share, colours = _shares_and_colours(histogram, cluster_of_cell, clusters)
    lab = srgb_to_lab(colours)
    if len(histogram) > clusters:
        coverage = coverage_of_cells(histogram.cells, weighted_points)
    else:  # a few flat colours: the palette has them exactly, the histogram only the mean of their cells
        coverage = coverage_of_colours(lab, share)
    return Palette(share.astype(np.float32), lab, colours, coverage)


def _cluster(points: np.ndarray, weighted_points: np.ndarray, clusters: int) -> np.ndarray:
    """k-means over `points` (4, n): the cluster of each point, int64 (n,).

    `weighted_points` (n, 4) are the points times their weights.
    """
    centres = _first_centres(points, weighted_points, clusters)
    for _ in range(ROUNDS):
        distances = _distances(centres, points)
        sums = (distances == distances.min(0)).astype(np.float64) @ weighted_points
        weights = sums[:, 3:]
        centres = np.where(weights > 0, np.rint(sums[:, :3] / np.maximum(weights, 1)), centres)
    return _distances(centres, points).argmin(0)


def _first_centres(points: np.ndarray, weighted_points: np.ndarray, clusters: int) -> np.ndarray:
    """float64 (clusters, 3): `_pattern`, with the mean and the variance of the points along each axis."""
    moments = points.astype(np.float64) @ weighted_points  # (4, 4): the last column sums L, a, b and weights
    mean = moments[:3, 3] / moments[3, 3]
    variance = moments.diagonal()[:3] / moments[3, 3] - mean**2
    return np.rint(mean + np.sqrt(np.maximum(variance, 0)) * _pattern(clusters))


@functools.cache
def _pattern(clusters: int) -> np.ndarray:
    """float64 (clusters, 3): evenly spread in the cube of mean 0 and variance 1, the middle first.

    M. Roberts, "The Unreasonable Effectiveness of Quasirandom Sequences" (2018): R3.
    """
    ratio = 1.2207440846057596  # the root of x^4 = x + 1
    spread = (0.5 + np.arange(clusters)[:, None] / ratio ** np.arange(1, 4)) % 1
    return (spread - 0.5) * np.sqrt(12)


def _distances(centres: np.ndarray, points: np.ndarray) -> np.ndarray:
    """float32 (clusters, n): squared distances, less the square of the point, which is equal in a column."""
    squares = (centres * centres).sum(1, keepdims=True)
    return np.concatenate([-2 * centres, squares], 1).astype(np.float32) @ points


def _shares_and_colours(
    histogram: Histogram, cluster_of_cell: np.ndarray, clusters: int
) -> tuple[np.ndarray, np.ndarray]:
    """Shares, float64 (k,), and mean colours, uint8 (k, 3), of the clusters with pixels, largest first."""
    is_member = (cluster_of_cell == np.arange(clusters)[:, None]).astype(np.float64)  # (clusters, cells)
    sizes = is_member @ histogram.counts
    order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    means = (is_member @ histogram.rgb_sums.T)[order] / sizes[order, None]
    return sizes[order] / sizes.sum(), np.rint(means).astype(np.uint8)
