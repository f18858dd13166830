"""The settings of a training: their bounds, and the settings that a checkpoint has saved."""

from __future__ import annotations

import math
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from imagestore.console import UserError
from imagestore.training.training_settings import (
    BOUNDS,
    CHOICES,
    TrainingSettings,
    default_epochs,
    settings_for,
    settings_to_resume,
)

CHECKPOINT = Path("old.pth")


def test_each_setting_has_bounds() -> None:
    others = {"model", "amp", "freeze", *CHOICES}
    assert {*BOUNDS, *others} == {field.name for field in fields(TrainingSettings)}


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
        ("ema", 1.0),
        ("grad_accum", 0),
        ("augment", "more"),
        ("balance", 3),
        ("model", None),
        ("amp", 1),
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


def test_a_checkpoint_of_the_first_version_has_todays_defaults() -> None:
    names = ("size", "val_fraction", "batch_size", "lr", "weight_decay", "label_smoothing", "seed")
    saved = {name: getattr(TrainingSettings(), name) for name in names}
    assert settings_to_resume(saved, {}, CHECKPOINT) == TrainingSettings()


def test_each_model_has_defaults_and_the_user_the_last_word() -> None:
    options = {"size": 64, "has_weights": False, "labels_are_colours": False}
    assert settings_for("small", {}, **options).augment == "standard"
    assert settings_for("small", {}, **{**options, "labels_are_colours": True}).augment == "flip"
    assert settings_for("small", {"augment": "none", "lr": 0.25}, **options).augment == "none"
    assert settings_for("small", {"lr": 0.25}, **{**options, "has_weights": True}).lr == 0.25
    rates = [settings_for("resnet18", {}, **{**options, "has_weights": has}).lr for has in (False, True)]
    assert rates[0] > rates[1]


def test_an_unfrozen_network_is_trained_for_few_epochs() -> None:
    """A resumed training knows it by its settings, so it has as many as one that was not stopped."""
    assert default_epochs(TrainingSettings()) == 40
    assert default_epochs(TrainingSettings(freeze=True)) == 40
    assert default_epochs(TrainingSettings(freeze=True, unfreeze_after=3)) == 10
