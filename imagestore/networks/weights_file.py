"""The weights file of a training: a plain state dict.

All that is needed to build its network again is read from it: the numbers of labels, colours and hidden
units, the side of the pictures, and a checksum of the labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from imagestore.console import UserError
from imagestore.networks.colour_network import ColourNet
from imagestore.networks.labels_file import labels_crc32
from imagestore.networks.picture_sides import LARGEST_SIDE, SMALLEST_SIDE
from imagestore.networks.tensor_files import UNEXPECTED_CONTENT, load_file

HIDDEN_LAYER, OUTPUT_LAYER = "head.2", "head.5"  # their names in the state dict
OTHER_NETWORK = "weights of another network; use a file that train_model.py wrote"


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
