"""colour/cielab.py: published values."""

from __future__ import annotations

import numpy as np
import pytest

from imagestore.colour.cielab import srgb_to_lab

# B. Lindbloom's CIE colour calculator: sRGB, D65.
PUBLISHED = {
    (255, 0, 0): (53.24, 80.09, 67.20),
    (0, 255, 0): (87.73, -86.18, 83.18),
    (0, 0, 255): (32.30, 79.19, -107.86),
}


def test_srgb_to_lab_agrees_with_published_values() -> None:
    lab = srgb_to_lab(np.array(list(PUBLISHED), np.uint8))
    for colour, expected in zip(lab, PUBLISHED.values(), strict=True):
        assert colour == pytest.approx(expected, abs=0.05)


def test_lab_is_kept_in_steps_of_a_64th() -> None:
    lab = srgb_to_lab(np.random.default_rng(1).integers(0, 256, (1000, 3), np.uint8))
    assert lab.dtype == np.float32
    assert np.array_equal(lab * 64, np.rint(lab * 64))
