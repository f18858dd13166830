"""The colour network: its colours, its cells, its invariances."""

from __future__ import annotations

import pytest
import torch

from imagestore.networks.colour_network import (
    ColourNet,
    count_cells,
    divide_among,
    lab_of_cells,
    spread_colours,
    srgb_to_lab,
)


@pytest.mark.parametrize(
    ("rgb", "lab"),  # from B. Lindbloom's calculator, brucelindbloom.com, sRGB and D65
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0, 0)),
        ((2, 2, 2), (0.55, 0, 0)),
    ],
)
def test_srgb_becomes_cielab(rgb: tuple[int, int, int], lab: tuple[float, float, float]) -> None:
    image = torch.tensor(rgb, dtype=torch.uint8).reshape(1, 3, 1, 1)
    result = 100 * srgb_to_lab(image)[0, :, 0, 0]
    assert torch.allclose(result, torch.tensor(lab, dtype=torch.float32), atol=0.06)


def test_the_network_sees_colours_but_not_positions() -> None:
    """Pixels in another order give the same logits. Other colours give other logits."""
    torch.manual_seed(1)
    network = ColourNet(label_count=3).eval()
    images = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    shuffled = images.flatten(2)[:, :, torch.randperm(64)].reshape(5, 3, 8, 8)
    assert torch.allclose(network(images), network(shuffled), atol=1e-5)
    assert not torch.allclose(network(images), network(255 - images), atol=1e-2)


def test_the_initial_colours_are_far_apart() -> None:
    """A picture of one such colour falls into that colour's bin, because the softmax is of distances."""
    colours = spread_colours(192)
    distance = torch.cdist(colours, colours) + torch.eye(192)
    assert distance.min() > 0.05
    shares = divide_among(colours, colours)
    assert (shares.argmax(1) == torch.arange(192)).all()
    assert torch.allclose(shares.sum(1), torch.ones(192))


def test_pixels_are_counted_by_cell() -> None:
    """A cell is the four high bits of red, green and blue."""
    images = torch.tensor([[[15, 16]], [[240, 255]], [[0, 0]]], dtype=torch.uint8)[None].repeat(2, 1, 1, 1)
    images[1, 2] = 128
    counts = count_cells(images)
    assert counts.shape == (2, 4096)
    assert counts.nonzero().tolist() == [[0, 0x0F0], [0, 0x1F0], [1, 0x0F8], [1, 0x1F8]]
    middle = 100 * lab_of_cells()[0x0F8]
    rgb = torch.tensor([8, 248, 136], dtype=torch.uint8).reshape(1, 3, 1, 1)
    assert torch.allclose(middle, 100 * srgb_to_lab(rgb).flatten())


def test_gradients_reach_every_weight_and_are_finite() -> None:
    """Also of a picture of one colour, whose softmax is as sharp as can be."""
    network = ColourNet(label_count=3)
    images = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    images[1] = torch.randint(0, 256, (3, 4, 4), dtype=torch.uint8)
    network(images).logsumexp(1).sum().backward()
    assert all(weights.grad.isfinite().all() for weights in network.parameters())


def test_without_gradients_readings_come_from_a_table() -> None:
    """They are those of the training, also after the weights have changed."""
    torch.manual_seed(2)
    network = ColourNet(label_count=3).eval()
    images = torch.randint(0, 256, (5, 3, 9, 7), dtype=torch.uint8)
    for _ in range(2):
        with torch.no_grad():
            looked_up = network(images)
        assert torch.allclose(looked_up, network(images), atol=1e-4)
        with torch.no_grad():
            network.votes[0].weight.mul_(3)
        network.train().eval()
    with torch.no_grad():
        assert not torch.allclose(network(images), looked_up, atol=1e-2)


def test_shares_are_0_or_large_enough_to_be_fast() -> None:
    """Products of denormal numbers take ten times as long."""
    shares = divide_among(spread_colours(192), lab_of_cells())
    assert torch.finfo(torch.float32).tiny < shares[shares > 0].min() ** 2
