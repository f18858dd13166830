"""Weights: what they keep, and files that hold something else."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from imagestore.console import UserError
from imagestore.networks.colour_network import ColourNet
from imagestore.networks.picture_sides import LARGEST_SIDE, SMALLEST_SIDE
from imagestore.networks.tensor_files import save_file
from imagestore.networks.weights_file import load_model

CPU = torch.device("cpu")
LABELS = ["blue", "green", "red"]


@pytest.mark.parametrize(("colours", "hidden"), [(64, 128), (5, 7)])
def test_a_weights_file_tells_its_network(tmp_path: Path, colours: int, hidden: int) -> None:
    """A network of any width gives the same logits after loading."""
    network = ColourNet(LABELS, side=12, colours=colours, hidden=hidden)
    save_file(network.state_dict(), tmp_path / "weights.pth")
    loaded = load_model(tmp_path / "weights.pth", LABELS, CPU)
    images = torch.randint(0, 256, (4, 3, 12, 12), dtype=torch.uint8)
    assert torch.equal(loaded.eval()(images), network.eval()(images))
    assert int(loaded.side) == 12


def test_weights_do_not_load_for_other_labels(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    save_file(ColourNet(LABELS, side=12).state_dict(), path)
    for labels, message in (
        (LABELS[:2], "are for 3 labels, but the labels file has 2"),
        (["green", "blue", "red"], "trained on other labels"),
    ):
        with pytest.raises(UserError, match=message):
            load_model(path, labels, CPU)


def test_weights_without_one_layer_do_not_load(tmp_path: Path) -> None:
    state = ColourNet(LABELS, side=12).state_dict()
    del state["head.0.weight"]
    save_file(state, tmp_path / "weights.pth")
    with pytest.raises(UserError, match="another network"):
        load_model(tmp_path / "weights.pth", LABELS, CPU)


@pytest.mark.parametrize("side", [0, 1, -5, 4097, 2**62, math.inf, math.nan])
def test_weights_for_absurd_pictures_do_not_load(tmp_path: Path, side: float) -> None:
    state = ColourNet(LABELS, side=12).state_dict()
    save_file({**state, "side": torch.tensor(side)}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"weights\.pth: (trained on pictures of|weights of another network)"):
        load_model(tmp_path / "weights.pth", LABELS, CPU)


@pytest.mark.parametrize("side", [SMALLEST_SIDE, LARGEST_SIDE])
def test_weights_of_the_extreme_sides_load(tmp_path: Path, side: int) -> None:
    """A network can be loaded if it can be trained."""
    save_file(ColourNet(LABELS, side=side).state_dict(), tmp_path / "weights.pth")
    assert int(load_model(tmp_path / "weights.pth", LABELS, CPU).side) == side


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_do_not_load(tmp_path: Path, value: float) -> None:
    state = ColourNet(LABELS, side=12).state_dict()
    state["head.5.bias"][1] = value
    save_file(state, tmp_path / "weights.pth")
    with pytest.raises(UserError, match="some weights are not finite numbers"):
        load_model(tmp_path / "weights.pth", LABELS, CPU)
