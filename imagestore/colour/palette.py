"""From the bytes of an image to its dominant colours, and to the label that names them.

`palette` clusters a few thousand pixels with k-means in CIELAB (D65); `label` says which colour name
covers most of the picture: every pixel votes, as far as its cell of the colour histogram goes by a name.
The name of the largest cluster would be a toss: in more than half of the photographs that this was tried
on, the two largest of eight clusters are within five points of each other, and k-means splits a meadow
here or there, where the vote hardly moves.

The same bytes give the same palette in every run, process and on every machine (with the same JPEG
decoder). Nothing is random, the start is a fixed pattern scaled to the picture, and everything that
decides is a whole number: Lab is kept in eighths, so that float32 products, and float64 sums over up to
2^32 pixels, are exact in whatever order a linear algebra library takes them.

Used by pipeline, examine and benchmarks. Pure functions; safe in threads and processes.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from PIL import Image

from imagestore.colour.cielab import lab_of_linear, linear_levels, srgb_to_lab
from imagestore.colour.sample_pixels import PIXELS, sample_pixels
from imagestore.colour.terms import votes

HEURISTIC_VERSION = "3"  # of the heuristic: another one may give another palette or label for the same bytes


CLUSTERS = 8


ROUNDS = 3  # of k-means; more hardly move the clusters of a photograph


BITS = 4  # of each of R, G and B that tell one cell of the colour histogram from the next


CELLS = 1 << 3 * BITS


STEPS = 8  # to a unit of Lab


BALLOTS = 1024  # of a pixel, dealt out to the terms


@dataclass(frozen=True, eq=False)
class Palette:
    """The dominant colours of an image, largest first."""

    share: np.ndarray  # float32 (k,), sums to 1
    lab: np.ndarray  # float32 (k, 3): CIELAB of `rgb`
    rgb: np.ndarray  # uint8 (k, 3): sRGB, the mean of the cluster's pixels
    tally: np.ndarray | None = None  # float64 (11, 4): each term's share of the image, its mean L, a, b

    def __len__(self) -> int:
        """How many colours there are: fewer than clusters where an image has fewer."""
        return len(self.share)

    def table(self) -> np.ndarray:
        """float32 (k, 7), as it is stored with an image: share, L, a, b, R, G, B."""
        return np.column_stack([self.share, self.lab, self.rgb]).astype(np.float32)

    @classmethod
    def from_table(cls, table: np.ndarray) -> Palette:
        """The palette that `table` came from, but for the tally, which the clusters then stand in for."""
        table = np.asarray(table, np.float32)
        return cls(table[:, 0], table[:, 1:4], table[:, 4:7].astype(np.uint8))

    def hex_codes(self) -> list[str]:
        """Each colour as '#rrggbb'."""
        return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in self.rgb.tolist()]


def heuristic_settings() -> dict[str, int]:
    """What a palette and its label depend on, beside HEURISTIC_VERSION."""
    return {"clusters": CLUSTERS, "rounds": ROUNDS, "bits": BITS, "pixels": PIXELS}


def find_palette(data: bytes | Image.Image, clusters: int = CLUSTERS) -> Palette:
    """The dominant colours of an encoded image, or of a Pillow image. Raises NotAnImage."""
    sampled = sample_pixels(data)
    cells, counts, sums = _histogram(sampled)
    points = _cell_table()[cells]
    mass = points * counts[:, None]  # float64 (cells, 4): sums of L, a, b, 1
    owners = _cluster(np.ascontiguousarray(points.T), mass, clusters)
    owned = (owners == np.arange(clusters)[:, None]).astype(np.float64)  # (k, cells)
    sizes = owned @ counts
    order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    rgb = np.rint((owned @ sums.T)[order] / sizes[order, None]).astype(np.uint8)
    share = sizes[order] / len(sampled)
    lab = srgb_to_lab(rgb)
    # A few flat colours are named as they are, not by the middle of their cells.
    tally = _tally(_cell_ballots()[cells].T @ mass) if len(cells) > clusters else tally_of(share, lab)
    return Palette(share.astype(np.float32), lab, rgb, tally)


def tally_of(share: np.ndarray, lab: np.ndarray) -> np.ndarray:
    """The tally of a few colours: float64 (11, 4)."""
    return _tally(votes(lab) @ (np.column_stack([lab * STEPS, np.ones(len(lab))]) * share[:, None]))


def _tally(sums: np.ndarray) -> np.ndarray:
    """From each term's sums of L, a, b (in STEPS) and pixels, (11, 4): its share and its mean L, a, b."""
    weights = sums[:, 3:]
    return np.column_stack([weights / weights.sum(), sums[:, :3] / np.maximum(weights, 1e-9) / STEPS])


