"""Weights and checkpoints: what they keep, and files that hold something else."""

from __future__ import annotations

import math
import stat
from pathlib import Path

import pytest
import torch

from imagestore.console import UserError
from imagestore.training.checkpoint import Checkpoint, load_checkpoint, load_model, save_file
from imagestore.training.network import ColourNet
from imagestore.training.training_settings import LARGEST_SIDE, SMALLEST_SIDE

CPU = torch.device("cpu")
LABELS = ["blue", "green", "red"]


# ----- any file -----


def test_saving_is_whole_or_not_at_all(tmp_path: Path) -> None:
    """If saving fails, the old file and its mode stay, and no temporary file is left."""
    path = tmp_path / "weights.pth"
    save_file({"a": torch.ones(3)}, path)
    path.chmod(0o640)
    before = path.read_bytes()
    with pytest.raises(Exception, match=r"pickle|local object"):
        save_file({"a": lambda: None}, path)
    assert path.read_bytes() == before
    save_file({"a": torch.zeros(3)}, path)
    assert path.read_bytes() != before
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


# ----- weights -----


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


# ----- checkpoints -----


@pytest.fixture
def trained() -> tuple[ColourNet, torch.optim.AdamW]:
    """A network after one step, and its optimizer."""
    torch.manual_seed(1)
    network = ColourNet(LABELS, side=4)
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.randint(0, 256, (4, 3, 4, 4), dtype=torch.uint8)).sum().backward()
    optimizer.step()
    return network, optimizer


@pytest.fixture
def path(trained: tuple[ColourNet, torch.optim.AdamW], tmp_path: Path) -> Path:
    """The checkpoint of `trained`."""
    network, optimizer = trained
    checkpoint = Checkpoint(
        settings={"size": 4}, labels=LABELS, images=10, step=1, score=(2.5, 1, 4),
        model=network.state_dict(), optimizer=optimizer.state_dict(),
    )  # fmt: skip
    checkpoint.save(tmp_path / "checkpoint.pth")
    return tmp_path / "checkpoint.pth"


def test_a_checkpoint_keeps_all_of_a_training(
    trained: tuple[ColourNet, torch.optim.AdamW], path: Path
) -> None:
    checkpoint = load_checkpoint(path, CPU)
    assert checkpoint.settings == {"size": 4}
    assert (checkpoint.labels, checkpoint.images) == (LABELS, 10)
    assert (checkpoint.step, checkpoint.score) == (1, (2.5, 1, 4))
    network = ColourNet(LABELS, side=4)
    optimizer = torch.optim.AdamW(network.parameters())
    checkpoint.restore(path, network, optimizer)
    for tensor, restored in zip(trained[0].parameters(), network.parameters(), strict=True):
        assert torch.equal(tensor, restored)
        for moment in ("exp_avg", "exp_avg_sq", "step"):
            assert torch.equal(trained[1].state[tensor][moment], optimizer.state[restored][moment])


def test_the_keys_of_a_checkpoint_file_are_fixed(path: Path) -> None:
    """Earlier and later versions read them, too."""
    keys = ["settings", "labels", "images", "step", "score", "model", "optimizer"]
    assert list(torch.load(path)) == keys


def test_a_checkpoint_is_only_for_its_own_images(path: Path) -> None:
    checkpoint = load_checkpoint(path, CPU)
    checkpoint.check_images(path, LABELS, 10)
    for labels, images in ((LABELS, 11), (LABELS[::-1], 10), (LABELS[:2], 10)):
        with pytest.raises(UserError, match="made from 10 images with 3 labels, not from these"):
            checkpoint.check_images(path, labels, images)


def test_a_checkpoint_does_not_restore_another_network(path: Path) -> None:
    network = ColourNet(LABELS, side=4, hidden=5)
    with pytest.raises(UserError, match="not a checkpoint"):
        load_checkpoint(path, CPU).restore(path, network, torch.optim.AdamW(network.parameters()))


def test_weights_are_no_checkpoint(tmp_path: Path) -> None:
    save_file(ColourNet(LABELS, side=12).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"weights\.pth: not a checkpoint; train_model\.py writes one"):
        load_checkpoint(tmp_path / "weights.pth", CPU)
