"""Networks of every family: built, run, saved and loaded."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch
import torchvision
from torchvision.transforms.v2.functional import normalize

from imagestore.console import UserError
from imagestore.networks.description import OWN_MODELS, TIMM, NetworkDescription
from imagestore.networks.make_network import make_network, takes_pictures
from imagestore.networks.weights_file import load_network, save_network

LABELS = ("a", "b", "c")
# A small member of each family of torchvision, and the smallest sensible side of its pictures.
FAMILIES = [
    ("densenet121", 32), ("efficientnet_b0", 32), ("googlenet", 32),
    ("mnasnet0_5", 32), ("mobilenet_v2", 32), ("mobilenet_v3_small", 32), ("regnet_x_400mf", 32),
    ("regnet_y_400mf", 32), ("resnet18", 32), ("shufflenet_v2_x0_5", 32), ("squeezenet1_1", 32),
]  # fmt: skip
LARGE_FAMILIES = [
    ("alexnet", 64), ("efficientnet_v2_s", 32), ("inception_v3", 80), ("maxvit_t", 224), ("swin_v2_t", 32),
    ("vgg11", 32), ("convnext_tiny", 32), ("swin_t", 32), ("vit_b_32", 64),
]  # fmt: skip
OWN = [("colour", 8), ("mlp", 8), ("small", 8), ("small", 32), ("small", 64), ("small", 128)]


def check_family(model: str, side: int, folder: Path) -> None:
    """Build a network with three labels, train a step, and load it again: the logits are equal."""
    network = make_network(NetworkDescription(model=model, labels=LABELS, size=side))
    images = torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8)
    logits = network.train()(images)
    assert (logits.shape, logits.dtype) == ((2, 3), torch.float32)
    logits.sum().backward()
    assert all(weights.grad is not None for weights in network.parameters())
    assert network.head.weight.shape[0] == 3
    save_network(network, folder / "weights.pth")
    loaded = load_network(folder / "weights.pth", LABELS, torch.device("cpu"))
    with torch.no_grad():
        expected = network.eval()(images)
        assert torch.equal(loaded.eval()(images), expected)
        if model not in OWN_MODELS:
            assert torch.allclose(logits_of_plain_torch(folder / "weights.pth", images), expected, atol=1e-5)


def logits_of_plain_torch(path: Path, images: torch.Tensor) -> torch.Tensor:
    """Those of torchvision's or timm's own model, as docs/python.md builds it from a weights file."""
    weights = torch.load(path, weights_only=True)
    if weights["model"].startswith(TIMM):
        model = importlib.import_module("timm").create_model(
            weights["model"].removeprefix(TIMM), **weights["arguments"]
        )
    else:
        model = torchvision.models.get_model(weights["model"], **weights["arguments"])
    model.load_state_dict(weights["state_dict"])
    return model.eval()(normalize(images.float() / 255, weights["mean"], weights["std"]))


@pytest.mark.parametrize(("model", "side"), [*OWN, *FAMILIES])
def test_a_network_of_each_family(model: str, side: int, tmp_path: Path) -> None:
    check_family(model, side, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "side"), LARGE_FAMILIES)
def test_a_network_of_each_large_family(model: str, side: int, tmp_path: Path) -> None:
    check_family(model, side, tmp_path)


@pytest.mark.parametrize(
    "name", ["timm/resnet10t", "timm/test_vit", "timm/tf_efficientnet_lite0", "timm/resnetv2_50"]
)
def test_a_network_of_timm(name: str, tmp_path: Path) -> None:
    pytest.importorskip("timm")
    check_family(name, 64, tmp_path)


@pytest.mark.parametrize(
    ("model", "side", "line"),
    [
        ("alexnet", 32, "--model alexnet: does not take pictures of 32 pixels; try --size 64"),
        ("vit_b_32", 33, "--model vit_b_32: cannot be built for pictures of 33 pixels ("),
        ("maxvit_t", 32, "--model maxvit_t: cannot be built for pictures of 32 pixels ("),
    ],
)
def test_pictures_that_a_model_does_not_take(model: str, side: int, line: str) -> None:
    with pytest.raises(UserError) as error:
        make_network(NetworkDescription(model=model, labels=LABELS, size=side))
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


def test_the_seed_decides_the_first_weights() -> None:
    """Trying the size draws nothing: what comes after is the same as with another size."""
    drawn = []
    for side in (16, 32):
        torch.manual_seed(3)
        network = make_network(NetworkDescription(model="colour", labels=LABELS, size=side))
        drawn.append((network.head.weight.detach(), torch.rand(2)))
    assert all(map(torch.equal, *drawn))


def test_the_weights_of_small_fit_any_size() -> None:
    small, large = (
        make_network(NetworkDescription(model="small", labels=LABELS, size=side)) for side in (32, 128)
    )
    large.model.load_state_dict(small.model.state_dict())


def test_a_picture_that_has_no_memory_is_no_fault_of_the_model() -> None:
    network = make_network(NetworkDescription(model="colour", labels=LABELS, size=8))
    with pytest.raises(RuntimeError, match="allocate memory"):
        takes_pictures(network, 1 << 24)  # more bytes than a processor can address
