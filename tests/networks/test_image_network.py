"""A plain model behind its first and last step: normalisation, features, heads, odd batches."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from imagestore.networks.description import NetworkDescription
from imagestore.networks.image_network import ImageNetwork
from imagestore.networks.make_network import make_network

LABELS = ("a", "b", "c")


def network_of(model: str, side: int = 32) -> ImageNetwork:
    torch.manual_seed(2)
    return make_network(NetworkDescription(model=model, labels=LABELS, size=side)).eval()


def pictures(count: int, side: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


def test_pictures_are_normalised_by_mean_and_deviation() -> None:
    """Against torchvision's own steps."""
    from torchvision.transforms.v2.functional import normalize

    mean, std = (0.1, 0.5, 0.7), (0.2, 0.3, 0.4)
    description = NetworkDescription(model="resnet18", labels=LABELS, size=32, mean=mean, std=std)
    network = make_network(description).eval()
    expected = network.model(normalize(pictures(2).float() / 255, mean, std))
    assert torch.allclose(network(pictures(2)), expected, atol=1e-4)


@pytest.mark.parametrize(
    "model", ["colour", "mlp", "small", "resnet18", "mobilenet_v3_small", "squeezenet1_1"]
)
def test_a_head_that_is_trained_on_features_fits(model: str) -> None:
    """Features and a linear layer give the same probabilities as the network that uses the layer."""
    network = network_of(model)
    with torch.no_grad():
        features = network.features(pictures(4))
        layer = nn.Linear(features.shape[1], 3)
        network.use_head(layer)
        assert torch.allclose(layer(features).softmax(1), network(pictures(4)).softmax(1), atol=1e-4)


@pytest.mark.parametrize("model", ["timm/deit_tiny_distilled_patch16_224", "timm/crossvit_9_240"])
def test_two_heads_are_used_as_one(model: str) -> None:
    pytest.importorskip("timm")
    side = 240 if "crossvit" in model else 64
    network = network_of(model, side)
    with torch.no_grad():
        features = network.features(pictures(2, side))
        layer = nn.Linear(features.shape[1], 3)
        network.use_head(layer)
        logits = network(pictures(2, side))
    assert torch.allclose(layer(features), logits, atol=1e-4)


def test_a_head_without_a_bias_takes_none() -> None:
    network = network_of("mlp")
    network.model.head = nn.Linear(128, 3, bias=False)
    network = ImageNetwork(network.description, network.model)
    network.use_head(nn.Linear(128, 3, bias=False))
    with pytest.raises(ValueError, match="has no bias"):
        network.use_head(nn.Linear(128, 3))


@pytest.mark.parametrize("model", ["colour", "small", "resnet18", "mnasnet0_5"])
def test_batches_of_one_image_and_of_none_train(model: str) -> None:
    """BatchNorm alone would fail. Of a picture of 32 pixels, ResNet leaves one."""
    network = network_of(model).train()
    one, none = network(pictures(1)), network(pictures(0))
    assert (one.shape, none.shape) == ((1, 3), (0, 3))
    (one.sum() + none.sum()).backward()


def test_the_head_has_its_weights_and_each_counts_once() -> None:
    network = network_of("resnet18")
    assert {id(weights) for weights in network.head_parameters()} == {
        id(network.model.fc.weight), id(network.model.fc.bias),
    }  # fmt: skip
    assert len(list(network.model.parameters())) == len(list(network.parameters()))


def test_auxiliary_heads_are_left_out() -> None:
    """In training, too, the network gives one set of logits."""
    network = network_of("googlenet").train()
    assert network(pictures(2)).shape == (2, 3)
    assert not [name for name in network.model.state_dict() if name.startswith("aux")]
