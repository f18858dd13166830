"""Weights files of networks that were not trained, and as earlier versions wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from imagestore.networks.description import NetworkDescription
from imagestore.networks.first_colour_network import FirstColourNet
from imagestore.networks.labels_file import labels_crc32
from imagestore.networks.make_network import make_network
from imagestore.networks.weights_file import save_network


def save_weights(path: Path, labels: Sequence[str], side: int, model: str = "colour") -> Path:
    """A weights file as train_model.py writes it. torch's global generator draws the weights."""
    save_network(make_network(NetworkDescription(model=model, labels=tuple(labels), size=side)), path)
    return path


def save_old_weights(
    path: Path,
    labels: Sequence[str],
    side: float,
    network: FirstColourNet | None = None,
    **others: torch.Tensor,
) -> Path:
    """A weights file of the version of 2026-11: a state dict with the side and a checksum of the labels."""
    network = network or FirstColourNet(len(labels))
    values = {"side": torch.tensor(side), "labels_crc32": torch.tensor(labels_crc32(labels))}
    torch.save({**network.state_dict(), **values, **others}, path)
    return path
