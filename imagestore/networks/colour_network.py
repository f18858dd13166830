"""The network that learns the labels of images from their colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from imagestore.networks.fast_histogram import fast_histogram

OLD_VALUES = ("side", "labels_crc32")  # of the pictures and the labels, in state dicts of earlier versions
SHARPNESS = 20.0  # per squared unit of Lab / 100: how clearly a pixel belongs to its nearest colour
LEVELS = 12  # of red, green and blue each, among which the first colours are chosen
XYZ_FROM_RGB = (  # linear sRGB -> XYZ relative to the white point D65 (IEC 61966-2-1)
    (0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883),
)


class ColourNet(nn.Module):
    """A histogram over learned colours, and a small perceptron that predicts a label from it.

    Each pixel is divided among `colours` colours in Lab, by nearness: softmax over
    -SHARPNESS * |pixel - colour|². The term |pixel|² cancels, so one linear layer computes the exponent. The
    mean over the pixels is the histogram. Colours, sharpness and perceptron are all learned.
    """

    def __init__(self, label_count: int, colours: int = 64, hidden: int = 128) -> None:
        super().__init__()
        self.nearness = nn.Linear(3, colours)
        self.head = nn.Sequential(
            nn.LayerNorm(colours),
            nn.Dropout(0.2),
            nn.Linear(colours, hidden),
            nn.GELU(),
            nn.Dropout(0.2),
            nn.Linear(hidden, label_count),
        )
        with torch.no_grad():
            initial = spread_colours(colours)  # (colours, 3)
            self.nearness.weight.copy_(2 * SHARPNESS * initial)
            self.nearness.bias.copy_(-SHARPNESS * (initial**2).sum(1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32 (B, labels), of uint8 images (B, 3, H, W)."""
        if not torch.is_grad_enabled() and images.device.type == "cpu":
            return self.head(fast_histogram(images, torch.tensor(XYZ_FROM_RGB), self.nearness))
        pixels = srgb_to_lab(images).flatten(2).transpose(1, 2)  # (B, H·W, 3)
        histogram = self.nearness(pixels).softmax(-1).mean(1)  # (B, colours)
        return self.head(histogram)

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """As in torch. Files of earlier versions hold two more values, which are no weights."""
        weights = {name: value for name, value in state_dict.items() if name not in OLD_VALUES}
        return super().load_state_dict(weights, *args, **kwargs)


def srgb_to_lab(images: Tensor) -> Tensor:
    """CIELAB (CIE 15, white D65) divided by 100, float32 (B, 3, H, W), of uint8 sRGB (B, 3, H, W)."""
    v = images.float() / 255
    linear = torch.where(v > 0.04045, ((v + 0.055) / 1.055) ** 2.4, v / 12.92)
    matrix = torch.tensor(XYZ_FROM_RGB, device=images.device)
    xyz = torch.einsum("ij,bjhw->bihw", matrix, linear)
    f = torch.where(xyz > (6 / 29) ** 3, xyz.clamp(min=1e-6) ** (1 / 3), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = f.unbind(1)
    return torch.stack([1.16 * y - 0.16, 5 * (x - y), 2 * (y - z)], 1)


def spread_colours(count: int) -> Tensor:
    """`count` sRGB colours far from each other, as Lab / 100, float32 (count, 3); the same at each call.

    Each colour is the one farthest from all before it, among a grid of sRGB colours. Raises ValueError if
    the grid has not so many.
    """
    if not 1 <= count <= LEVELS**3:
        raise ValueError(f"{count} colours are not from 1 to {LEVELS**3:,}")
    levels = torch.linspace(0, 255, LEVELS, device="cpu").to(torch.uint8)
    grid = torch.cartesian_prod(levels, levels, levels).reshape(-1, 3, 1, 1)
    candidates = srgb_to_lab(grid).reshape(-1, 3)
    chosen = [candidates[0]]
    distance = ((candidates - chosen[0]) ** 2).sum(1)
    while len(chosen) < count:
        chosen.append(candidates[distance.argmax()])
        distance = torch.minimum(distance, ((candidates - chosen[-1]) ** 2).sum(1))
    return torch.stack(chosen)
