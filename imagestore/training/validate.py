"""Validate a network: each image once, as it is, in whichever process."""

from __future__ import annotations

from collections import Counter

import torch

from imagestore.loading.copy_ahead import copy_ahead
from imagestore.networks.device import images_at_a_time
from imagestore.processes import Stop
from imagestore.training.evaluation import Score, no_sums, sums_of
from imagestore.training.predictions import Predictions
from imagestore.training.training_state import Training
from imagestore.training.training_step import computing_in_16_bits


@torch.inference_mode()
def validate(training: Training, stop: Stop) -> tuple[Score, Predictions] | None:
    """The score and the predictions of all validation images; None if `stop` is requested."""
    network, group, batches = training.evaluated, training.group, training.validation_batches
    network.eval()
    group.align(network.buffers())  # statistics of the images that each process has seen
    sums, predictions = no_sums(training.device), Predictions(training.labels)
    own = torch.arange(len(batches))[group.rank :: group.size]  # int64 (n,)
    chunks = own.split(images_at_a_time(training.settings.size, training.device))
    for batch in copy_ahead(batches.iterate(chunks), training.device):
        if stop.requested:
            break
        labels = batch.labels.to(training.device)
        with computing_in_16_bits(training):
            logits = network(batch.images.to(training.device)).float()
        sums += sums_of(logits, labels, sums.dtype)
        predictions.add(logits.argmax(1), labels)
    loss_sum, correct, images, stopped = group.sum(*sums.tolist(), stop.requested)
    if group.share_stop(stop, stopped):  # a score of some of the images would mislead
        return None
    predictions.pairs = sum(group.gather(predictions.pairs), Counter())
    return Score(loss_sum, int(correct), int(images)), predictions
