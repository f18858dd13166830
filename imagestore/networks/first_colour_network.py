"""The colour network of the first version, whose weights and checkpoints still load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from imagestore.networks.colour_network import make_head, spread_colours, srgb_to_lab

OLD_VALUES = ("side", "labels_crc32")  # of the pictures and the labels, in its state dicts
SHARPNESS = 20.0  # per squared unit of Lab / 100: how clearly a pixel belongs to its nearest colour


class FirstColourNet(nn.Module):
    """A histogram over learned colours, and a small perceptron that predicts a label from it.

    Each pixel is divided among `colours` colours in Lab, by nearness: softmax over
    -SHARPNESS * |pixel - colour|². The term |pixel|² cancels, so one linear layer computes the exponent. The
    mean over the pixels is the histogram. Colours, sharpness and perceptron are all learned.
    """

    def __init__(self, label_count: int, colours: int = 64, hidden: int = 128) -> None:
        super().__init__()
        self.nearness = nn.Linear(3, colours)
        self.head = make_head(colours, hidden, label_count, dropout=(0.2, 0.2))
        with torch.no_grad():
            initial = spread_colours(colours)  # (colours, 3)
            self.nearness.weight.copy_(2 * SHARPNESS * initial)
            self.nearness.bias.copy_(-SHARPNESS * (initial**2).sum(1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32 (B, labels), of uint8 images (B, 3, H, W)."""
        pixels = srgb_to_lab(images).flatten(2).transpose(1, 2)  # (B, H·W, 3)
        histogram = self.nearness(pixels).softmax(-1).mean(1)  # (B, colours)
        return self.head(histogram)

    def use_head_alone(self) -> None:
        """The logits are those of the head, so nothing is left out."""

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """As in torch. Files of earlier versions hold two more values, which are no weights."""
        weights = {name: value for name, value in state_dict.items() if name not in OLD_VALUES}
        return super().load_state_dict(weights, *args, **kwargs)
