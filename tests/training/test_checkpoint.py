"""Checkpoints: what they keep, and files that hold something else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from imagestore.console import UserError
from imagestore.networks.colour_network import ColourNet
from imagestore.networks.tensor_files import save_file
from imagestore.processes import Stop
from imagestore.training.checkpoint import load_checkpoint
from imagestore.training.training_files import TrainingFiles
from imagestore.training.training_loop import train_epoch
from imagestore.training.training_settings import RunOptions
from imagestore.training.training_state import Training
from tests.helpers.trainings import make_training

CPU = torch.device("cpu")
FIRST_KEYS = ["settings", "labels", "images", "step", "score", "model", "optimizer"]


@pytest.fixture
def trained(two_stores: list[Path], tmp_path: Path) -> Training:
    """A training with an average of its weights, after one epoch; its checkpoint is in tmp_path."""
    training = make_training(two_stores, tmp_path, ema=0.9)
    stores = training.training_batches.dataset.stores
    files = TrainingFiles(training, RunOptions(epochs=10, output=tmp_path), stores)
    train_epoch(training, 0, Stop(), files)
    files.save_checkpoint()
    return training


@pytest.fixture
def path(trained: Training, tmp_path: Path) -> Path:
    """The checkpoint of `trained`."""
    return tmp_path / "checkpoint.pth"


def test_a_checkpoint_keeps_all_of_a_training(trained: Training, path: Path, two_stores: list[Path]) -> None:
    checkpoint = load_checkpoint(path, CPU)
    assert (checkpoint.settings["size"], checkpoint.settings["ema"]) == (8, 0.9)
    assert (checkpoint.labels, checkpoint.images) == (trained.labels, 14)
    assert (checkpoint.step, checkpoint.score[2], checkpoint.network["model"]) == (3, 14, "colour")
    restored = make_training(two_stores, path.parent, ema=0.9)
    checkpoint.restore(path, restored)
    assert restored.step == 3
    pairs = zip(trained.network.parameters(), restored.network.parameters(), strict=True)
    for old, new in pairs:
        assert torch.equal(old, new)
        for moment in ("exp_avg", "exp_avg_sq", "step"):
            assert torch.equal(trained.optimizer.state[old][moment], restored.optimizer.state[new][moment])
    averages = (trained.average.state_dict(), restored.average.state_dict())
    assert all(torch.equal(averages[0][name], averages[1][name]) for name in averages[0])


def test_the_first_keys_of_a_checkpoint_file_are_fixed(path: Path) -> None:
    """Earlier and later versions read them, too."""
    assert list(torch.load(path))[: len(FIRST_KEYS)] == FIRST_KEYS


def test_a_checkpoint_is_only_for_its_own_images(
    trained: Training, path: Path, two_stores: list[Path]
) -> None:
    checkpoint = load_checkpoint(path, CPU)
    checkpoint.check_images(path, trained)
    with pytest.raises(UserError, match="made from 14 images with 4 labels, not from these 8 with 3"):
        checkpoint.check_images(path, make_training(two_stores[:1], path.parent))
    checkpoint.labels[-1] = "other"
    with pytest.raises(UserError, match="made from images with other labels, such as 'other' in place of"):
        checkpoint.check_images(path, trained)
    checkpoint.labels = trained.labels
    trained.training_batches.positions[:2] = trained.validation_batches.positions[:2]
    del trained.training_batches.keys
    with pytest.raises(UserError, match="made from other images"):
        checkpoint.check_images(path, trained)


def test_a_checkpoint_does_not_restore_another_network(path: Path, two_stores: list[Path]) -> None:
    other = make_training(two_stores, path.parent, hidden=5)
    with pytest.raises(UserError, match="not a checkpoint"):
        load_checkpoint(path, CPU).restore(path, other)


def test_weights_are_no_checkpoint(tmp_path: Path) -> None:
    save_file(ColourNet(3).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"weights\.pth: not a checkpoint; train_model\.py writes one"):
        load_checkpoint(tmp_path / "weights.pth", CPU)
