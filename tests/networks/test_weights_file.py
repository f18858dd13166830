"""Weights files: what they keep, those of earlier versions, and files that hold something else."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from imagestore.console import UserError
from imagestore.networks.colour_network import ColourNet
from imagestore.networks.description import NetworkDescription
from imagestore.networks.first_colour_network import FirstColourNet
from imagestore.networks.make_network import make_network
from imagestore.networks.picture_sides import LARGEST_SIDE, SMALLEST_SIDE
from imagestore.networks.second_colour_network import SecondColourNet
from imagestore.networks.weights_file import load_network, save_network
from tests.helpers.commands import ROOT
from tests.helpers.weights_files import save_old_weights, save_weights

CPU = torch.device("cpu")
LABELS = ["blue", "green", "red"]


def pictures(side: int) -> torch.Tensor:
    """uint8 (4, 3, side, side)."""
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (4, 3, side, side), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("colour", {"colours": 5, "hidden": 7}),
        ("mlp", {"hidden": 9, "layers": 1}),
        ("small", {"width": 4}),
        ("shufflenet_v2_x0_5", {}),
    ],
)
def test_a_weights_file_tells_its_network(tmp_path: Path, model: str, options: dict[str, int]) -> None:
    """Of any kind and width: the same logits after loading, and the same description."""
    description = NetworkDescription(
        model=model, labels=("blue", "grün", "\udcff"), size=40, view="centre",
        mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), options=options,
    )  # fmt: skip
    network = make_network(description).eval()
    save_network(network, tmp_path / "weights.pth")
    loaded = load_network(tmp_path / "weights.pth", description.labels, CPU)
    assert loaded.description == description
    assert torch.equal(loaded.eval()(pictures(40)), network(pictures(40)))


def test_a_weights_file_is_plain(tmp_path: Path) -> None:
    """Earlier and later versions and other programs read it, so its format is fixed."""
    path = save_weights(tmp_path / "weights.pth", LABELS, side=12)
    content = torch.load(path, weights_only=True)
    state = content.pop("state_dict")
    assert content == {
        "model": "colour", "labels": LABELS, "size": 12, "view": "whole",
        "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "options": {}, "arguments": {},
    }  # fmt: skip
    assert list(state) == list(ColourNet(3).state_dict())


@pytest.mark.parametrize(("colours", "hidden"), [(64, 128), (5, 7)])
def test_weights_of_an_earlier_version_load(tmp_path: Path, colours: int, hidden: int) -> None:
    network = FirstColourNet(3, colours, hidden).eval()
    path = save_old_weights(tmp_path / "weights.pth", LABELS, 12, network)
    loaded = load_network(path, LABELS, CPU).eval()
    assert torch.equal(loaded(pictures(12)), network(pictures(12)))
    assert (loaded.description.size, loaded.description.labels) == (12, tuple(LABELS))


def test_colour_weights_without_a_crowd_load(tmp_path: Path) -> None:
    """Those of the second version; they stay what they are when they are written again."""
    network = SecondColourNet(3, colours=5, hidden=7).eval()
    path = changed(
        save_weights(tmp_path / "weights.pth", LABELS, 48),
        options={"colours": 5, "hidden": 7}, state_dict=network.state_dict(),
    )  # fmt: skip
    loaded = load_network(path, LABELS, CPU).eval()
    save_network(loaded, path)
    again = load_network(path, LABELS, CPU).eval()
    for each in (loaded, again):
        assert torch.equal(each(pictures(48)), network(pictures(48)))


@pytest.mark.parametrize("save", [save_weights, save_old_weights])
def test_weights_do_not_load_for_other_labels(tmp_path: Path, save) -> None:
    path = save(tmp_path / "weights.pth", LABELS, 12)
    for labels, message in (
        (LABELS[:2], "are for 3 labels, but the labels file has 2"),
        (["green", "blue", "red"], "trained on other labels"),
    ):
        with pytest.raises(UserError, match=message):
            load_network(path, labels, CPU)


@pytest.mark.parametrize("save", [save_weights, save_old_weights])
def test_weights_without_one_layer_do_not_load(tmp_path: Path, save) -> None:
    path = save(tmp_path / "weights.pth", LABELS, 12)
    content = torch.load(path)
    del content.get("state_dict", content)["head.0.weight"]
    torch.save(content, path)
    with pytest.raises(UserError, match="another network"):
        load_network(path, LABELS, CPU)


def test_a_checkpoint_is_called_by_its_name(tmp_path: Path) -> None:
    """Its weights are those of the last step, and classify.py takes those of the best epoch."""
    torch.save({"model": {}, "optimizer": {}}, tmp_path / "checkpoint.pth")
    with pytest.raises(
        UserError, match=r"checkpoint\.pth: a checkpoint, .* give the model_weights\.pth beside"
    ):
        load_network(tmp_path / "checkpoint.pth", LABELS, CPU)


@pytest.mark.parametrize("side", [0, 1, -5, 4097, 2**62, math.inf, math.nan])
def test_weights_for_absurd_pictures_do_not_load(tmp_path: Path, side: float) -> None:
    old = save_old_weights(tmp_path / "weights.pth", LABELS, side)
    new = changed(save_weights(tmp_path / "new_weights.pth", LABELS, 12), size=side)
    for path in (old, new):
        with pytest.raises(UserError, match=r"weights\.pth: (trained on pictures of|weights of another net)"):
            load_network(path, LABELS, CPU)


@pytest.mark.parametrize("side", [SMALLEST_SIDE, LARGEST_SIDE])
@pytest.mark.parametrize("save", [save_weights, save_old_weights])
def test_weights_of_the_extreme_sides_load(tmp_path: Path, side: int, save) -> None:
    """A network can be loaded if it can be trained."""
    path = save(tmp_path / "weights.pth", LABELS, side)
    assert load_network(path, LABELS, CPU).description.size == side


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("save", [save_weights, save_old_weights])
def test_weights_that_are_not_finite_do_not_load(tmp_path: Path, value: float, save) -> None:
    path = save(tmp_path / "weights.pth", LABELS, 12)
    content = torch.load(path)
    content.get("state_dict", content)["head.5.bias"][1] = value
    torch.save(content, path)
    with pytest.raises(UserError, match="some weights are not finite numbers"):
        load_network(path, LABELS, CPU)


@pytest.mark.parametrize(
    "values",
    [
        {"model": "mlp"},
        {"model": 3},
        {"model": "fcn_resnet50"},
        {"labels": None},
        {"labels": [1, 2, 3]},
        {"size": 12.0},
        {"view": "half"},
        {"mean": (0.1, 0.2)},
        {"mean": (0.1, 0.2, math.nan)},
        {"std": (0.1, 0.0, 0.2)},
        {"std": None},
        {"options": None},
        {"options": {"colours": 10**12}},
        {"options": {"hidden": -1}},
        {"options": {"size": 3}},
        {"state_dict": None},
        {"state_dict": {}},
        {"state_dict": {"head.0.weight": 3}},
    ],
)
def test_a_file_with_one_wrong_value_is_one_line(tmp_path: Path, values: dict[str, object]) -> None:
    path = changed(save_weights(tmp_path / "weights.pth", LABELS, 12), **values)
    with pytest.raises(UserError, match=r"weights\.pth: ") as error:
        load_network(path, LABELS, CPU)
    assert "\n" not in str(error.value)


def changed(path: Path, **values: object) -> Path:
    """A weights file with other values."""
    torch.save({**torch.load(path), **values}, path)
    return path


@pytest.mark.slow
def test_weights_are_loaded_without_the_compiler(tmp_path: Path) -> None:
    """torch._dynamo takes seconds to import, and an operation of two tensors without values imports it."""
    lines = (
        "import sys, torch, pathlib",
        "from tests.helpers.weights_files import save_weights",
        "from imagestore.networks.weights_file import load_network",
        "path = pathlib.Path(sys.argv[1])",
        "for model in ('colour', 'mlp', 'small'):",
        "    save_weights(path, ['red', 'blue'], 32, model)",
        "    load_network(path, ['red', 'blue'], torch.device('cpu'))",
        "print('torch._dynamo' in sys.modules)",
    )
    command = [sys.executable, "-c", "\n".join(lines), tmp_path / "w.pth"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "False\n"
