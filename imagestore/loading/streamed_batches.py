"""Batches of images that worker processes decode whenever they are needed."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.skipped_images import SkippedImages
from imagestore.processes import STOPPING, blocked, end_with_parent


@dataclass
class StreamedBatches:
    """Images that do not fit into memory: worker processes decode each batch when it is needed."""

    dataset: HDF5Dataset
    positions: np.ndarray  # int64 (N,), in the dataset
    workers: int
    skipped: SkippedImages = field(default_factory=lambda: SkippedImages("train_model"))
    positions_skipped: set[int] = field(default_factory=set)  # each is named once, not in each epoch

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def decodable_count(self) -> int:
        """All images: it is not known which of them can be decoded."""
        return len(self.positions)

    @property
    def labels(self) -> Tensor:
        """int64 (N,): the label of each image."""
        return torch.from_numpy(self.dataset.label_numbers[self.positions])

    def iterate(self, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """See Batches.iterate."""
        chunks = [self.positions[chunk.numpy()].tolist() for chunk in order.split(batch_size)]
        workers = min(self.workers, len(chunks))
        # `timeout` and `scancel` signal all processes. The parent acts on it, and ends its workers itself.
        with warnings.catch_warnings(), blocked(*STOPPING):
            # torch warns if there are more workers than processors, but the user asked for them.
            warnings.simplefilter("ignore")
            loader = DataLoader(
                _WithReasons(self.dataset), batch_sampler=chunks, num_workers=workers, collate_fn=_collate,
                multiprocessing_context="fork" if workers else None,
                worker_init_fn=partial(_end_with_training, os.getpid()),
            )  # fmt: skip
            batches = iter(loader)
        count_before = self.skipped.count
        for images, labels, reasons in batches:
            for position in sorted(reasons.keys() - self.positions_skipped):
                self.skipped.add(reasons[position])
            self.positions_skipped |= reasons.keys()
            yield images, labels
        if self.skipped.count > count_before:
            self.skipped.note_count()


@dataclass(frozen=True)
class _WithReasons(Dataset):
    """A dataset as its workers see it: they also say what they skip."""

    dataset: HDF5Dataset

    def __getitems__(self, positions: list[int]) -> tuple[list[tuple[Tensor, int]], dict[int, str]]:
        return self.dataset.items_and_skipped(positions)


def _end_with_training(training: int, worker: int) -> None:
    """In a worker: end when the training is killed. torch overlooks that while a worker starts."""
    end_with_parent(signal.SIGKILL, training)


def _collate(
    items_and_skipped: tuple[list[tuple[Tensor, int]], dict[int, str]],
) -> tuple[Tensor, Tensor, dict[int, str]]:
    """Items as one batch, and what was skipped. A batch is empty if none of its images can be decoded."""
    items, skipped = items_and_skipped
    if not items:
        return torch.empty((0, 3, 1, 1), dtype=torch.uint8), torch.empty(0, dtype=torch.int64), skipped
    images, labels = default_collate(items)
    return images, labels, skipped
