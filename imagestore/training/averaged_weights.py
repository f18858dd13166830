"""The moving average of a network's weights (--ema): validated and written in place of the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def average_weights(network: nn.Module, decay: float) -> AveragedModel:
    """A copy of the network whose `update_parameters(network)` moves it towards the network's weights.

    In the first steps the average moves faster, as `min(decay, (1 + steps) / (10 + steps))` has it
    (TensorFlow's ExponentialMovingAverage), so that it forgets the random weights of the beginning.
    """

    def move(average: Tensor, weights: Tensor, steps: Tensor) -> Tensor:
        rate = min(decay, (1 + int(steps)) / (10 + int(steps)))
        return torch.lerp(average, weights, 1 - rate) if average.is_floating_point() else weights

    return AveragedModel(network, avg_fn=move, use_buffers=True)
