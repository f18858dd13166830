"""What a network sees of a picture: a square of pixels, of the whole picture or of a part of it.

The part is chosen first, then only what it needs is decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from imagestore.decode.decode_image import decode_rgb_array
from imagestore.decode.plain_jpeg import decode_at_scale, plain_jpeg_size, scale_for, upper_part
from imagestore.loading.crops import MIDDLE, Box, is_flipped, middle_box, random_box, whole_box


@dataclass(frozen=True)
class View:
    """How a picture becomes a square.

    `plain` is the view of a picture that is not augmented: the whole picture squeezed into a square, or the
    square in its centre. `augment` is what changes it in training: nothing, mirroring half of the pictures,
    or random crops of which half are mirrored. `seed` decides the random numbers.
    """

    side: int  # pixels
    plain: Literal["whole", "centre"] = "whole"
    augment: Literal["none", "flip", "crop"] = "none"
    seed: int = 0

    @property
    def side_to_keep(self) -> int:
        """The side of the square of the whole picture that is enough to cut this view from, in pixels."""
        cuts = self.plain == "centre" or self.augment == "crop"
        return round(self.side / MIDDLE) if cuts else self.side

    def box(self, width: int, height: int, numbers: np.ndarray | None) -> Box:
        """The part of a picture that is seen.

        `numbers` is a row of crops.draw, float64 (NUMBERS,), or None for a view that is not augmented.
        """
        if self.sees_all(numbers):
            return whole_box(width, height)
        is_random = numbers is not None and self.augment == "crop"
        return random_box(numbers, width, height) if is_random else middle_box(width, height)

    def sees_all(self, numbers: np.ndarray | None) -> bool:
        """Whether all of a picture is seen."""
        return self.plain == "whole" and (numbers is None or self.augment != "crop")

    def is_mirrored(self, numbers: np.ndarray | None) -> bool:
        """Whether the picture is mirrored."""
        return numbers is not None and self.augment != "none" and is_flipped(numbers)


def decode_view(data: bytes, view: View, numbers: np.ndarray | None = None) -> np.ndarray:
    """uint8 (side, side, 3): the view of an encoded picture. Raises NotAnImage.

    A plain JPEG is decoded at the smallest scale at which the part that is seen is at least `side` pixels a
    side, and no further than the part reaches.
    """
    if size := plain_jpeg_size(data):
        box = view.box(*size, numbers)
        scale = scale_for((box.width, box.height), (view.side, view.side))
        if part := upper_part(data, size[1], box.top + box.height):
            size = (size[0], part[1])
        pixels = decode_at_scale(part[0] if part else data, size, scale, is_upper_part=part is not None)
        if pixels is not None:
            return cut(pixels, size, box, view.side, view.is_mirrored(numbers))
    pixels = decode_rgb_array(data, (view.side, view.side) if view.sees_all(numbers) else None)
    return cut_view(pixels, (pixels.shape[1], pixels.shape[0]), view, numbers)


def cut_view(
    pixels: np.ndarray, size: tuple[int, int], view: View, numbers: np.ndarray | None = None
) -> np.ndarray:
    """uint8 (side, side, 3): the view of a picture of `size` (width, height), whose pixels may be scaled.

    `pixels` is uint8 (H, W, 3).
    """
    return cut(pixels, size, view.box(*size, numbers), view.side, view.is_mirrored(numbers))


def cut(pixels: np.ndarray, size: tuple[int, int], box: Box, side: int, mirror: bool) -> np.ndarray:
    """uint8 (side, side, 3): `box` of a picture of `size` (width, height), whose pixels may be scaled.

    `pixels` is uint8 (H, W, 3).
    """
    height, width = pixels.shape[:2]
    box = box.at(height / size[1], width / size[0], height, width)
    square = resize(pixels[box.top : box.top + box.height, box.left : box.left + box.width], side)
    return as_tensor(square).flip(2).permute(1, 2, 0).numpy() if mirror else square


def resize(pixels: np.ndarray, side: int) -> np.ndarray:
    """uint8 (side, side, 3) of uint8 (H, W, 3): bilinear, and each pixel is the mean of an area."""
    if pixels.shape[:2] == (side, side):
        return pixels
    # So torch sees that the channels come last, and needs half of the time.
    batch = np.ascontiguousarray(pixels).reshape(1, *pixels.shape)
    image = torch.from_numpy(batch).permute(0, 3, 1, 2)
    square = interpolate(image, (side, side), mode="bilinear", antialias=True)[0]
    return square.permute(1, 2, 0).contiguous().numpy()


def as_tensor(square: np.ndarray) -> Tensor:
    """uint8 (3, side, side) of uint8 (side, side, 3). The memory is the same."""
    return torch.from_numpy(square).permute(2, 0, 1)
