"""colour/term_coverage.py: how much of an image goes by each term."""

from __future__ import annotations

import numpy as np
import pytest

from imagestore.colour.cielab import srgb_to_lab
from imagestore.colour.colour_names import TERMS, votes
from imagestore.colour.histogram import cell_points, make_histogram
from imagestore.colour.term_coverage import coverage_of_cells, coverage_of_colours

BLUE, WHITE, RED = (0, 0, 255), (255, 255, 255), (255, 0, 0)


def test_flat_colours_cover_what_they_take() -> None:
    lab = srgb_to_lab(np.array([BLUE, WHITE, RED], np.uint8))
    coverage = coverage_of_colours(lab, np.array([0.6, 0.3, 0.1]))
    for term, share in (("blue", 0.6), ("white", 0.3), ("red", 0.1)):
        assert coverage.share[TERMS.index(term)] == pytest.approx(share, abs=0.05)


def test_the_colour_of_a_term_is_the_mean_of_its_votes() -> None:
    lab, share = srgb_to_lab(np.array([BLUE, WHITE, RED], np.uint8)), np.array([0.6, 0.3, 0.1])
    coverage = coverage_of_colours(lab, share)
    for i in range(len(TERMS)):
        weights = votes(lab)[i] * share
        assert coverage.share[i] == pytest.approx(weights.sum())
        if coverage.share[i] > 0.001:
            assert coverage.lab[i] == pytest.approx(weights @ lab / weights.sum())


def test_cells_cover_about_what_their_pixels_do() -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (3000, 3), np.uint8)
    histogram = make_histogram(rgb)
    points = cell_points()[histogram.cells] * histogram.counts[:, None]
    of_cells = coverage_of_cells(histogram.cells, points)
    of_pixels = coverage_of_colours(srgb_to_lab(rgb), np.full(3000, 1 / 3000))
    assert of_cells.share.sum() == pytest.approx(1)
    assert of_cells.share == pytest.approx(of_pixels.share, abs=0.01)
    assert of_cells.lab == pytest.approx(of_pixels.lab, abs=2)
