"""The settings of a training: their bounds, and the settings that a checkpoint has saved."""

from __future__ import annotations

import math
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from imagestore.console import UserError
from imagestore.training.training_settings import BOUNDS, TrainingSettings, settings_to_resume

CHECKPOINT = Path("old.pth")


def test_each_setting_has_bounds() -> None:
    assert list(BOUNDS) == [field.name for field in fields(TrainingSettings)]


@pytest.mark.parametrize("name", BOUNDS)
def test_a_setting_may_have_its_smallest_and_largest_value(name: str) -> None:
    for value in BOUNDS[name]:
        assert getattr(TrainingSettings(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", 1),
        ("size", 4097),
        ("size", 32.0),
        ("val_fraction", 1.0),
        ("val_fraction", -0.1),
        ("batch_size", 0),
        ("batch_size", True),
        ("batch_size", "32"),
        ("batch_size", 2**63),
        ("lr", math.nan),
        ("lr", math.inf),
        ("lr", None),
        ("weight_decay", 1.1e18),
        ("label_smoothing", 1),
        ("label_smoothing", [0.1]),
        ("seed", -1),
        ("seed", 2**63),
    ],
)
def test_a_setting_out_of_bounds_raises(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        TrainingSettings(**{name: value})


def test_a_resumed_training_has_the_saved_settings() -> None:
    """Also if the same values are requested again. A later version may have saved more."""
    saved = TrainingSettings(size=16, lr=0.5, seed=7)
    assert settings_to_resume(asdict(saved), {}, CHECKPOINT) == saved
    assert settings_to_resume({**asdict(saved), "more": 1}, {"lr": 0.5, "seed": 7}, CHECKPOINT) == saved


def test_other_settings_than_the_saved_ones_are_an_error() -> None:
    saved = asdict(TrainingSettings(batch_size=8))
    message = "--batch-size 9: the checkpoint was made with 8: leave --batch-size out"
    with pytest.raises(UserError, match=message):
        settings_to_resume(saved, {"lr": 3e-3, "batch_size": 9}, CHECKPOINT)


@pytest.mark.parametrize("change", [{"size": 0}, {"lr": "fast"}, {"seed": 2**70}, {"seed": None}])
def test_odd_saved_settings_are_an_error(change: dict[str, object]) -> None:
    saved = {**asdict(TrainingSettings()), **change}
    with pytest.raises(UserError, match=r"old\.pth: a checkpoint with settings that are not valid"):
        settings_to_resume(saved, {}, CHECKPOINT)


def test_a_missing_saved_setting_is_an_error() -> None:
    with pytest.raises(UserError, match="settings that are not valid"):
        settings_to_resume({"size": 32}, {}, CHECKPOINT)
