"""The plain fully connected network: all pixels in a row, hidden layers, and a head."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


def make_mlp(label_count: int, side: int, hidden: int = 256, layers: int = 2) -> nn.Sequential:
    """float32 (B, 3, side, side) to logits (B, labels), by `layers` layers of `hidden` units with ReLU.

    Each hidden layer has half the units of the one before it. Raises ValueError unless there are 1 or 2.
    """
    if layers not in (1, 2):
        raise ValueError(f"{layers} hidden layers are not 1 or 2")
    widths = [3 * side * side, *(max(1, hidden >> i) for i in range(layers))]
    parts: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for i in range(layers):
        parts[f"hidden{i + 1}"] = nn.Linear(widths[i], widths[i + 1])
        parts[f"relu{i + 1}"] = nn.ReLU()
    parts["head"] = nn.Linear(widths[-1], label_count)
    return nn.Sequential(parts)
