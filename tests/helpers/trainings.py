"""Trainings that have not begun, for the tests of their parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from imagestore.loading.batches import Batches
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.views import View
from imagestore.networks.description import NetworkDescription
from imagestore.networks.make_network import make_network
from imagestore.training.prepare_training import assemble
from imagestore.training.process_group import ALONE
from imagestore.training.training_settings import RunOptions, TrainingSettings
from imagestore.training.training_state import Training


def make_training(
    stores: Sequence[Path], output: Path, epochs: int = 10, hidden: int = 128, **settings: object
) -> Training:
    """A colour network for pictures of 8 pixels, all images but the last four to train on, 5 in a step."""
    settings = {"size": 8, "batch_size": 5, "lr": 0.5, **settings}
    dataset = HDF5Dataset(stores)
    torch.manual_seed(1)
    description = NetworkDescription(
        model="colour", labels=tuple(dataset.classes), size=8, options={"hidden": hidden}
    )
    positions = np.arange(len(dataset))
    batches = [Batches(dataset, View(8), 0, part) for part in (positions[:-4], positions[-4:])]
    return assemble(
        TrainingSettings(**settings), RunOptions(epochs=epochs, output=output, workers=0),
        make_network(description), batches, torch.device("cpu"), ALONE,
    )  # fmt: skip
