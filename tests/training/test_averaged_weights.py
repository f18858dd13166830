"""The moving average of weights."""

from __future__ import annotations

import torch
from torch import nn

from imagestore.training.averaged_weights import MovingAverage


def test_the_average_follows_the_weights() -> None:
    """It forgets the first weights within some steps, and later moves as slowly as the decay says."""
    network = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    average = MovingAverage(network, 0.9)
    nn.init.constant_(network[0].weight, 1.0)
    network[1].running_mean.fill_(1.0)
    for _ in range(200):
        average.update_parameters(network)
    assert abs(average.module[0].weight.item() - 1) < 1e-5
    assert abs(average.module[1].running_mean.item() - 1) < 1e-5
    nn.init.constant_(network[0].weight, 2.0)
    average.update_parameters(network)
    assert abs(average.module[0].weight.item() - 1.1) < 1e-4


def test_the_first_steps_count_more() -> None:
    network = nn.Linear(1, 1, bias=False)
    average = MovingAverage(network, 0.999)
    for step in range(1, 31):
        nn.init.constant_(network.weight, float(step))
        average.update_parameters(network)
    assert 20 < average.module.weight.item() < 30


def test_what_is_no_part_of_the_state_stays_as_it_is() -> None:
    """A buffer that the state dict leaves out is a constant."""
    network = nn.Linear(1, 1)
    network.register_buffer("constant", torch.ones(3), persistent=False)
    average = MovingAverage(network, 0.5)
    network.constant.fill_(2.0)
    average.update_parameters(network)
    average.update_parameters(network)
    assert average.module.constant.tolist() == [1, 1, 1]
