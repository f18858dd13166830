"""The network that learns colour labels, the device it runs on, and the files it is kept in.

Used by train_model.py and classify.py. A weights file is a plain state dict; everything needed to build
the network again (how many labels, colours and hidden units, the side of its pictures, a checksum of
the labels' names) is read from it. Loading never unpickles code (`weights_only=True`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from imagestore.training.labels_file import labels_crc32

SHARPNESS = 20.0  # of the assignment of a pixel to colours, per squared unit of Lab / 100


XYZ_FROM_RGB = (  # linear sRGB -> XYZ relative to the white point D65 (IEC 61966-2-1)
    (0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883),
)


def srgb_to_lab(images: Tensor) -> Tensor:
    """CIELAB (CIE 15, white D65) divided by 100, float32 (B, 3, H, W), of uint8 sRGB (B, 3, H, W)."""
    v = images.float() / 255
    linear = torch.where(v > 0.04045, ((v + 0.055) / 1.055) ** 2.4, v / 12.92)
    matrix = torch.tensor(XYZ_FROM_RGB, device=images.device)
    xyz = torch.einsum("ij,bjhw->bihw", matrix, linear)
    f = torch.where(xyz > (6 / 29) ** 3, xyz.clamp(min=1e-6) ** (1 / 3), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = f.unbind(1)
    return torch.stack([1.16 * y - 0.16, 5 * (x - y), 2 * (y - z)], 1)


class ColourNet(nn.Module):
    """A histogram over learned colours, and a small perceptron that reads a label from it.

    Each pixel is shared out among `colours` places in Lab, by nearness: softmax over
    -SHARPNESS * |pixel - place|², whose |pixel|² cancels, so that one linear layer computes it. The mean
    over the pixels is the histogram. Places, sharpness and perceptron are all learned.
    """

    def __init__(self, labels: Sequence[str], side: int, colours: int = 64, hidden: int = 128) -> None:
        """`side` is that of the square pictures the network is trained on, in pixels."""
        super().__init__()
        self.nearness = nn.Linear(3, colours)
        self.head = nn.Sequential(
            nn.LayerNorm(colours),
            nn.Dropout(0.2),
            nn.Linear(colours, hidden),
            nn.GELU(),
            nn.Dropout(0.2),
            nn.Linear(hidden, len(labels)),
        )
        # Kept in the state dict, so that a weights file says what pictures and labels it is for.
        self.register_buffer("side", torch.tensor(side))
        self.register_buffer("labels_crc32", torch.tensor(labels_crc32(labels)))
        with torch.no_grad():
            places = spread_colours(colours)
            self.nearness.weight.copy_(2 * SHARPNESS * places)
            self.nearness.bias.copy_(-SHARPNESS * (places**2).sum(1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32 (B, labels), of uint8 images (B, 3, H, W)."""
        pixels = srgb_to_lab(images).flatten(2).transpose(1, 2)  # (B, H·W, 3)
        histogram = self.nearness(pixels).softmax(-1).mean(1)  # (B, colours)
        return self.head(histogram)


def spread_colours(count: int) -> Tensor:
    """`count` sRGB colours far from each other, as Lab / 100, float32 (count, 3); always the same ones."""
    level = torch.linspace(0, 255, 12).to(torch.uint8)
    grid = torch.cartesian_prod(level, level, level).reshape(-1, 3, 1, 1)
    candidates = srgb_to_lab(grid).reshape(-1, 3)
    chosen = [candidates[0]]
    distance = ((candidates - chosen[0]) ** 2).sum(1)
    while len(chosen) < count:
        chosen.append(candidates[distance.argmax()])
        distance = torch.minimum(distance, ((candidates - chosen[-1]) ** 2).sum(1))
    return torch.stack(chosen)


def thin_out(images: Tensor) -> Tensor:
    """Every second row and column of a batch, from a random corner: other pixels of the same picture.

    The one augmentation that says something new to a histogram (mirroring does not change it, other
    colours would be another label); it also takes a quarter of the time. Uses torch's global generator.
    """
    top, left = torch.randint(2, (2,)).tolist()
    return images[:, :, top::2, left::2]
