"""A residual network for small pictures, of 32 to 128 pixels a side.

It is built like the ResNets for CIFAR-10 (K. He et al., 2015), with one block in each of four stages, as in
ResNet-10. Larger pictures are halved once or twice before the blocks, so that a block sees 24 to 48 pixels
a side, and a step costs about the same for any size. The weights fit any size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

STAGES = 4
FROM_SIDE_HALVED, FROM_SIDE_QUARTERED = 48, 96  # pixels


class SmallResNet(nn.Module):
    """A first convolution, four residual blocks with 1, 2, 4 and 8 times `width` channels, and a head."""

    def __init__(self, label_count: int, side: int, width: int = 32) -> None:
        super().__init__()
        self.stem = _convolution(3, width, stride=2 if side >= FROM_SIDE_HALVED else 1)
        self.pool = nn.MaxPool2d(3, 2, padding=1) if side >= FROM_SIDE_QUARTERED else nn.Identity()
        widths = [width << i for i in range(STAGES)]
        before = [width, *widths[:-1]]
        self.blocks = nn.Sequential(
            *(ResidualBlock(before[i], widths[i], stride=1 if i == 0 else 2) for i in range(STAGES))
        )
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(widths[-1], label_count)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32 (B, labels), of normalised pictures, float32 (B, 3, H, W)."""
        maps = self.blocks(self.pool(torch.relu(self.stem(images))))  # (B, 8·width, 3 to 6, 3 to 6)
        return self.head(self.dropout(maps.mean((2, 3))))


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(channels_in, channels, stride)
        self.second = _convolution(channels, channels)
        is_same = channels_in == channels and stride == 1
        self.shortcut = nn.Identity() if is_same else _shortcut(channels_in, channels, stride)
        nn.init.zeros_(self.second[1].weight)  # at first, each block passes its input on (P. Goyal, 2017)

    def forward(self, maps: Tensor) -> Tensor:
        """float32 (B, channels_in, H, W) to (B, channels, H/stride, W/stride)."""
        return torch.relu(self.shortcut(maps) + self.second(torch.relu(self.first(maps))))


def _convolution(channels_in: int, channels: int, stride: int = 1) -> nn.Sequential:
    """A convolution of 3 by 3 pixels and its normalisation."""
    convolution = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels))


def _shortcut(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    """The mean of the pixels that a step covers, with the block's channels (T. He et al., 2018)."""
    return nn.Sequential(
        nn.AvgPool2d(stride, ceil_mode=True),
        nn.Conv2d(channels_in, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    )
