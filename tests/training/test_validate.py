"""Validation: each image once."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from imagestore.processes import Stop
from imagestore.training.validate import validate
from tests.helpers.trainings import make_training


def test_validation_counts_each_image_once(
    two_stores: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagestore.training.validate.images_at_a_time", lambda *_: 3)
    score, predictions = validate(make_training(two_stores, tmp_path), Stop())
    assert (score.images, predictions.count) == (4, 4)
    assert score.correct == predictions.right
    assert math.isfinite(score.loss_sum)


def test_a_stopped_validation_has_no_score(two_stores: list[Path], tmp_path: Path) -> None:
    stop = Stop()
    stop.signum = 15
    assert validate(make_training(two_stores, tmp_path), stop) is None
