"""Event files for TensorBoard, read back with its own reader; and the package is optional."""

from __future__ import annotations

import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from imagestore.console import UserError
from imagestore.training.metrics_file import EpochMetrics
from imagestore.training.tensorboard_log import TAGS, TensorBoardLog, check_tensorboard


def metrics(epoch: int, loss: float = 1.5) -> EpochMetrics:
    return EpochMetrics(
        epoch=epoch, loss=loss, accuracy=0.25, val_loss=1.75, val_accuracy=0.5, val_balanced_accuracy=0.125,
        lr=0.003, images_per_second=1234.5, seconds=2.5, waiting_seconds=0.25,
    )  # fmt: skip


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(epoch, value) of each tag, as TensorBoard shows them."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]
    }


def test_each_figure_of_an_epoch_is_a_scalar(tmp_path: Path) -> None:
    """They are there after each epoch, not only at the end. What was not measured is left out."""
    log = TensorBoardLog(tmp_path)
    log.add(metrics(1))
    log.add(replace(metrics(2), val_loss=None))
    found = scalars(tmp_path)
    assert set(found) == set(TAGS.values())
    assert found["loss/training"] == [(1, 1.5), (2, 1.5)]
    assert found["loss/validation"] == [(1, 1.75)]
    assert found["accuracy/validation_balanced"] == [(1, 0.125), (2, 0.125)]
    log.close()


def test_epochs_that_are_trained_again_are_replaced(tmp_path: Path) -> None:
    for resumed_after, loss in ((0, 1.0), (2, 2.0)):
        log = TensorBoardLog(tmp_path, resumed_after)
        for epoch in range(resumed_after + 1, 5):
            log.add(metrics(epoch, loss))
        log.close()
    assert scalars(tmp_path)["loss/training"] == [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0)]


def test_every_column_has_a_tag() -> None:
    assert set(TAGS) == {field.name for field in fields(EpochMetrics)} - {"epoch"}


def test_without_the_package_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    check_tensorboard()
    for name in [name for name in sys.modules if name.startswith(("torch.utils.tensorboard", "tensorboard"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UserError, match=r"tensorboard, which is not installed: .* pip install tensorboard$"):
        check_tensorboard()
