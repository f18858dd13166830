"""Changes to whole batches of pictures, on the device of the network."""

from __future__ import annotations

import torch
from torch import Tensor

JITTER = 0.4  # how far brightness, contrast and saturation may be from 1
LARGEST_HOLE = 0.4  # of a side
NUMBERS = 6  # for an image: brightness, contrast, saturation; the side of the hole, and its place


def change_strongly(images: Tensor, drawn: Tensor) -> Tensor:
    """Images, uint8 (B, 3, H, W), in other colours and with a grey hole, as `drawn` says.

    `drawn` is float32 (B, NUMBERS), from 0 to below 1. Colours change as torchvision's ColorJitter changes
    them; the hole is that of random erasing (Zhong et al., 2020).
    """
    pixels = images.float()
    brightness, contrast, saturation = (1 + JITTER * (2 * drawn[:, :3] - 1)).T[..., None, None, None]
    pixels = (pixels * brightness).clamp(0, 255)
    grey = _grey(pixels)
    pixels = (contrast * pixels + (1 - contrast) * grey.mean((2, 3), keepdim=True)).clamp(0, 255)
    pixels = (saturation * pixels + (1 - saturation) * _grey(pixels)).clamp(0, 255)
    return torch.where(_hole(drawn[:, 3:], *images.shape[2:]), 127, pixels).to(torch.uint8)


def _grey(pixels: Tensor) -> Tensor:
    """(B, 1, H, W): the luma of RGB (ITU-R BT.601)."""
    red, green, blue = pixels.unbind(1)
    return (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]


def _hole(drawn: Tensor, height: int, width: int) -> Tensor:
    """bool (B, 1, H, W): a rectangle in each image, of a random size and place."""
    share, y, x = (LARGEST_HOLE * drawn[:, 0]), drawn[:, 1], drawn[:, 2]
    rows = _between(height, y, share, drawn.device)[:, None, :, None]
    return rows & _between(width, x, share, drawn.device)[:, None, None, :]


def _between(length: int, place: Tensor, share: Tensor, device: torch.device) -> Tensor:
    """bool (B, length): a run of `share` of the length, at `place`."""
    first = place * (1 - share)
    points = (torch.arange(length, device=device) + 0.5) / length
    return (points >= first[:, None]) & (points < (first + share)[:, None])
