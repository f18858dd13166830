"""Dropout that is drawn for each image from a number of its own.

torch draws dropout for a batch as it comes. So the same images in batches of another size, or spread over
several processes, would lose other values. Here, what an image loses depends on its number alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LOW_BITS = 2**24  # of a number, that make a float32 from 0 to below 1


class DropoutByImage(nn.Module):
    """As `torch.nn.Dropout`, for inputs (B, …): `numbers`, int64 (B,), decide what each image loses.

    Without numbers, torch's global generator draws.
    """

    def __init__(self, p: float, layer: int) -> None:
        """`layer` is the number of this dropout in its network: no two draw the same."""
        super().__init__()
        self.p, self.layer = p, layer
        self.numbers: Tensor | None = None

    def forward(self, values: Tensor) -> Tensor:
        """The values, a share `p` of them 0 and the others larger by 1 / (1 - p) while training."""
        if not self.training or self.numbers is None or not 0 < self.p < 1:
            return functional.dropout(values, self.p, self.training)
        place = torch.arange(values[0].numel(), device=values.device) + (self.layer << 32)
        numbers = self.numbers.repeat(len(values) // len(self.numbers))  # ImageNetwork repeats a single image
        mixed = _mixed(_mixed(numbers)[:, None] + _mixed(place))
        drawn = (mixed & (LOW_BITS - 1)).reshape(values.shape) / LOW_BITS
        return values * (drawn >= self.p) / (1 - self.p)


def draw_dropout_by_image(network: nn.Module) -> list[DropoutByImage]:
    """Put these layers in place of a network's `nn.Dropout`, and return them. The state dict is the same."""
    found: list[DropoutByImage] = []
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                found.append(DropoutByImage(child.p, len(found)))
                setattr(module, name, found[-1])
    return found


def _mixed(number: Tensor) -> Tensor:
    """int64: well mixed numbers, by the finaliser of SplitMix64 (Steele, Lea and Flood, 2014)."""
    number = number + -0x61C8864680B583EB
    number = (number ^ ((number >> 30) & 0x3FFFFFFFF)) * -0x40A7B892E31B1A47
    number = (number ^ ((number >> 27) & 0x1FFFFFFFFF)) * -0x6B2FB644ECCEEE15
    return number ^ ((number >> 31) & 0x1FFFFFFFF)
