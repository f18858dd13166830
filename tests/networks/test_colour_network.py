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
    """A mirrored picture gives the same logits, but for its dithering. Other colours give other logits."""
    torch.manual_seed(1)
    network = ColourNet(label_count=3).eval()
    images = torch.randint(0, 256, (5, 3, 120, 60), dtype=torch.uint8)
    images[:, 1] //= 3
    images[:, 2] //= 5
    logits = network(images)
    assert torch.allclose(logits, network(images.flip(3)), atol=0.02)
    assert (logits - network(255 - images)).abs().max() > 0.2


def test_the_initial_colours_are_far_apart() -> None:
    """A picture of one such colour falls into that colour's bin, because the softmax is of distances."""
    colours = spread_colours(192)
    distance = torch.cdist(colours, colours) + torch.eye(192)
    assert distance.min() > 0.05
    shares = divide_among(colours, colours)
    assert (shares.argmax(1) == torch.arange(192)).all()
    assert torch.allclose(shares.sum(1), torch.ones(192))


@pytest.mark.parametrize("rgb", [(0, 0, 0), (255, 255, 255), (7, 100, 200), (64, 128, 192)])
def test_cells_keep_the_mean_colour(rgb: tuple[int, int, int]) -> None:
    """Pixels of a flat picture are shared out among the cells around its colour, as its distances say."""
    image = torch.tensor(rgb, dtype=torch.uint8).reshape(1, 3, 1, 1).expand(2, 3, 60, 60)
    counts = count_cells(image)
    assert counts.shape == (2, 13**3)
    assert (counts.sum(1) == 3600).all()
    levels = torch.cartesian_prod(*[torch.arange(13) * 256 / 12] * 3)
    used = levels[counts[0] > 0]
    assert ((used - torch.tensor(rgb)).abs() < 256 / 12).all()
    assert torch.allclose(counts[1] @ levels / 3600, torch.tensor(rgb).float(), atol=0.5)


def test_a_cell_has_the_colour_of_its_levels() -> None:
    """Cell (12, 0, 6) is (255, 0, 128)."""
    rgb = torch.tensor((255, 0, 128), dtype=torch.uint8).reshape(1, 3, 1, 1)
    assert torch.allclose(lab_of_cells()[(12 * 13 + 0) * 13 + 6], srgb_to_lab(rgb).flatten(), atol=1e-6)


def test_the_crowd_outvotes_scattered_pixels() -> None:
    """A third of like pixels weighs more than two thirds that are spread over all colours."""
    network = ColourNet(label_count=2).eval()
    lab = network.cell_lab
    network.votes = torch.nn.Identity()  # votes by the first values
    is_red = (lab - srgb_to_lab(torch.tensor((255, 0, 0)).reshape(1, 3, 1, 1)).flatten()).norm(dim=1) < 0.15
    network.cell_lab = torch.stack([is_red, ~is_red], 1) * 10.0
    images = torch.randint(0, 256, (1, 3, 60, 60), dtype=torch.uint8)
    images[:, :, :20] = torch.tensor((255, 0, 0), dtype=torch.uint8).reshape(1, 3, 1, 1)
    with torch.no_grad():
        for weights in network.head.parameters():
            weights.zero_()
        network.vote_scale.fill_(0.0)
        network.crowd_scale.fill_(10.0)
        assert network.train().eval()(images).argmax() == 0
        network.vote_scale.fill_(10.0)
        network.crowd_scale.fill_(0.0)
        assert network(images).argmax() == 1


def test_an_answer_needs_every_second_row() -> None:
    """The last row too, if the number of rows is odd. All rows are seen while the network learns."""
    torch.manual_seed(3)
    network = ColourNet(label_count=3).eval()
    images = torch.randint(0, 256, (2, 3, 61, 60), dtype=torch.uint8)
    logits = network(images)
    changed = images.clone()
    changed[:, :, 1::2] = 255
    assert torch.equal(network(changed), logits)
    network.train()
    network.head.eval()  # so that nothing is dropped at random
    assert not torch.equal(network(changed), network(images))
    changed = images.clone()
    changed[:, :, -1] = 255
    assert not torch.equal(network.eval()(changed), logits)


def test_gradients_reach_every_weight_and_are_finite() -> None:
    """Also of a picture of one colour, whose softmax is as sharp as can be."""
    network = ColourNet(label_count=3)
    images = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    images[1] = torch.randint(0, 256, (3, 4, 4), dtype=torch.uint8)
    network(images).logsumexp(1).sum().backward()
    assert all(weights.grad.isfinite().all() for weights in network.parameters())


def test_without_gradients_votes_come_from_a_table() -> None:
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


@pytest.mark.parametrize("side", [2, 300, 600])
def test_cells_are_counted_for_each_image_alone(side: int) -> None:
    """However many pixels are counted at a time."""
    images = torch.randint(0, 256, (5, 3, side, side), dtype=torch.uint8)
    counts = count_cells(images)
    assert torch.equal(counts, torch.cat([count_cells(image[None]) for image in images]))
    assert (counts.sum(1) == side**2).all()
    assert len(count_cells(images[:0])) == 0
