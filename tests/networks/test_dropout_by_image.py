"""Dropout that depends on the image alone."""

from __future__ import annotations

import torch
from torch import nn

from imagestore.networks.dropout_by_image import DropoutByImage, draw_dropout_by_image

NUMBERS = torch.arange(500, dtype=torch.int64) * 2**40 - 2**48


def test_what_an_image_loses_does_not_depend_on_its_batch() -> None:
    layer = DropoutByImage(0.3, 0)
    values = torch.randn(500, 7)
    layer.numbers = NUMBERS
    whole = layer(values)
    parts = []
    for part in (slice(0, 90), slice(90, 91), slice(91, 500)):
        layer.numbers = NUMBERS[part]
        parts.append(layer(values[part]))
    assert torch.equal(torch.cat(parts), whole)


def test_the_share_and_the_mean_are_those_of_dropout() -> None:
    layer = DropoutByImage(0.3, 0)
    layer.numbers = NUMBERS
    lost = layer(torch.ones(500, 40, 5))
    assert abs((lost == 0).float().mean() - 0.3) < 0.01
    assert abs(lost.mean() - 1) < 0.02
    assert torch.isclose(lost.max(), torch.tensor(1 / 0.7))
    columns = (lost == 0).float().flatten(1)  # neither images nor places lose the same
    assert (columns.mean(0) - 0.3).abs().max() < 0.12
    assert abs(torch.corrcoef(columns.T[:2])[0, 1]) < 0.15


def test_two_layers_lose_different_values() -> None:
    network = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.ReLU(), nn.Dropout(0.5)))
    layers = draw_dropout_by_image(network)
    assert [layer.layer for layer in layers] == [0, 1]
    for layer in layers:
        layer.numbers = NUMBERS
    lost = [layer(torch.ones(500, 8)) == 0 for layer in layers]
    assert 0.4 < (lost[0] == lost[1]).float().mean() < 0.6


def test_nothing_is_lost_in_evaluation() -> None:
    layer = DropoutByImage(0.9, 0).eval()
    layer.numbers = NUMBERS[:3]
    values = torch.randn(3, 5)
    assert torch.equal(layer(values), values)
