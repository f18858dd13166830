"""The parts of the training loop; tests/test_train_model.py tests all of it as a command."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from imagestore.console import UserError
from imagestore.loading.batches import Batch, Batches
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.views import View
from imagestore.networks.description import NetworkDescription
from imagestore.networks.make_network import make_network
from imagestore.processes import Stop
from imagestore.training.evaluation import Score
from imagestore.training.training_loop import (
    WARM_UP,
    Training,
    check_loss,
    epoch_order,
    learning_rate,
    train_epoch,
    until_stopped,
    validate,
)
from imagestore.training.training_settings import TrainingSettings


@pytest.fixture
def training(two_stores: list[Path]) -> Training:
    """A new training on 14 images with 4 to validate, 5 images a step: 3 steps an epoch, 30 in all."""
    dataset = HDF5Dataset(two_stores, size=8)
    torch.manual_seed(1)
    network = make_network(NetworkDescription(model="colour", labels=tuple(dataset.classes), size=8))
    return Training(
        settings=TrainingSettings(size=8, batch_size=5, lr=0.5),
        epochs=10,
        device=torch.device("cpu"),
        labels=dataset.classes,
        training_batches=Batches(dataset, View(8), 0, np.arange(14)),
        validation_batches=Batches(dataset, View(8), 0, np.arange(14, 18)),
        network=network,
        optimizer=torch.optim.AdamW(network.parameters()),
    )


def test_an_epoch_takes_a_step_for_each_batch(training: Training) -> None:
    """The last batch is shorter."""
    assert (training.steps_per_epoch, training.total_steps) == (3, 30)
    before = [weights.clone() for weights in training.network.parameters()]
    pace = train_epoch(training, 0, Stop())
    assert (pace.images, pace.waiting > 0, pace.computing > 0) == (14, True, True)
    assert (training.step, training.images, training.score.images) == (3, 14, 14)
    after = training.network.parameters()
    assert not any(map(torch.equal, before, after))


def test_an_epoch_goes_on_after_its_first_steps(training: Training) -> None:
    training.step = 7  # in the third epoch, one step is done
    train_epoch(training, 2, Stop())
    assert (training.step, training.images) == (9, 9)


def test_the_order_differs_with_the_epoch(training: Training) -> None:
    orders = [epoch_order(training, epoch).tolist() for epoch in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
    assert all(sorted(order) == list(range(14)) for order in orders)


def test_the_learning_rate_rises_then_falls(training: Training) -> None:
    """It starts near 0, is highest at the end of the warm-up, and ends near 0."""
    rates = []
    for step in range(training.total_steps):
        training.step = step
        rates.append(learning_rate(training))
    peak = rates.index(max(rates))
    assert abs(peak - WARM_UP * training.total_steps) <= 1
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 0 < rates[0] < 0.02 * 0.5
    assert 0.9 * 0.5 < max(rates) <= 0.5
    assert 0 <= rates[-1] < 0.02 * 0.5


def test_validation_counts_each_image_once(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagestore.training.training_loop.VALIDATION_BATCH_SIZE", 3)
    score = validate(training, Stop())
    assert score.images == 4
    assert math.isfinite(score.loss_sum)


def test_no_batch_comes_after_a_signal() -> None:
    stop = Stop()
    batches = [Batch(torch.zeros(1), torch.zeros(1), torch.zeros(1))] * 3
    remaining = until_stopped(batches, stop)
    next(remaining)
    stop.signum = 15
    assert list(remaining) == []


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_an_error(training: Training, loss: float) -> None:
    training.score = Score(loss_sum=1.0, correct=0, images=1)
    check_loss(training, Score())
    with pytest.raises(UserError, match=r"choose a smaller --lr than 0\.5"):
        check_loss(training, Score(loss_sum=loss, correct=0, images=1))
    training.score.loss_sum = loss
    with pytest.raises(UserError, match=r"choose a smaller --lr than 0\.5"):
        check_loss(training, Score())


def test_an_epoch_without_decodable_images_is_an_error(training: Training) -> None:
    with pytest.raises(UserError, match="none of the images to train on can be decoded"):
        check_loss(training, Score())
