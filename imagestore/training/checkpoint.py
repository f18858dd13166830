"""The checkpoint of a training: all that a later run needs to take the next step."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from imagestore.console import UserError, counted
from imagestore.networks.tensor_files import UNEXPECTED_CONTENT, load_file, save_file
from imagestore.training.evaluation import Score
from imagestore.training.training_state import Best, Training

NO_CHECKPOINT = "not a checkpoint; train_model.py writes one as checkpoint.pth"


@dataclass(kw_only=True)
class Checkpoint:
    """A training between two steps: all that is needed to go on. The fields are the keys of the file.

    Those with a default are missing in the files of older versions. Raises TypeError or ValueError if a field
    is of another kind.
    """

    settings: dict[str, Any]  # of TrainingSettings
    labels: list[str]
    images: int  # that are trained on
    step: int  # steps taken since the beginning
    score: tuple[float, int, int]  # of the current epoch: the fields of Score
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    epochs_done: int | None = None  # validated; None: all whose steps are taken
    images_sum: int | None = None  # the sum of the images' keys: tells other images from these
    validation_sum: int | None = None  # the same of the images to validate with
    processes: int = 1  # that trained together
    network: dict[str, Any] | None = None  # the fields of its description; None: the first colour network
    average: dict[str, Tensor] | None = None  # see averaged_weights.py
    scaler: dict[str, Any] = field(default_factory=dict)  # of GradScaler
    best: tuple[int, float, float] = (-1, -1.0, math.inf)  # the fields of Best
    best_pairs: Tensor | None = None  # int64 (n, 3): true label, predicted label and images of the best epoch
    cache: str | None = None  # the kind of cache that the images came from

    def __post_init__(self) -> None:
        types = ((self.settings, dict), (self.labels, list), (self.model, dict), (self.optimizer, dict))
        if not all(isinstance(value, type_) for value, type_ in types):
            raise TypeError("not the parts of a checkpoint")
        loss_sum, correct, images = self.score
        self.score = float(loss_sum), operator.index(correct), operator.index(images)
        epoch, accuracy, loss = self.best
        self.best = operator.index(epoch), float(accuracy), float(loss)
        if min(map(operator.index, (self.images, self.step, self.processes - 1, self.epochs_done or 0))) < 0:
            raise ValueError("a negative number of images or steps")

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all. Raises UserError, OSError."""
        save_file(vars(self), path)

    def check_images(self, path: Path, training: Training) -> None:
        """Raise UserError if the checkpoint at `path` was made from other images than those of `training`."""
        labels, images = training.training_batches.dataset.classes, len(training.training_batches)
        if (len(self.labels), self.images) != (len(labels), images):
            raise UserError(
                f"{path}: made from {counted(self.images, 'image')} with "
                f"{counted(len(self.labels), 'label')}, not from these "
                f"{images:,} with {len(labels)}: name the same stores, or leave --resume out"
            )
        if self.labels != labels:
            other, label = next(pair for pair in zip(self.labels, labels, strict=True) if pair[0] != pair[1])
            raise UserError(
                f"{path}: made from images with other labels, such as {other!r} in place of {label!r}: name "
                "the same stores, or leave --resume out"
            )
        if self.images_sum not in (None, training.images_sum):
            raise UserError(
                f"{path}: made from other images or another part of them: name the same stores, or leave "
                "--resume out"
            )
        if self.validation_sum not in (None, training.validation_sum):
            raise UserError(
                f"{path}: made with other images to validate with: give the same --val, or leave --resume out"
            )
        if self.processes != training.group.size:
            raise UserError(
                f"{path}: made by {self.processes} processes, not by {training.group.size}: start as many, "
                "or leave --resume out"
            )

    def restore(self, path: Path, training: Training) -> None:
        """Load the state of a training whose network is on its device. Raises UserError."""
        network, optimizer = training.network, training.optimizer
        try:
            network.model.load_state_dict(self.model)
            optimizer.load_state_dict(self.optimizer)
            if training.optimizer_steps(self.step) and not optimizer.state:
                raise ValueError("an optimizer that has taken no step")
            for weights in network.parameters():
                moments = optimizer.state.get(weights)
                if moments and not moments["exp_avg"].shape == moments["exp_avg_sq"].shape == weights.shape:
                    raise ValueError("an optimizer of other weights")  # torch would fail at the first step
            if training.average is not None:
                training.average.load_state_dict(self.average)
            if training.scaler.is_enabled():
                training.scaler.load_state_dict(self.scaler)
        except UNEXPECTED_CONTENT:
            raise UserError(f"{path}: {NO_CHECKPOINT}") from None
        training.step, training.earlier = self.step, Score(*self.score)
        training.epochs_done = (
            self.step // training.steps_per_epoch if self.epochs_done is None else self.epochs_done
        )
        training.known = training.earlier
        training.best, training.best_pairs = Best(*self.best), self.best_pairs


def load_checkpoint(path: Path, device: torch.device) -> Checkpoint:
    """The checkpoint that was saved at `path`. Raises UserError."""
    try:
        return Checkpoint(**load_file(path, device))
    except UNEXPECTED_CONTENT:
        raise UserError(f"{path}: {NO_CHECKPOINT}") from None