def first_largest(weights: np.ndarray) -> int:
    """Where the largest is, rounded: no machine's last digit decides."""
    return int(weights.round(6).argmax())


@functools.cache
def _cell_table() -> np.ndarray:
    """float32 (cells, 4): L, a, b of the middle of each cell, in whole STEPS, and 1."""
    middle = linear_levels().reshape(1 << BITS, -1).mean(1)
    grid = np.stack(np.meshgrid(middle, middle, middle, indexing="ij"), -1).reshape(-1, 3)
    return np.column_stack([np.rint(lab_of_linear(grid) * STEPS), np.ones(len(grid))]).astype(np.float32)


@functools.cache
def _cell_ballots() -> np.ndarray:
    """float32 (cells, 11): how each cell deals out its BALLOTS, in whole numbers."""
    lab = _cell_table()[:, :3] / STEPS
    parts = [np.rint(votes(part) * BALLOTS).T.astype(np.float32) for part in np.split(lab, 16)]
    return np.concatenate(parts)


def _histogram(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the cells that occur: their numbers, and as float64 their pixels (n,) and sums of R, G, B (3, n)."""
    red, green, blue = (rgb >> (8 - BITS)).astype(np.intp).T
    cell = red << 2 * BITS | green << BITS | blue
    counts = np.bincount(cell, minlength=CELLS)
    cells = np.flatnonzero(counts)
    sums = [np.bincount(cell, channel, CELLS)[cells] for channel in rgb.T]
    return cells, counts[cells].astype(np.float64), np.array(sums)


@functools.cache
def _start(clusters: int) -> np.ndarray:
    """float64 (clusters, 3): evenly spread in the cube of mean 0 and variance 1, the middle first.

    M. Roberts, "The Unreasonable Effectiveness of Quasirandom Sequences" (2018): R3.
    """
    ratio = 1.2207440846057596  # the root of x^4 = x + 1
    spread = (0.5 + np.arange(clusters)[:, None] / ratio ** np.arange(1, 4)) % 1
    return (spread - 0.5) * np.sqrt(12)


def _cluster(points: np.ndarray, mass: np.ndarray, clusters: int) -> np.ndarray:
    """k-means: which cluster owns each of the points (4, n), of which `mass` (n, 4) is times weight."""
    moments = points.astype(np.float64) @ mass  # (4, 4): the last column holds the sums of L, a, b, 1
    mean = moments[:3, 3] / moments[3, 3]
    variance = moments.diagonal()[:3] / moments[3, 3] - mean**2
    centres = np.rint(mean + np.sqrt(np.maximum(variance, 0)) * _start(clusters))
    for _ in range(ROUNDS):
        distances = _distances(centres, points)
        sums = (distances == distances.min(0)).astype(np.float64) @ mass
        sizes = sums[:, 3:]
        centres = np.where(sizes > 0, np.rint(sums[:, :3] / np.maximum(sizes, 1)), centres)
    return _distances(centres, points).argmin(0)


def _distances(centres: np.ndarray, points: np.ndarray) -> np.ndarray:
    """float32 (k, n): squared distances, less the square of the point, which is the same for all k."""
    squares = (centres * centres).sum(1, keepdims=True)
    return np.concatenate([-2 * centres, squares], 1).astype(np.float32) @ points
