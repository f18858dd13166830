"""The files of a training: weights and checkpoints.

A weights file is a plain state dict. All that is needed to build its network again is read from it: the
numbers of labels, colours and hidden units, the side of the pictures, and a checksum of the labels. Loading
never runs code from a file (`weights_only=True`).
"""

from __future__ import annotations

import io
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from imagestore.console import UserError
from imagestore.files.atomic_write import write_whole
from imagestore.training.labels_file import labels_crc32
from imagestore.training.network import ColourNet
from imagestore.training.training_settings import LARGEST_SIDE, SMALLEST_SIDE

HIDDEN_LAYER, OUTPUT_LAYER = "head.2", "head.5"  # their names in the state dict
NO_CHECKPOINT = "not a checkpoint; train_model.py writes one as checkpoint.pth"
OTHER_NETWORK = "weights of another network; use a file that train_model.py wrote"
# What Python and torch raise if a file holds something else than was saved.
UNEXPECTED_CONTENT = (LookupError, TypeError, AttributeError, ValueError, RuntimeError, OverflowError)


# ----- any file -----


def save_file(content: dict[str, Any], path: Path) -> None:
    """`torch.save`, whole or not at all. Raises UserError, OSError."""
    buffer = io.BytesIO()  # if torch writes a file itself, it hides why it could not, such as a full disk
    torch.save(content, buffer)
    with write_whole(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_file(path: Path, device: torch.device) -> dict[str, Any]:
    """Load tensors and plain values that `save_file` wrote, but no code. Raises UserError."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; train_model.py writes it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    with file:
        try:
            return torch.load(file, map_location=device, weights_only=True)
        except Exception as error:  # pickle, zip and torch have exceptions of their own for a damaged file
            raise UserError(f"{path}: not a file that torch can load ({type(error).__name__})") from error


# ----- weights -----


def load_model(path: Path, labels: Sequence[str], device: torch.device) -> ColourNet:
    """The network that a weights file was saved from, for these labels. Raises UserError."""
    state = load_file(path, device)
    try:
        colours = len(state["nearness.weight"])
        hidden = len(state[f"{HIDDEN_LAYER}.weight"])
        label_count = len(state[f"{OUTPUT_LAYER}.weight"])
        side, checksum = int(state["side"]), int(state["labels_crc32"])
    except UNEXPECTED_CONTENT:
        raise UserError(f"{path}: {OTHER_NETWORK}") from None
    _check_labels(path, labels, label_count, checksum)
    if not SMALLEST_SIDE <= side <= LARGEST_SIDE:
        raise UserError(
            f"{path}: trained on pictures of {side} pixels a side, which is not possible; train again"
        )
    try:
        model = ColourNet(labels, side, colours, hidden)
        model.load_state_dict(state)
    except UNEXPECTED_CONTENT:
        raise UserError(f"{path}: {OTHER_NETWORK}") from None
    if not all(bool(weights.isfinite().all()) for weights in model.parameters()):
        raise UserError(f"{path}: some weights are not finite numbers; train again")
    return model.to(device)


def _check_labels(path: Path, labels: Sequence[str], label_count: int, checksum: int) -> None:
    """Raise UserError if weights were not trained on these labels."""
    if label_count != len(labels):
        raise UserError(
            f"{path}: the weights are for {label_count} labels, but the labels file has {len(labels)}: "
            "use two files of the same training"
        )
    if checksum != labels_crc32(labels):
        raise UserError(f"{path}: trained on other labels: use the labels file of the same training")


# ----- checkpoints -----


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
