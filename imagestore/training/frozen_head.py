"""The last layer of a frozen network: multinomial logistic regression on features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

DECAY = 1e-3  # of the squared weights, for each image
STEPS = 100  # of L-BFGS


def train_head(features: Tensor, labels: Tensor, weights: Tensor | None, seed: int) -> nn.Linear:
    """The layer for features, float32 (N, F), and labels, int64 (N,); `weights` are those of the labels."""
    torch.manual_seed(seed)
    mean, deviation = features.mean(0), features.std(0, correction=0) + 1e-6
    scaled = (features - mean) / deviation
    count = len(weights) if weights is not None else int(labels.max()) + 1
    layer = nn.Linear(features.shape[1], count)
    nn.init.zeros_(layer.weight)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = cross_entropy(layer(scaled), labels, weights) + DECAY * (layer.weight**2).sum()
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        layer.weight.div_(deviation)
        layer.bias.sub_(layer.weight @ mean)
    return layer
