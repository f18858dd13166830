"""Which pictures a model takes: by the weights' own description, else by the model's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from imagestore.networks.description import NetworkDescription
from imagestore.networks.make_network import make_network
from imagestore.networks.picture_kind import IMAGENET_MEAN, IMAGENET_STD, PictureKind, find_picture_kind
from imagestore.networks.weights_file import save_network

HALF = (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("model", "side", "size"),
    [("colour", 500, 60), ("mlp", 500, 32), ("small", 500, 64), ("small", 28, 32), ("small", 64, 64)],
)
def test_our_own_models_take_small_pictures(model: str, side: int, size: int) -> None:
    assert find_picture_kind(model, side) == PictureKind(size=size, view="whole", mean=HALF, std=HALF)


@pytest.mark.parametrize(("model", "size"), [("resnet18", 224), ("efficientnet_b3", 300), ("vit_b_16", 224)])
def test_models_of_torchvision_take_those_of_their_weights(model: str, size: int) -> None:
    expected = PictureKind(size=size, view="centre", mean=IMAGENET_MEAN, std=IMAGENET_STD)
    assert find_picture_kind(model, 28) == expected


def test_the_name_of_a_file_tells_which_weights_of_torchvision(tmp_path: Path) -> None:
    """vit_b_16 has usual ones for 224 pixels, and others for 384."""
    path = tmp_path / "vit_b_16_swag-9ac1b537.pth"
    assert find_picture_kind("vit_b_16", 500, path).size == 384


def test_inception_gets_the_normalisation_of_its_weights() -> None:
    """torchvision's `transform_input` does that for pictures that are normalised as for the other models."""
    import torchvision

    model = torchvision.models.get_model("googlenet", weights=None, num_classes=3, init_weights=False)
    model.transform_input = True
    mean, std = (torch.tensor(value).reshape(3, 1, 1) for value in (IMAGENET_MEAN, IMAGENET_STD))
    images = torch.rand(2, 3, 8, 8)
    expected = model._transform_input((images - mean) / std)
    kind = find_picture_kind("googlenet", 500)
    assert (kind.mean, kind.std) == (HALF, HALF)
    assert torch.allclose((images - 0.5) / 0.5, expected, atol=1e-6)


def test_a_weights_file_of_ours_describes_its_pictures(tmp_path: Path) -> None:
    description = NetworkDescription(
        model="small", labels=("a", "b"), size=48, view="centre", mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6)
    )
    save_network(make_network(description), tmp_path / "weights.pth")
    kind = find_picture_kind("small", 500, tmp_path / "weights.pth")
    assert kind == PictureKind(size=48, view="centre", mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))


def test_the_configuration_beside_weights_of_timm_is_used(tmp_path: Path) -> None:
    config = {"input_size": [3, 288, 288], "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "crop_pct": 1.0}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18", "pretrained_cfg": config}))
    kind = find_picture_kind("resnet18", 500, tmp_path / "model.safetensors")
    assert (kind.size, kind.mean, kind.std) == (288, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pretrained_cfg": {"mean": 3}}'])
def test_another_file_beside_the_weights_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    (tmp_path / "start.pth").write_bytes(b"not weights")
    assert find_picture_kind("resnet18", 500, tmp_path / "start.pth") == find_picture_kind("resnet18", 500)


def test_models_of_timm_describe_their_pictures() -> None:
    pytest.importorskip("timm")
    kind = find_picture_kind("timm/tf_efficientnet_lite0", 500)
    assert (kind.size, kind.mean, kind.std) == (224, HALF, HALF)
    assert find_picture_kind("timm/resnet18", 500).mean == IMAGENET_MEAN


@pytest.mark.filterwarnings("ignore:`torch.jit")  # it is deprecated; files of it stay
def test_a_file_of_another_kind_says_nothing(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """Nor does torch warn of it, as it would of a program."""
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "program.pt"))
    recwarn.clear()
    assert find_picture_kind("mlp", 28, tmp_path / "program.pt") == find_picture_kind("mlp", 28)
    assert not recwarn.list
