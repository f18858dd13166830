"""The fast histogram is that of the colour network."""

from __future__ import annotations

import pytest
import torch

from imagestore.networks import fast_histogram as fast_module
from imagestore.networks.colour_network import XYZ_FROM_RGB, ColourNet, srgb_to_lab
from imagestore.networks.fast_histogram import fast_histogram

MATRIX = torch.tensor(XYZ_FROM_RGB)


def plain_histogram(network: ColourNet, images: torch.Tensor) -> torch.Tensor:
    """The definition, in float64."""
    pixels = srgb_to_lab(images).flatten(2).transpose(1, 2).double()
    exponents = pixels @ network.nearness.weight.double().T + network.nearness.bias.double()
    return exponents.softmax(-1).mean(1).float()


def pictures(count: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (32, 32), (48, 48), (90, 91), (1, 9000)])
@pytest.mark.parametrize("count", [1, 9, 70])
@torch.inference_mode()
def test_the_histogram_is_that_of_the_definition(count: int, height: int, width: int) -> None:
    """With all pixels at once, several images at once, and an image in several parts; in any layout."""
    count = min(count, 200_000 // (height * width) + 1)
    network, images = ColourNet(5, colours=20), pictures(count, height, width)
    expected = plain_histogram(network, images)
    for layout in (images, images.contiguous(memory_format=torch.channels_last), images.flip(3).flip(3)):
        found = fast_histogram(layout, MATRIX, network.nearness)
        assert torch.allclose(found, expected, atol=2e-6)
        assert torch.allclose(found.sum(1), torch.ones(count), atol=1e-5)


@pytest.mark.parametrize("at_once", [1, 20, 700, 5000, 10**7])
@torch.inference_mode()
def test_any_division_gives_the_same(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    network, images = ColourNet(5, colours=20), pictures(7, 8, 8)
    monkeypatch.setattr(fast_module, "NUMBERS_AT_ONCE", at_once)
    monkeypatch.setattr(fast_module, "PIXELS_AT_ONCE", 3 * 64)
    found = fast_histogram(images, MATRIX, network.nearness)
    assert torch.allclose(found, plain_histogram(network, images), atol=2e-6)


@pytest.mark.parametrize("scale", [1e-3, 30.0, 1e4])
@torch.inference_mode()
def test_learned_weights_may_be_of_any_size(scale: float) -> None:
    """Powers that float32 cannot hold would be infinite or 0."""
    network, images = ColourNet(5, colours=20), pictures(4, 8, 8)
    for sign in (1, -1):
        network.nearness.weight.copy_(sign * scale * torch.randn(20, 3))
        network.nearness.bias.copy_(sign * scale * torch.randn(20))
        found = fast_histogram(images, MATRIX, network.nearness)
        assert torch.allclose(found, plain_histogram(network, images), atol=2e-2 if scale > 1e3 else 1e-4)


@torch.inference_mode()
def test_weights_that_are_no_numbers_stay_visible() -> None:
    network = ColourNet(5, colours=20)
    network.nearness.bias[3] = float("nan")
    assert fast_histogram(pictures(2, 4, 4), MATRIX, network.nearness).isnan().any()


def test_the_network_gives_the_same_with_and_without_gradients() -> None:
    network, images = ColourNet(5).eval(), pictures(6, 32, 32)
    with_gradients = network(images)
    assert with_gradients.requires_grad
    with torch.no_grad():
        assert torch.allclose(network(images), with_gradients, atol=1e-5)
        assert network(images[:0]).shape == (0, 5)
