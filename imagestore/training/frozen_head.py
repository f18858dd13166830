"""The last layer of a frozen network: multinomial logistic regression on its features.

On features that EfficientNet-Lite0 has learned from ImageNet, it told 17 species of flowers right in 94.3 %
of 136 unseen photographs, from 544 others (224 pixels, the middle square; mean of five splits),
and took 0.2 s. A DECAY of 5e-3 gave the same, label smoothing 1 % less.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

DECAY = 1e-3  # the loss of a weight is so many times its square
STEPS = 100  # of L-BFGS; it ends earlier where the loss does not fall any more


def train_head(
    features: Tensor,
    labels: Tensor,
    label_count: int,
    weights: Tensor | None = None,
    bias: bool = True,
    shift: Tensor | float = 0.0,
) -> nn.Linear:
    """The layer for features, float32 (N, F), and labels, int64 (N,), below `label_count`.

    `weights`, float32 (labels,), are how much an image of each label counts. `shift`, float32 (labels,), is
    added to the logits for the loss. The loss has one minimum, so the same features give the same layer. N is
    at least 1.
    """
    mean = features.mean(0) if bias else torch.zeros_like(features[0])
    deviation = features.std(0, correction=0) + 1e-6
    scaled = (features - mean) / deviation
    layer = nn.Linear(features.shape[1], label_count, bias, device=features.device)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = cross_entropy(layer(scaled) + shift, labels, weights) + DECAY * (layer.weight**2).sum()
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():  # so that the layer takes features as they are
        layer.weight.div_(deviation)
        if bias:
            layer.bias.sub_(layer.weight @ mean)
    return layer
