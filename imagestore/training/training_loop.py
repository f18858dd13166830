"""The training loop: prepare, then for each epoch train, validate, print a line and write the files."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from torch.nn.modules.batchnorm import _BatchNorm  # of one, two and three dimensions, and of processes

from imagestore.console import UserError
from imagestore.loading.batches import Batch
from imagestore.loading.copy_ahead import copy_ahead
from imagestore.processes import Stop
from imagestore.progress import progress
from imagestore.store.reader import ImageStore
from imagestore.training.compiling import compiler_error
from imagestore.training.epoch_order import order_of_epoch, parts_of_steps
from imagestore.training.evaluation import Score
from imagestore.training.frozen_training import train_frozen
from imagestore.training.log_lines import Pace, epoch_title
from imagestore.training.prepare_training import NOTHING_DECODED, prepare
from imagestore.training.process_group import ALONE, ProcessGroup
from imagestore.training.tensorboard_log import check_tensorboard
from imagestore.training.training_files import TrainingFiles, diverged
from imagestore.training.training_settings import RunOptions
from imagestore.training.training_state import Best, Training
from imagestore.training.training_step import take_step
from imagestore.training.validate import validate


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """How far a run has come."""

    step: int = 0  # steps taken, those of earlier runs included
    total_steps: int = 0
    has_written: bool = False  # False if a signal came before the first step of this run
    is_complete: bool = False  # the last epoch is done, or no epoch was better for --patience epochs
    images: int = 0  # trained on in this run, each as often as it was
    outputs: Sequence[Path] = ()


def train_network(
    stores: list[ImageStore],
    requested: Mapping[str, Any],
    options: RunOptions,
    stop: Stop,
    group: ProcessGroup = ALONE,
) -> TrainingResult:
    """Train until the last epoch or until `stop` is requested, and write weights, labels and results.

    `requested` are the TrainingSettings that the user gave. Prints a line for each epoch. If something fails,
    a checkpoint of the steps that were taken is written first. Raises UserError, OSError and what torch
    raises.
    """
    if options.tensorboard:
        check_tensorboard()  # before the images are decoded
    training = prepare(stores, requested, options, stop, group)
    if training is None:
        return TrainingResult()
    files = TrainingFiles(training, options, stores)
    try:
        if training.settings.freeze and not training.step:
            train_frozen(training, files, stop)
        is_stopped = train_epochs(training, files, stop, options.patience)
    except BaseException as error:
        files.save_what_was_done()
        if told := compiler_error(error):
            raise told from error
        raise
    if is_stopped and not training.images:  # the files of an earlier run stay
        return TrainingResult()
    files.save_results(is_complete=is_complete(training, options.patience))
    return TrainingResult(
        step=training.step, total_steps=training.total_steps, has_written=True,
        is_complete=is_complete(training, options.patience), images=training.images,
        outputs=[files.weights, files.labels],
    )  # fmt: skip


def train_epochs(training: Training, files: TrainingFiles, stop: Stop, patience: int) -> bool:
    """Train and validate, epoch by epoch, until all are done or none is better any more.

    Returns whether `stop` was requested before, in one of the processes.
    """
    while not is_complete(training, patience):
        if training.someone_stopped(stop):
            return True
        started, epoch = time.monotonic(), training.epochs_done
        pace = train_epoch(training, epoch, stop, files)
        if training.step == (epoch + 1) * training.steps_per_epoch:  # else a signal came
            finish_epoch(training, files, stop, pace, started)
        if training.images or training.epochs_done > epoch:
            files.save_checkpoint()
    return False


def finish_epoch(training: Training, files: TrainingFiles, stop: Stop, pace: Pace, started: float) -> None:
    """Validate, print the epoch's line, and write the weights if they are the best. `started` is its start.

    If `stop` is requested meanwhile, a resumed training does it.
    """
    epoch, score = training.epochs_done, training.score()
    validated = validate(training, stop)
    if validated is None:
        return
    validation, predictions = validated
    check_loss(training, score, validation)
    is_best = bool(validation.images) and training.best.is_below(validation)
    if is_best:
        training.best = Best(epoch, validation.accuracy, validation.mean_loss)
    files.add_epoch(epoch, score, validation, predictions, pace, time.monotonic() - started)
    if is_best or not len(training.validation_batches):
        files.save_weights(predictions)
    training.end_epoch()


def is_complete(training: Training, patience: int) -> bool:
    """Whether all epochs are done, or `patience` epochs (if any) have not been better than the best one.

    A head that is trained alone (--freeze) is at its best at once.
    """
    if training.step and not training.optimizer_steps(training.total_steps):
        return True
    without_better = training.epochs_done - 1 - training.best.epoch
    has_lost_patience = bool(patience) and training.best.epoch >= 0 and without_better >= patience
    return training.epochs_done >= training.epochs or has_lost_patience


def train_epoch(training: Training, epoch: int, stop: Stop, files: TrainingFiles) -> Pace:
    """Take the steps of an epoch that remain, until `stop` is requested. Returns where the time went."""
    started, images_before, pace = time.monotonic(), training.images, Pace()
    steps_taken = training.step - epoch * training.steps_per_epoch  # in this epoch, before a checkpoint
    parts = own_parts(training, epoch)[steps_taken:]
    chunks = [chunk for part in parts for chunk in part]
    batches = copy_ahead(timed(training.training_batches.iterate(chunks, epoch), pace), training.device)

    set_to_train(training)
    title = epoch_title(epoch, training.epochs)
    with progress(len(parts), title, "steps") as bar, closing(batches):
        for part in parts:
            of_step = list(islice(batches, len(part)))
            if training.someone_stopped(stop):
                break
            take_step(training, of_step)
            files.save_checkpoint_in_time()
            bar.update()
    pace.images = training.images - images_before
    pace.computing = time.monotonic() - started - pace.waiting
    return pace


def set_to_train(training: Training) -> None:
    """Set the network's layers as a step needs them.

    After --freeze, normalisation layers keep the statistics of the weights that the head was trained for. Of
    the few images of an epoch, new ones take long to settle: 17 species of flowers fell from 91 % to 76 %.
    """
    training.network.train()
    if training.settings.freeze:
        for layer in training.network.modules():
            if isinstance(layer, _BatchNorm):
                layer.eval()


def own_parts(training: Training, epoch: int) -> list[list]:
    """What this process takes in each step of an epoch; see parts_of_steps."""
    settings, batches, group = training.settings, training.training_batches, training.group
    by_label = settings.balance == "sampling"
    order = order_of_epoch(batches.keys, batches.labels, settings.seed, epoch, by_label)  # int64 (N,)
    return list(parts_of_steps(order, settings.batch_size, settings.grad_accum, group.rank, group.size))


def timed(batches: Iterable[Batch], pace: Pace) -> Iterator[Batch]:
    """The batches; the time until each of them is there is added to `pace.waiting`."""
    started = time.monotonic()
    for batch in batches:
        pace.waiting += time.monotonic() - started
        yield batch
        started = time.monotonic()
    pace.waiting += time.monotonic() - started


def check_loss(training: Training, score: Score, validation: Score) -> None:
    """Raise UserError if no image of the epoch could be decoded, or if the loss is infinite or NaN."""
    if not score.images:
        raise UserError(NOTHING_DECODED)
    if not math.isfinite(score.loss_sum + validation.loss_sum):
        raise diverged(training)
