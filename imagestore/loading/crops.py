"""Parts of pictures: random crops as torchvision's RandomResizedCrop draws them, the middle, and the whole.

A draw is a function of the seed, the epoch and the key of the image alone (see image_keys.py). So neither the
order of the images, nor the number of workers, nor a cache changes it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from imagestore.loading.random_numbers import mix_counted, mix_images

TRIES = 10  # as torchvision's RandomResizedCrop has it, and the two ranges
AREA = (0.08, 1.0)  # share of the picture
RATIO = (3 / 4, 4 / 3)  # width / height
NUMBERS = 1 + 4 * TRIES  # for an image: the flip; then area, ratio, top and left of each try
MIDDLE = 7 / 8  # of the shorter side: 224 of 256 pixels, as networks are usually tested


class Box(NamedTuple):
    """A part of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def at(self, scale_y: float, scale_x: float, height: int, width: int) -> Box:
        """The same part in a picture of other height and width, at these scales; at least one pixel."""
        top, left = min(round(self.top * scale_y), height - 1), min(round(self.left * scale_x), width - 1)
        bottom = min(max(round((self.top + self.height) * scale_y), top + 1), height)
        right = min(max(round((self.left + self.width) * scale_x), left + 1), width)
        return Box(top, left, bottom - top, right - left)


def draw(seed: int, epoch: int, keys: np.ndarray) -> np.ndarray:
    """float64 (n, NUMBERS) from 0 to below 1, for images with these `keys`, uint64 (n,)."""
    mixed = mix_counted(mix_images(keys, seed, epoch), NUMBERS)
    return (mixed >> np.uint64(11)).astype(np.float64) / 2**53


def is_flipped(numbers: np.ndarray) -> bool:
    """Whether the picture is mirrored, by its numbers, float64 (NUMBERS,)."""
    return bool(numbers[0] < 0.5)


def random_box(numbers: np.ndarray, width: int, height: int) -> Box:
    """A random part of a picture, as torchvision's RandomResizedCrop chooses it."""
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    for area, ratio, y, x in numbers[1:].reshape(TRIES, 4).tolist():
        pixels = width * height * (AREA[0] + area * (AREA[1] - AREA[0]))
        aspect = math.exp(low + ratio * (high - low))
        w, h = round(math.sqrt(pixels * aspect)), round(math.sqrt(pixels / aspect))
        if 0 < w <= width and 0 < h <= height:
            return Box(int(y * (height - h + 1)), int(x * (width - w + 1)), h, w)
    w = min(width, max(round(height * RATIO[1]), 1))  # the middle, at the nearest ratio
    h = min(height, max(round(width / RATIO[0]), 1))
    return Box((height - h) // 2, (width - w) // 2, h, w)


def middle_box(width: int, height: int) -> Box:
    """The middle square of a picture, MIDDLE of its shorter side."""
    side = max(round(MIDDLE * min(width, height)), 1)
    return Box((height - side) // 2, (width - side) // 2, side, side)


def whole_box(width: int, height: int) -> Box:
    """All of a picture."""
    return Box(0, 0, height, width)
