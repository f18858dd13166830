"""colour/histogram.py: cells, their pixels, and their places in Lab."""

from __future__ import annotations

import numpy as np

from imagestore.colour.cielab import srgb_to_lab
from imagestore.colour.histogram import CELLS, STEPS, cell_points, make_histogram


def test_pixels_with_equal_high_bits_share_a_cell() -> None:
    rgb = np.array([(255, 16, 0), (240, 31, 15), (0, 0, 0), (255, 31, 0)], np.uint8)
    histogram = make_histogram(rgb)
    assert histogram.cells.tolist() == [0x000, 0xF10]
    assert histogram.counts.tolist() == [1, 3]
    assert histogram.rgb_sums.T.tolist() == [[0, 0, 0], [255 + 240 + 255, 16 + 31 + 31, 15]]


def test_a_cell_lies_where_its_colours_lie() -> None:
    points = cell_points()
    assert points.shape == (CELLS, 4)
    assert np.array_equal(points, np.rint(points))  # whole, so that sums are exact
    assert (points[:, 3] == 1).all()
    for cell in range(0, CELLS, 111):
        low = np.array([cell >> 8, cell >> 4 & 15, cell & 15]) << 4
        corners = srgb_to_lab(np.array([low, low | 15], np.uint8))[
            :, 0
        ]  # the darkest and the lightest colour
        assert corners[0] <= points[cell, 0] / STEPS <= corners[1]
