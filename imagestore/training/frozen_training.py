"""Train the last layer alone (--freeze): on features that are computed once, in seconds."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from imagestore.console import UserError, note
from imagestore.loading.batches import Batches
from imagestore.networks.freed_memory import keep_freed_memory
from imagestore.processes import Stop
from imagestore.training.evaluation import Score, no_sums, sums_of
from imagestore.training.frozen_features import FEATURES_FOLDER, features_of
from imagestore.training.frozen_head import train_head
from imagestore.training.log_lines import Pace
from imagestore.training.predictions import Predictions
from imagestore.training.prepare_training import NOTHING_DECODED, weights_of_labels
from imagestore.training.training_files import TrainingFiles
from imagestore.training.training_state import Best, Training


def train_frozen(training: Training, files: TrainingFiles, stop: Stop) -> None:
    """Train the head, validate it, and write the weights. Ends early if `stop` is requested.

    Afterwards the training has taken the steps of --unfreeze-after epochs, or all of them.
    """
    started = time.monotonic()
    keep_freed_memory()
    found = [
        _decodable(training, part, files, stop)
        for part in (training.training_batches, training.validation_batches)
    ]
    if any(part is None for part in found):
        return
    (features, labels), (val_features, val_labels) = found
    if not len(labels):
        raise UserError(NOTHING_DECODED)
    head_started = time.monotonic()
    has_bias = training.network.head.bias is not None
    weights = None if training.settings.balance == "none" else weights_of_labels(training.training_batches)
    shift = training.logit_shift.cpu()
    head = train_head(features, labels, len(training.labels), weights, has_bias, shift)
    note(f"train_model: trained the last layer in {time.monotonic() - head_started:.1f} s")
    _put_in(training, head)

    score, _ = _evaluate(training, head, features, labels)
    validation, predictions = _evaluate(training, head, val_features, val_labels)
    epochs = training.settings.unfreeze_after or training.epochs
    if validation.images:
        training.best = Best(epochs - 1, validation.accuracy, validation.mean_loss)
    training.epochs_done, training.images = min(epochs, training.epochs), len(labels)
    training.step = training.epochs_done * training.steps_per_epoch
    seconds = time.monotonic() - started
    files.add_epoch(epochs - 1, score, validation, predictions, Pace(len(labels), 0.0, seconds), seconds)
    files.save_weights(predictions)
    files.save_checkpoint()


def _decodable(
    training: Training, batches: Batches, files: TrainingFiles, stop: Stop
) -> tuple[Tensor, Tensor] | None:
    """Features, float32 (n, F), and labels, int64 (n,), of images that can be decoded; None if stopped.

    Each process computes a part of them, and gets all.
    """
    group = training.group
    rows = np.array_split(np.arange(len(batches)), group.size)[group.rank]
    own = features_of(training.network, batches, rows, files.options.output / FEATURES_FOLDER, stop)
    parts = group.gather(own)
    if any(part is None for part in parts):
        return None
    features = np.concatenate(parts)
    is_decodable = ~np.isnan(features).any(1)
    return torch.from_numpy(features[is_decodable]), batches.labels[torch.from_numpy(is_decodable)]


def _put_in(training: Training, head: torch.nn.Linear) -> None:
    """Give the network's last layer the weights of the head."""
    training.network.use_head(head)
    if training.average is not None:
        training.average.module.load_state_dict(training.network.state_dict())


@torch.inference_mode()
def _evaluate(
    training: Training, head: torch.nn.Linear, features: Tensor, labels: Tensor
) -> tuple[Score, Predictions]:
    """The score and the predictions of the head for features, float32 (n, F)."""
    predictions, sums = Predictions(training.labels), no_sums(torch.device("cpu"))
    if len(labels):
        logits = head.cpu()(features)  # float32 (n, labels)
        predictions.add(logits.argmax(1), labels)
        sums = sums_of(logits, labels, sums.dtype)
    loss_sum, correct, images = sums.tolist()
    return Score(loss_sum, int(correct), int(images)), predictions
