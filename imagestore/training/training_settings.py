"""The settings of a training: defaults, units and bounds. Imports nothing slow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from imagestore.console import UserError
from imagestore.networks.picture_sides import LARGEST_SIDE, SMALLEST_SIDE

WEIGHTS_FILE = "model_weights.pth"
CHECKPOINT_FILE = "checkpoint.pth"
SEEDS = 2**63  # torch and NumPy tell so many seeds apart
LARGEST_COUNT = 2**63 - 1  # NumPy and torch take no larger one
LARGEST_NUMBER = 1e18  # the product of two such numbers still fits a 32-bit float
BELOW_ONE = math.nextafter(1.0, 0.0)  # the largest float below 1

AUGMENTATIONS = ("none", "flip", "standard", "strong")
BALANCES = ("none", "weights", "sampling")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The settings that decide the weights. A checkpoint keeps them, and a resumed training uses them again.

    The defaults here are those of the first version; `settings_for` has those of each model. Raises
    ValueError if a value is of another type, out of its BOUNDS, or none of its CHOICES.
    """

    # network
    model: str = "colour"  # see networks/description.py
    # data
    size: int = 32  # pixels: the side of the square pictures that the network gets
    val_fraction: float = 0.1  # share of the images that is held back for validation, below 1
    augment: str = "none"  # none; flip; standard: a random crop and flip; strong: colours and a hole, too
    balance: str = "none"  # none; weights: of the loss; sampling: all labels equally often
    # optimizer (AdamW; the learning rate rises, then falls along half a cosine)
    batch_size: int = 32  # images that a process takes at a time
    grad_accum: int = 1  # batches in a step
    lr: float = 3e-3  # the highest learning rate
    weight_decay: float = 0.01
    label_smoothing: float = 0.05  # share of the target that is spread over all labels, below 1
    logit_adjust: float = 0.0  # how much less the network may trust that a label is rare; 0: as it finds it
    ema: float = 0.0  # decay of the moving average of the weights, a step, below 1; 0: no average
    amp: bool = False  # compute in 16 bits where that is safe
    # pretrained networks
    freeze: bool = False  # train the last layer alone, on features that are computed once
    unfreeze_after: int = 0  # epochs; then all of the network is trained; 0: never
    # random numbers
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name)
            is_number = isinstance(value, (int, type(low))) and not isinstance(value, bool)
            if not is_number or not low <= value <= high:
                raise ValueError(f"{name} {value!r} is not a number from {low} to {high}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} {getattr(self, name)!r} is none of {', '.join(choices)}")
        if (
            not isinstance(self.model, str)
            or not isinstance(self.amp, bool)
            or not isinstance(self.freeze, bool)
        ):
            raise ValueError("model, amp or freeze is of another type")


# The smallest and the largest value of each number.
BOUNDS: dict[str, tuple[int, int] | tuple[float, float]] = {
    "size": (SMALLEST_SIDE, LARGEST_SIDE),
    "val_fraction": (0.0, BELOW_ONE),
    "batch_size": (1, LARGEST_COUNT),
    "grad_accum": (1, 2**20),
    "lr": (0.0, LARGEST_NUMBER),
    "weight_decay": (0.0, LARGEST_NUMBER),
    "label_smoothing": (0.0, BELOW_ONE),
    "logit_adjust": (0.0, 10.0),
    "ema": (0.0, BELOW_ONE),
    "unfreeze_after": (0, LARGEST_COUNT),
    "seed": (0, LARGEST_COUNT),
}
FIRST_SETTINGS = {  # that the first version saved
    "size", "val_fraction", "batch_size", "lr", "weight_decay", "label_smoothing", "seed",
}  # fmt: skip
CHOICES: dict[str, tuple[str, ...]] = {"augment": AUGMENTATIONS, "balance": BALANCES}

# What differs from the defaults above, by the model; OTHER_MODELS are those of torchvision and timm.
OTHER_MODELS = "other"
DEFAULTS: dict[str, dict[str, Any]] = {
    "colour": {"size": 60, "batch_size": 64, "lr": 5e-3, "logit_adjust": 0.45, "ema": 0.998},
    "mlp": {"lr": 1e-3, "augment": "flip"},
    "small": {
        "size": 64,
        "batch_size": 64,
        "augment": "standard",
        "label_smoothing": 0.1,
        "weight_decay": 0.05,
    },
    OTHER_MODELS: {
        "size": 224,
        "lr": 1e-3,
        "augment": "standard",
        "label_smoothing": 0.1,
        "weight_decay": 0.05,
    },
}
FINE_TUNING = {"lr": 1e-4}  # from weights that were trained on other images
EPOCHS = 40
EPOCHS_UNFROZEN = 7  # after --unfreeze-after; 17 species of flowers were told no better later


