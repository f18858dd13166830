"""A network in training: what each step changes, and what it needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from imagestore.loading.batches import Batches
from imagestore.networks.dropout_by_image import DropoutByImage
from imagestore.networks.image_network import ImageNetwork
from imagestore.processes import Stop
from imagestore.training.evaluation import Score
from imagestore.training.process_group import ALONE, ProcessGroup
from imagestore.training.training_settings import TrainingSettings


@dataclass(frozen=True)
class Best:
    """The best epoch so far: the one with the highest accuracy, among equals with the lowest loss."""

    epoch: int = -1  # counted from 0; -1: none
    accuracy: float = -1.0
    loss: float = math.inf

    def is_below(self, score: Score) -> bool:
        """Whether another epoch is better."""
        return (-score.accuracy, score.mean_loss) < (-self.accuracy, self.loss)


@dataclass(kw_only=True)
class Training:
    """A network in training, and its images. Each step changes the fields with a default."""

    settings: TrainingSettings
    epochs: int
    device: torch.device
    labels: list[str]
    training_batches: Batches
    validation_batches: Batches
    network: ImageNetwork
    forward: nn.Module  # the network, compiled or as one of several processes sees it
    optimizer: torch.optim.AdamW
    logit_shift: Tensor  # float32 (labels,): added for the loss; see TrainingSettings.logit_adjust
    sums: Tensor  # float (3,): of the current epoch, in this process; see evaluation.sums_of
    scaler: torch.amp.GradScaler  # of losses, so that their 16-bit gradients are not 0
    computes_in_16_bits: bool = False
    average: AveragedModel | None = None  # of the weights (--ema)
    dropouts: list[DropoutByImage] = field(default_factory=list)
    label_weights: Tensor | None = None  # float32 (labels,): of the loss (--balance weights)
    group: ProcessGroup = ALONE
    cache: str = "none"  # the kind of cache that the images come from
    step: int = 0  # steps taken, those of earlier runs included
    epochs_done: int = 0  # all steps taken, validated and written
    is_between_steps: bool = True  # False while the weights change
    earlier: Score = field(default_factory=Score)  # of the current epoch, before the checkpoint
    known: Score = field(default_factory=Score)  # of the current epoch, as all processes last knew it
    best: Best = field(default_factory=Best)
    best_pairs: Tensor | None = None  # the predictions of the best epoch; see training_files.pairs_as_tensor
    images: int = 0  # trained on in this run

    @property
    def batch_of_all(self) -> int:
        """The images of a step, in all processes."""
        return self.settings.batch_size * self.settings.grad_accum * self.group.size

    @property
    def images_sum(self) -> int:
        """The sum of the keys of all training images, modulo 2^63."""
        return sum_of_keys(self.training_batches)

    @property
    def validation_sum(self) -> int:
        """The sum of the keys of all images to validate with, modulo 2^63."""
        return sum_of_keys(self.validation_batches)

    @property
    def steps_per_epoch(self) -> int:
        """The number of steps that all training images make."""
        return math.ceil(len(self.training_batches) / self.batch_of_all)

    @property
    def total_steps(self) -> int:
        """The number of steps in all epochs."""
        return self.steps_per_epoch * self.epochs

    @property
    def has_finite_weights(self) -> bool:
        """Whether the weights are numbers that a later step can start from."""
        return all(bool(weights.isfinite().all()) for weights in self.network.parameters())

    def optimizer_steps(self, steps: int) -> int:
        """How many of so many steps the optimizer takes: with --freeze, the head takes the first ones."""
        settings = self.settings
        if settings.freeze and not settings.unfreeze_after:
            return 0
        return max(0, steps - settings.unfreeze_after * self.steps_per_epoch)

    def score(self) -> Score:
        """Of the current epoch, in all processes, which call this together."""
        self.known = self._with_earlier(self.group.sum(*self.sums.tolist()))
        return self.known

    def someone_stopped(self, stop: Stop) -> bool:
        """Whether a process got a signal. All processes call this together, before each step.

        Several processes tell each other their sums, too: if one of them fails, the others know the score.
        """
        if self.group.size == 1:
            return stop.requested  # a GPU is not asked for the sums
        stopped, *sums = self.group.sum(stop.requested, *self.sums.tolist())
        self.known = self._with_earlier(sums)
        return self.group.share_stop(stop, stopped)

    def _with_earlier(self, sums: Sequence[float]) -> Score:
        loss_sum, correct, images = sums
        earlier = self.earlier
        return Score(
            earlier.loss_sum + loss_sum, earlier.correct + int(correct), earlier.images + int(images)
        )

    def end_epoch(self) -> None:
        """Begin to count for the next epoch."""
        self.epochs_done += 1
        self.earlier = self.known = Score()
        self.sums.zero_()

    @property
    def evaluated(self) -> ImageNetwork:
        """The network that is validated and written: the average, if there is one."""
        return self.average.module if self.average is not None else self.network


def sum_of_keys(batches: Batches) -> int:
    """The sum of the keys of all images, modulo 2^63; 0 without images."""
    return int(batches.keys.sum(dtype=np.uint64)) % 2**63
