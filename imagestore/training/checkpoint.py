"""The checkpoint of a training: all that a later run needs to take the next step."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from imagestore.console import UserError
from imagestore.networks.tensor_files import UNEXPECTED_CONTENT, load_file, save_file

NO_CHECKPOINT = "not a checkpoint; train_model.py writes one as checkpoint.pth"


@dataclass(kw_only=True)
class Checkpoint:
    """A training between two steps: all that is needed to go on. The fields are the keys of the file.

    Raises TypeError or ValueError if a field is of another kind.
    """

    settings: dict[str, Any]  # of TrainingSettings
    labels: list[str]
    images: int  # that are trained on
    step: int  # steps taken since the beginning
    score: tuple[float, int, int]  # of the current epoch: the fields of Score
    model: dict[str, Tensor]
    optimizer: dict[str, Any]

    def __post_init__(self) -> None:
        types = ((self.settings, dict), (self.labels, list), (self.model, dict), (self.optimizer, dict))
        if not all(isinstance(value, type_) for value, type_ in types):
            raise TypeError("not the parts of a checkpoint")
        loss_sum, correct, images = self.score
        self.score = float(loss_sum), operator.index(correct), operator.index(images)
        if min(operator.index(self.images), operator.index(self.step)) < 0:
            raise ValueError("a negative number of images or steps")

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all. Raises UserError, OSError."""
        save_file(vars(self), path)

    def check_images(self, path: Path, labels: list[str], images: int) -> None:
        """Raise UserError if the checkpoint at `path` was made from other images than these."""
        if (self.labels, self.images) != (labels, images):
            raise UserError(
                f"{path}: made from {self.images:,} images with {len(self.labels)} labels, not from these "
                f"{images:,} with {len(labels)}: name the same stores, or leave --resume out"
            )

    def restore(self, path: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Load the state of a network that is on its device, and of its optimizer (AdamW).

        Raises UserError.
        """
        try:
            network.load_state_dict(self.model)
            optimizer.load_state_dict(self.optimizer)
            for weights in network.parameters():
                moments = optimizer.state[weights]
                if not moments["exp_avg"].shape == moments["exp_avg_sq"].shape == weights.shape:
                    raise ValueError("an optimizer of other weights")  # torch would fail at the first step
        except UNEXPECTED_CONTENT:
            raise UserError(f"{path}: {NO_CHECKPOINT}") from None


def load_checkpoint(path: Path, device: torch.device) -> Checkpoint:
    """The checkpoint that was saved at `path`. Raises UserError."""
    try:
        return Checkpoint(**load_file(path, device))
    except UNEXPECTED_CONTENT:
        raise UserError(f"{path}: {NO_CHECKPOINT}") from None
