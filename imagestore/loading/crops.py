"""Random crops of pictures: drawn first, then only what they need is decoded.

A draw is a function of the seed, the epoch and the image alone. So neither the order of the images, nor the
number of workers, nor a cache changes it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from imagestore.decode.decode_image import decode_rgb_array
from imagestore.decode.plain_jpeg import decode_at_scale, plain_jpeg_size, scale_for, upper_part

TRIES = 10  # as torchvision's RandomResizedCrop has it, and the two ranges
AREA = (0.08, 1.0)  # share of the picture
RATIO = (3 / 4, 4 / 3)  # width / height
NUMBERS = 1 + 4 * TRIES  # for an image: the flip; then area, ratio, top and left of each try


class Box(NamedTuple):
    """A part of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def at(self, scale_y: float, scale_x: float, height: int, width: int) -> Box:
        """The same part in a picture of other height and width, at these scales; at least one pixel."""
        top, left = min(int(self.top * scale_y), height - 1), min(int(self.left * scale_x), width - 1)
        bottom = min(max(round((self.top + self.height) * scale_y), top + 1), height)
        right = min(max(round((self.left + self.width) * scale_x), left + 1), width)
        return Box(top, left, bottom - top, right - left)


# ----- draws -----


def draw(seed: int, epoch: int, images: np.ndarray) -> np.ndarray:
    """float64 (n, NUMBERS) from 0 to below 1, for `images`, int64 (n,).

    The counter (seed, epoch, image, number) is mixed by the finaliser of SplitMix64 (Steele, Lea and Flood,
    2014).
    """
    with np.errstate(over="ignore"):
        stream = _mix(_mix(np.array([seed % 2**64], np.uint64)) + np.uint64(epoch % 2**64))
        image = _mix(stream + images.astype(np.uint64))[:, None]
        mixed = _mix(image + np.arange(NUMBERS, dtype=np.uint64)[None])
    return (mixed >> np.uint64(11)).astype(np.float64) / 2**53


def _mix(number: np.ndarray) -> np.ndarray:
    number = number + np.uint64(0x9E3779B97F4A7C15)
    number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return number ^ (number >> np.uint64(31))


def is_flipped(numbers: np.ndarray) -> bool:
    """Whether the picture is mirrored, by its numbers, float64 (NUMBERS,)."""
    return bool(numbers[0] < 0.5)


def choose_box(numbers: np.ndarray, width: int, height: int) -> Box:
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


# ----- pixels -----


def decode_crop(data: bytes, numbers: np.ndarray, side: int) -> Tensor:
    """uint8 (3, side, side): the crop of an encoded picture, mirrored or not. Raises NotAnImage.

    A plain JPEG is decoded at the smallest scale at which the crop is at least `side` pixels a side, and no
    further than the crop reaches.
    """
    if size := plain_jpeg_size(data):
        box = choose_box(numbers, *size)
        scale = scale_for((box.width, box.height), (side, side))
        if part := upper_part(data, size[1], box.top + box.height):
            size = (size[0], part[1])
        pixels = decode_at_scale(part[0] if part else data, size, scale, is_upper_part=part is not None)
        if pixels is not None:
            return cut(pixels, size, box, side, is_flipped(numbers))
    pixels = decode_rgb_array(data)
    size = (pixels.shape[1], pixels.shape[0])
    return cut(pixels, size, choose_box(numbers, *size), side, is_flipped(numbers))


def cut(pixels: np.ndarray, size: tuple[int, int], box: Box, side: int, flip: bool) -> Tensor:
    """uint8 (3, side, side): `box` of a picture of `size` (width, height), whose pixels may be scaled.

    `pixels` is uint8 (H, W, 3).
    """
    height, width = pixels.shape[:2]
    box = box.at(height / size[1], width / size[0], height, width)
    part = pixels[box.top : box.top + box.height, box.left : box.left + box.width]
    image = torch.from_numpy(part).permute(2, 0, 1)[None]
    image = interpolate(image, (side, side), mode="bilinear", antialias=True)[0]
    return image.flip(2) if flip else image
