"""Which model a file of weights is of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from imagestore.networks.described_weights import model_of_weights
from imagestore.networks.description import NetworkDescription
from imagestore.networks.make_network import make_network
from imagestore.networks.picture_kind import find_picture_kind
from imagestore.networks.weights_file import plain_description, save_network

DESCRIPTION = NetworkDescription(model="mlp", labels=("a", "b"), size=8, mean=(0.1, 0.2, 0.3))


def test_our_own_files_say_it(tmp_path: Path) -> None:
    """A checkpoint, too, with the size and the normalisation of its pictures."""
    network = make_network(DESCRIPTION)
    save_network(network, tmp_path / "weights.pth")
    content = {"step": 3, "network": plain_description(DESCRIPTION), "model": network.model.state_dict()}
    torch.save(content, tmp_path / "checkpoint.pth")
    for name in ("weights.pth", "checkpoint.pth"):
        assert model_of_weights(tmp_path / name) == "mlp"
        kind = find_picture_kind("mlp", 500, tmp_path / name)
        assert (kind.size, kind.mean) == (8, DESCRIPTION.mean)


def test_the_configuration_beside_weights_of_timm_says_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet10t"}))
    assert model_of_weights(tmp_path / "model.safetensors") == "timm/resnet10t"


@pytest.mark.parametrize(
    ("file", "model"),
    [
        ("resnet18-f37072fd.pth", "resnet18"),
        ("efficientnet_b0_rwightman-7f5810bc.pth", "efficientnet_b0"),
        ("vit_b_16_swag-9ac1b537.pth", "vit_b_16"),
    ],
)
def test_the_name_of_a_file_of_torchvision_says_it(tmp_path: Path, file: str, model: str) -> None:
    assert model_of_weights(tmp_path / file) == model


@pytest.mark.parametrize("config", ["", "[]", "{}", '{"architecture": 3}'])
def test_other_files_do_not_say_it(tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    torch.save({"a": torch.ones(3)}, tmp_path / "start.pth")
    assert model_of_weights(tmp_path / "start.pth") is None
    assert model_of_weights(tmp_path / "missing.pth") is None
