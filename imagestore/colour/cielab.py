"""From sRGB to CIELAB."""

from __future__ import annotations

import functools

import numpy as np

# IEC 61966-2-1, each row divided by the white point D65.
LINEAR_TO_XYZ = np.array(
    [
        [0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883],
    ]
)


def srgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB (D65) of sRGB colours: uint8 (n, 3) to float32 (n, 3), in steps of 1/64."""
    return (np.rint(linear_to_lab(linear_levels()[rgb]) * 64) / 64).astype(np.float32)


def linear_to_lab(linear: np.ndarray) -> np.ndarray:
    """CIELAB (D65, CIE 15:2004) of linear RGB, 0 to 1: float64 (n, 3) to float64 (n, 3)."""
    xyz = linear @ LINEAR_TO_XYZ.T
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), xyz * (841 / 108) + 4 / 29)
    lab = np.empty_like(f)
    lab[:, 0] = 116 * f[:, 1] - 16
    lab[:, 1] = 500 * (f[:, 0] - f[:, 1])
    lab[:, 2] = 200 * (f[:, 1] - f[:, 2])
    return lab


@functools.cache
def linear_levels() -> np.ndarray:
    """float64 (256,): each sRGB level as linear light, 0 to 1 (IEC 61966-2-1)."""
    level = np.arange(256) / 255
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
