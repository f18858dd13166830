"""The histogram of the colour network without gradients, on the CPU: several times as fast, and as exact.

`ColourNet` says what the histogram is. Here a few pictures at a time stay in the processor's cache, the sRGB
curve is a table, and the softmax is written out, because exp of many numbers at once is fast.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

PIXELS_AT_ONCE = 1 << 13  # whose Lab is computed
NUMBERS_AT_ONCE = 1 << 17  # of pixels and colours, float32: 512 KB, which the cache of one core holds
LEAST_SUM, LARGEST_SUM = 1e-30, 1e30  # of exponentials, within which float32 is exact enough
LEVELS = torch.arange(256) / 255
LINEAR = torch.where(LEVELS > 0.04045, ((LEVELS + 0.055) / 1.055) ** 2.4, LEVELS / 12.92)  # float32 (256,)
LAB_FROM_F = ((0.0, 1.16, 0.0), (5.0, -5.0, 0.0), (0.0, 2.0, -2.0))  # CIE 15; divided by 100
LAB_OFFSET = (-0.16, 0.0, 0.0)


def fast_histogram(images: Tensor, xyz_from_rgb: Tensor, nearness: nn.Linear) -> Tensor:
    """float32 (B, colours): the mean over the pixels of softmax(nearness(Lab / 100)).

    `images` is uint8 (B, 3, H, W); `xyz_from_rgb` is float32 (3, 3); `nearness` has 3 inputs.
    """
    weight = nearness.weight @ torch.tensor(LAB_FROM_F)  # float32 (colours, 3): for f in place of Lab
    bias = nearness.bias + nearness.weight @ torch.tensor(LAB_OFFSET)
    if not len(images):
        return torch.empty(0, len(bias))
    at_once = max(1, PIXELS_AT_ONCE // (images.shape[2] * images.shape[3]))
    parts = [_histogram(_f_of_xyz(part, xyz_from_rgb), weight, bias) for part in images.split(at_once)]
    return torch.cat(parts)


def _histogram(f: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """float32 (B, colours) of f, float32 (B, pixels, 3)."""
    count, pixels, _ = f.shape
    rows = min(max(1, NUMBERS_AT_ONCE // len(bias)), count * pixels)  # of f at once
    images_at_once, pixels_at_once = max(1, rows // pixels), min(rows, pixels)
    memory = torch.empty(images_at_once * pixels_at_once, len(bias))  # used again: new memory costs more
    found, sums = torch.zeros(count, 1, len(bias)), []
    for start in range(0, count, images_at_once):
        histograms = found[start : start + images_at_once]  # (b, 1, colours)
        for part in f[start : start + images_at_once].split(pixels_at_once, 1):  # (b, p, 3)
            exponents = memory[: part.shape[0] * part.shape[1]]
            powers = torch.addmm(bias, part.reshape(-1, 3), weight.T, out=exponents).exp_()
            sums.append(powers.sum(1))
            shares = sums[-1].reciprocal().view(len(part), 1, -1)
            histograms.baddbmm_(shares, powers.view(len(part), -1, len(bias)))
    extremes = torch.aminmax(torch.cat(sums))
    if not LEAST_SUM < float(extremes.min) <= float(extremes.max) < LARGEST_SUM:  # also if one is NaN
        return (f @ weight.T + bias).softmax(2).mean(1)
    return found[:, 0] / pixels


def _f_of_xyz(images: Tensor, xyz_from_rgb: Tensor) -> Tensor:
    """float32 (B, H·W, 3): the roots of X, Y and Z that CIELAB is made of, of uint8 sRGB (B, 3, H, W)."""
    levels = images.permute(0, 2, 3, 1).reshape(-1).int()
    xyz = LINEAR.index_select(0, levels).view(-1, 3) @ xyz_from_rgb.T
    roots = xyz.clamp(min=1e-6).log_().div_(3).exp_()
    f = torch.where(xyz > (6 / 29) ** 3, roots, xyz * ((29 / 6) ** 2 / 3) + 4 / 29)
    return f.view(len(images), -1, 3)
