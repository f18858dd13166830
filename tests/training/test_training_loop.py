"""The parts of the training loop; tests/test_train_model.py tests all of it as a command."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from imagestore.console import UserError
from imagestore.processes import Stop
from imagestore.training.evaluation import Score
from imagestore.training.training_files import TrainingFiles
from imagestore.training.training_loop import check_loss, is_complete, train_epoch
from imagestore.training.training_settings import RunOptions
from imagestore.training.training_state import Best, Training
from tests.helpers.trainings import make_training


@pytest.fixture
def training(two_stores: list[Path], tmp_path: Path) -> Training:
    """A new training on 14 images with 4 to validate, 5 images a step: 3 steps an epoch, 30 in all."""
    return make_training(two_stores, tmp_path)


@pytest.fixture
def files(training: Training, tmp_path: Path) -> TrainingFiles:
    """The files of the training."""
    stores = training.training_batches.dataset.stores
    return TrainingFiles(training, RunOptions(epochs=10, output=tmp_path), stores)


def test_an_epoch_takes_a_step_for_each_batch(training: Training, files: TrainingFiles) -> None:
    """The last batch is shorter."""
    assert (training.steps_per_epoch, training.total_steps) == (3, 30)
    before = [weights.clone() for weights in training.network.parameters()]
    pace = train_epoch(training, 0, Stop(), files)
    assert (pace.images, pace.waiting > 0, pace.computing > 0) == (14, True, True)
    assert (training.step, training.images, training.score().images) == (3, 14, 14)
    after = training.network.parameters()
    assert not any(map(torch.equal, before, after))


def test_an_epoch_goes_on_after_its_first_steps(training: Training, files: TrainingFiles) -> None:
    training.step = 7  # in the third epoch, one step is done
    train_epoch(training, 2, Stop(), files)
    assert (training.step, training.images) == (9, 9)


def test_no_step_is_taken_after_a_signal(training: Training, files: TrainingFiles) -> None:
    stop = Stop()
    stop.signum = 15
    train_epoch(training, 0, stop, files)
    assert (training.step, training.images) == (0, 0)


def test_accumulated_batches_are_one_step(two_stores: list[Path], tmp_path: Path) -> None:
    """Two batches of 5 give the weights of one batch of 10."""
    trained = []
    for number, settings in enumerate(({"batch_size": 10}, {"batch_size": 5, "grad_accum": 2})):
        training = make_training(two_stores, tmp_path / str(number), lr=1e-3, **settings)
        stores = training.training_batches.dataset.stores
        files = TrainingFiles(training, RunOptions(epochs=10, output=tmp_path), stores)
        train_epoch(training, 0, Stop(), files)
        assert (training.step, training.images) == (2, 14)
        trained.append(torch.cat([weights.flatten() for weights in training.network.parameters()]))
    assert (trained[0] - trained[1]).abs().max() < 1e-6


def test_patience_ends_a_training_that_gets_no_better(training: Training) -> None:
    training.best = Best(epoch=1, accuracy=0.5, loss=1.0)
    for epochs_done, expected in ((2, False), (4, False), (5, True), (6, True)):
        training.epochs_done = epochs_done
        assert is_complete(training, patience=3) is expected
    assert not is_complete(training, patience=0)


def test_of_equal_accuracies_the_lower_loss_is_best() -> None:
    best = Best(epoch=1, accuracy=0.5, loss=0.5)
    assert best.is_below(Score(loss_sum=1.6, correct=3, images=4))
    assert best.is_below(Score(loss_sum=1.6, correct=2, images=4))
    assert not best.is_below(Score(loss_sum=2.4, correct=2, images=4))
    assert not best.is_below(Score(loss_sum=0.4, correct=1, images=4))


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_an_error(training: Training, loss: float) -> None:
    fine, broken = Score(loss_sum=1.0, correct=0, images=1), Score(loss_sum=loss, correct=0, images=1)
    check_loss(training, fine, Score())
    for scores in ((fine, broken), (broken, Score())):
        with pytest.raises(UserError, match=r"choose a smaller --lr than 0\.5"):
            check_loss(training, *scores)


def test_an_epoch_without_decodable_images_is_an_error(training: Training) -> None:
    with pytest.raises(UserError, match="none of the images to train on can be decoded"):
        check_loss(training, Score(), Score())