def settings_for(
    model: str, requested: Mapping[str, Any], *, size: int, has_weights: bool, labels_are_colours: bool
) -> TrainingSettings:
    """The settings of a new training: those that were `requested`, and else the model's defaults.

    `size` is the side of the model's pictures, in pixels. Where the labels are colours, the augmentation
    never changes colours, nor which of them is the commonest. Raises ValueError.
    """
    settings = {**DEFAULTS.get(model, DEFAULTS[OTHER_MODELS]), "size": size, "model": model}
    if has_weights:
        settings |= FINE_TUNING
    if requested.get("balance", "none") != "none":
        settings["logit_adjust"] = 0.0  # one way of helping rare labels is enough
    if labels_are_colours and settings.get("augment", "none") != "none":
        settings["augment"] = "flip"
    return TrainingSettings(**settings | dict(requested))


def default_epochs(settings: TrainingSettings) -> int:
    """The epochs of a training, those of a frozen network included."""
    return settings.unfreeze_after + EPOCHS_UNFROZEN if settings.unfreeze_after else EPOCHS


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of one run. They may change when a training is resumed."""

    output: Path  # the folder for all files
    epochs: int | None = None  # of the whole training, those of earlier runs included; None: default_epochs
    resume: Path | None = None  # the checkpoint of an earlier run
    val: list[str] = field(default_factory=list)  # stores to validate with
    follow_external: bool = False  # see ImageStore
    cache: int | str | None = None  # auto, ram, disk, none, or bytes; see loading/make_batches.py
    device: str | None = None  # as torch names it; None: the best device of this machine
    workers: int = 1  # threads that decode; 0: no further ones
    weights: str | None = None  # begin with those of a file; "default": those that torchvision or timm keeps
    mean: tuple[float, float, float] | None = None  # of RGB in 0 to 1; None: as the weights say
    std: tuple[float, float, float] | None = None
    patience: int = 0  # epochs without a better one, after which the training ends; 0: never
    checkpoint_every: float = 0.0  # minutes; 0: after each epoch alone
    compile: bool = False  # let torch.compile make the network faster
    deterministic: bool = False  # take algorithms that give the same result each time, on GPUs too
    tensorboard: bool = False  # also write events for TensorBoard
    sync_bn: bool = False  # normalise over the batches of all processes, on GPUs


def check_flags_of_new_training(requested: Mapping[str, Any], options: RunOptions) -> None:
    """Raise UserError if a flag makes sense only with another one that is not given."""
    if requested.get("unfreeze_after") and not requested.get("freeze"):
        raise UserError("--unfreeze-after: nothing is frozen: give --freeze, too")
    frozen = requested.get("unfreeze_after", 0)
    if frozen and options.epochs is not None and options.epochs <= frozen:
        raise UserError(
            f"--unfreeze-after {frozen}: --epochs {options.epochs} leaves no epoch after it: give more"
        )
    if requested.get("freeze") and not options.weights:
        raise UserError(
            "--freeze: without --weights, the layers that are not trained stay random: "
            "give --weights FILE or --weights default, too, or leave --freeze out"
        )


def settings_to_resume(
    saved: Mapping[str, object], requested: Mapping[str, object], checkpoint: Path
) -> TrainingSettings:
    """The settings that a checkpoint has saved. Those that an older version did not know have their defaults.

    Raises UserError if they are not valid, or if other values are `requested`.
    """
    names = {field.name for field in fields(TrainingSettings)}
    try:
        if missing := FIRST_SETTINGS - saved.keys():
            raise KeyError(missing)
        settings = TrainingSettings(**{name: value for name, value in saved.items() if name in names})
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"{checkpoint}: a checkpoint with settings that are not valid; "
            "start a new training without --resume"
        ) from None
    for name, value in requested.items():
        if getattr(settings, name) != value:
            flag = "--" + name.replace("_", "-")
            raise UserError(
                f"{flag} {value}: the checkpoint was made with {getattr(settings, name)}: "
                f"leave {flag} out, or start a new training without --resume"
            )
    return settings
