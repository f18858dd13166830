"""What a network sees of a picture: a square of pixels, of the whole picture or of a part of it.

The part is chosen first, then only what it needs is decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

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


class JpegPart(NamedTuple):
    """The part of a plain JPEG that is seen, and what has to be decoded for it."""

    box: Box
    data: bytes  # the JPEG, or its upper part
    size: tuple[int, int]  # width and height that `data` claims
    scale: int
    is_upper_part: bool


class BegunView(NamedTuple):
    """A view whose part is chosen, and whose pixels are not decoded yet."""

    data: bytes
    view: View
    numbers: np.ndarray | None
    part: JpegPart | None  # None: Pillow decodes all of the picture


def decode_view(data: bytes, view: View, numbers: np.ndarray | None = None) -> np.ndarray:
    """uint8 (side, side, 3): the view of an encoded picture. Raises NotAnImage.

    A plain JPEG is decoded at the smallest scale at which the part that is seen is at least `side` pixels a
    side, and no further than the part reaches.
    """
    return finish_view(begin_view(data, view, numbers))


def begin_view(data: bytes, view: View, numbers: np.ndarray | None = None) -> BegunView:
    """The first step of `decode_view`, which takes little time.

    A thread that begins several views before it finishes the first needs 6 to 10 % less time for them: the
    Python of this step stays in the processor's caches, which each decoded picture fills anew.
    """
    size = plain_jpeg_size(data)
    part = size and _choose_part(data, size, view.box(*size, numbers), view.side)
    return BegunView(data, view, numbers, part)


def _choose_part(data: bytes, size: tuple[int, int], box: Box, side: int) -> JpegPart:
    scale = scale_for((box.width, box.height), (side, side))
    if upper := upper_part(data, size[1], box.top + box.height):
        return JpegPart(box, upper[0], (size[0], upper[1]), scale, is_upper_part=True)
    return JpegPart(box, data, size, scale, is_upper_part=False)


def finish_view(begun: BegunView) -> np.ndarray:
    """The second step of `decode_view`. Raises NotAnImage."""
    data, view, numbers, part = begun
    if part:
        pixels = decode_at_scale(part.data, part.size, part.scale, is_upper_part=part.is_upper_part)
        if pixels is not None:
            return cut(pixels, part.size, part.box, view.side, view.is_mirrored(numbers))
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
    return as_tensor(square).flip(2).numpy().transpose(1, 2, 0) if mirror else square


def resize(pixels: np.ndarray, side: int) -> np.ndarray:
    """uint8 (side, side, 3) of uint8 (H, W, 3): bilinear, and each pixel is the mean of an area."""
    if pixels.shape[:2] == (side, side):
        return pixels
    # So torch sees that the channels come last, and needs half of the time.
    batch = np.ascontiguousarray(pixels[None]).transpose(0, 3, 1, 2)
    square = interpolate(torch.from_numpy(batch), (side, side), mode="bilinear", antialias=True)
    return np.ascontiguousarray(square.numpy()[0].transpose(1, 2, 0))


def as_tensor(square: np.ndarray) -> Tensor:
    """uint8 (3, side, side) of uint8 (side, side, 3). The memory is the same."""
    return torch.from_numpy(square.transpose(2, 0, 1))


def as_tv_tensor(pixels: np.ndarray) -> Tensor:
    """uint8 (3, H, W), torchvision's tv_tensors.Image, of uint8 (H, W, 3). The memory is the same."""
    from torchvision.tv_tensors import Image as TensorImage  # slow to import, and a training here needs none

    return TensorImage(as_tensor(pixels))
