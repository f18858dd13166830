"""The files of a training: weights and checkpoints."""

from __future__ import annotations

import io
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from imagestore import files
from imagestore.arguments import LARGEST_SIDE, SMALLEST_SIDE
from imagestore.console import UserError
from imagestore.training.labels_file import labels_crc32
from imagestore.training.network import ColourNet

PERCEPTRON = ("head.2", "head.5")  # the names of its two layers in the state dict


SIDES = range(SMALLEST_SIDE, LARGEST_SIDE + 1)  # pixels: what --size of train_model.py takes


NO_CHECKPOINT = "no checkpoint; train_model.py writes one as checkpoint.pth"


NOT_WHAT_WAS_SAVED = (LookupError, TypeError, AttributeError, ValueError, RuntimeError, OverflowError)


def save_file(thing: dict[str, Any], path: Path) -> None:
    """`torch.save`, whole or not at all. Raises UserError, OSError."""
    saved = io.BytesIO()  # to a file, torch hides why it could not write, such as a full disk
    torch.save(thing, saved)
    with files.whole(path) as part:
        part.write_bytes(saved.getbuffer())


def load_file(path: Path, device: torch.device) -> dict[str, Any]:
    """What `save_file` wrote: tensors and plain values, never code. Raises UserError."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; train_model.py writes it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    with file:
        try:
            return torch.load(file, map_location=device, weights_only=True)
        except Exception as error:  # pickle, zip and torch each have their own kinds for a damaged file
            raise UserError(f"{path}: no file that torch can load ({type(error).__name__})") from error


def load_model(path: Path, labels: Sequence[str], device: torch.device) -> ColourNet:
    """The network that a weights file was saved from, for these labels. Raises UserError."""
    state = load_file(path, device)
    try:
        colours, hidden, trained_for = (len(state[f"{layer}.weight"]) for layer in ("nearness", *PERCEPTRON))
        side, checksum = int(state["side"]), int(state["labels_crc32"])
    except NOT_WHAT_WAS_SAVED:
        raise UserError(f"{path}: weights of another network; use a file that train_model.py wrote") from None
    if trained_for != len(labels):
        raise UserError(
            f"{path}: the weights know {trained_for} labels, the labels file has {len(labels)}: "
            "use the two files of the same training"
        )
    if checksum != labels_crc32(labels):
        raise UserError(f"{path}: trained on other labels: use the labels file of the same training")
    if side not in SIDES:
        raise UserError(f"{path}: trained on pictures of {side} pixels a side, which cannot be; train again")
    try:
        model = ColourNet(labels, side, colours, hidden)
        model.load_state_dict(state)
    except NOT_WHAT_WAS_SAVED:
        raise UserError(f"{path}: weights of another network; use a file that train_model.py wrote") from None
    if not all(bool(weights.isfinite().all()) for weights in model.parameters()):
        raise UserError(f"{path}: weights that are no numbers; train again")
    return model.to(device)


@dataclass
class Checkpoint:
    """A training at rest: all that is needed to go on as if it had not stopped."""

    settings: dict[str, Any]  # of train_model.Settings
    labels: list[str]
    images: int  # trained on
    step: int  # batches done since the beginning
    score: tuple[float, int, int]  # of the epoch in hand, a Score's fields
    model: dict[str, Tensor]
    optimizer: dict[str, Any]

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError where a file had something else under these names."""
        kinds = ((self.settings, dict), (self.labels, list), (self.model, dict), (self.optimizer, dict))
        if not all(isinstance(value, kind) for value, kind in kinds):
            raise TypeError("not the parts of a checkpoint")
        loss, right, seen = self.score
        self.score = float(loss), operator.index(right), operator.index(seen)
        if min(operator.index(self.images), operator.index(self.step)) < 0:
            raise ValueError("less than nothing was trained")

    def put_into(self, path: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Load the state of both, which are on their device already. Raises UserError."""
        try:
            network.load_state_dict(self.model)
            optimizer.load_state_dict(self.optimizer)
            for weights in network.parameters():
                means = optimizer.state[weights]
                if not means["exp_avg"].shape == means["exp_avg_sq"].shape == weights.shape:
                    raise ValueError("an optimizer of other weights")  # it would tell at its first step
        except NOT_WHAT_WAS_SAVED:
            raise UserError(f"{path}: {NO_CHECKPOINT}") from None

    def check_fits(self, path: Path, labels: list[str], images: int) -> None:
        """Raise UserError where it was made from other images than these."""
        if (self.labels, self.images) != (labels, images):
            raise UserError(
                f"{path}: made from {self.images:,} images with {len(self.labels)} labels, not from these "
                f"{images:,} with {len(labels)}: name the same stores, or leave --resume out"
            )


def load_checkpoint(path: Path, device: torch.device) -> Checkpoint:
    """What `save_file(asdict(checkpoint), path)` wrote. Raises UserError."""
    try:
        return Checkpoint(**load_file(path, device))
    except NOT_WHAT_WAS_SAVED:
        raise UserError(f"{path}: {NO_CHECKPOINT}") from None
