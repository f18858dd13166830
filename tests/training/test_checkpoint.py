"""Checkpoints: what they keep, and files that hold something else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from imagestore.console import UserError
from imagestore.networks.colour_network import ColourNet
from imagestore.networks.tensor_files import save_file
from imagestore.training.checkpoint import Checkpoint, load_checkpoint

CPU = torch.device("cpu")
LABELS = ["blue", "green", "red"]


@pytest.fixture
def trained() -> tuple[ColourNet, torch.optim.AdamW]:
    """A network after one step, and its optimizer."""
    torch.manual_seed(1)
    network = ColourNet(3)
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
    network = ColourNet(3)
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
    network = ColourNet(3, hidden=5)
    with pytest.raises(UserError, match="not a checkpoint"):
        load_checkpoint(path, CPU).restore(path, network, torch.optim.AdamW(network.parameters()))


def test_weights_are_no_checkpoint(tmp_path: Path) -> None:
    save_file(ColourNet(3).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"weights\.pth: not a checkpoint; train_model\.py writes one"):
        load_checkpoint(tmp_path / "weights.pth", CPU)
