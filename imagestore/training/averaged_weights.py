"""The moving average of a network's weights (--ema): validated and written in place of the weights."""

from __future__ import annotations

from itertools import compress

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


class MovingAverage(AveragedModel):
    """A copy of a network that `update_parameters(network)` moves towards the network's weights.

    In the first steps the average moves faster, as `min(decay, (1 + steps) / (10 + steps))` has it
    (TensorFlow's ExponentialMovingAverage), so that it forgets the random weights of the beginning.

    The number of steps stays on the processor. AveragedModel sends it to the GPU, and so waits in each step
    for all the work that the GPU still has to do.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__(network, use_buffers=True)
        self.decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take one step towards the weights and the buffers of `model`, which has the same layers."""
        steps = int(self.n_averaged)
        share = 1 - min(self.decay, (1 + steps) / (10 + steps))  # of the new weights
        averages, weights = (list(own.state_dict().values()) for own in (self.module, model))  # no constants
        moving = [steps > 0 and average.is_floating_point() for average in averages]
        for average, new, moves in zip(averages, weights, moving, strict=True):
            if not moves:
                average.copy_(new)
        if any(moving):
            torch._foreach_lerp_([*compress(averages, moving)], [*compress(weights, moving)], share)
        self.n_averaged += 1
