"""One step of a training: from some batches to better weights.

All random numbers of a step are functions of the seed, the epoch and the images, or of the step's number
alone. So a training that was stopped and resumed takes the same steps as a training that was not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm  # of one, two and three dimensions, and of processes
from torch.nn.parallel import DistributedDataParallel

from imagestore.loading.batches import Batch
from imagestore.loading.random_numbers import mix_counted
from imagestore.training.augmentation import NUMBERS, change_strongly
from imagestore.training.epoch_order import COLOURS, DROPOUT, numbers_of_images
from imagestore.training.evaluation import sums_of
from imagestore.training.learning_rate import learning_rate
from imagestore.training.training_settings import SEEDS
from imagestore.training.training_state import Training

SEEDS_APART = 1_000_003  # from the first step of one --seed to the first step of the next


def take_step(training: Training, batches: Sequence[Batch]) -> None:
    """Take one step with the batches of this process. All processes of the group call it together."""
    images = int(training.group.sum(sum(len(batch.labels) for batch in batches))[0])
    set_learning_rate(training)
    training.optimizer.zero_grad(set_to_none=True)
    with _errors_change_nothing(training):
        for number, batch in enumerate(batches):
            torch.manual_seed((training.settings.seed * SEEDS_APART + training.step) % SEEDS)
            with _gradients_stay_here(training, until_last=number < len(batches) - 1):
                loss_sum = _loss_sum(training, batch)
                loss = loss_sum * training.group.size / max(images, 1)  # processes give the mean of gradients
                training.scaler.scale(loss).backward()
        if training.group.size > 1:
            training.score()  # which all know before the weights change, should one be killed just afterwards
    training.is_between_steps = False
    training.scaler.step(training.optimizer)
    training.scaler.update()
    if training.average is not None:
        training.average.update_parameters(training.network)
    training.step += 1
    training.images += images
    training.is_between_steps = True


def set_learning_rate(training: Training) -> None:
    """Give the optimizer the learning rate of the next step."""
    step, steps = map(training.optimizer_steps, (training.step, training.total_steps))
    rate = learning_rate(training.settings.lr, step, steps)
    for parameters in training.optimizer.param_groups:
        parameters["lr"] = rate


def computing_in_16_bits(training: Training) -> contextlib.AbstractContextManager[object]:
    """Compute in 16 bits where that is safe, if --amp is given and the device is made for it."""
    dtype = torch.float16 if training.scaler.is_enabled() else torch.bfloat16
    return torch.autocast(training.device.type, dtype, enabled=training.computes_in_16_bits)


def _loss_sum(training: Training, batch: Batch) -> Tensor:
    """float32 (): the sum of the losses of a batch. The batch is counted in `sums`."""
    draw_dropout(training, batch)
    labels = batch.labels.to(training.device, non_blocking=True)  # int64 (B,)
    images = augmented(training, batch)  # uint8 (B, 3, H, W)
    with computing_in_16_bits(training):
        logits = training.forward(images)[: len(labels)].float()  # (B, labels)
    training.sums += sums_of(logits.detach(), labels, training.sums.dtype)
    return cross_entropy(
        logits + training.logit_shift, labels, training.label_weights,
        reduction="sum", label_smoothing=training.settings.label_smoothing,
    )  # fmt: skip


def draw_dropout(training: Training, batch: Batch) -> None:
    """Tell the dropout layers which images come, so that each loses what its own number says."""
    if training.dropouts:
        numbers = _numbers(training, batch, DROPOUT) if len(batch.positions) else np.zeros(1, np.uint64)
        on_device = torch.from_numpy(numbers.view(np.int64)).to(training.device, non_blocking=True)
        for layer in training.dropouts:
            layer.numbers = on_device


def augmented(training: Training, batch: Batch) -> Tensor:
    """The images of a batch, uint8 (B, 3, H, W), on the device, with the changes that are made there.

    In place of no image, one of several processes gets a black one.
    """
    images = batch.images.to(training.device, non_blocking=True)
    if training.group.size > 1 and not len(images):  # DistributedDataParallel waits for each gradient
        return images.new_zeros((1, *images.shape[1:]))
    if training.settings.augment != "strong":
        return images
    drawn = mix_counted(_numbers(training, batch, COLOURS), NUMBERS) / 2.0**64  # float64 (B, NUMBERS)
    on_device = torch.from_numpy(drawn.astype(np.float32)).to(images.device, non_blocking=True)
    return change_strongly(images, on_device)


def _numbers(training: Training, batch: Batch, use: int) -> np.ndarray:
    """uint64 (B,): random numbers of the images of a batch in this epoch."""
    epoch = training.step // training.steps_per_epoch
    keys = training.training_batches.keys[batch.positions.numpy()]
    return numbers_of_images(keys, training.settings.seed, epoch, use)


@contextlib.contextmanager
def _errors_change_nothing(training: Training) -> Iterator[None]:
    """If the block raises, the sums and the statistics of normalisation layers are as they were before."""
    layers = (module for module in training.network.modules() if isinstance(module, _BatchNorm))
    changed = [training.sums, *(buffer for layer in layers for buffer in layer.buffers())]
    before = [tensor.clone() for tensor in changed]
    try:
        yield
    except BaseException:
        for tensor, value in zip(changed, before, strict=True):
            tensor.copy_(value)
        raise


@contextlib.contextmanager
def _gradients_stay_here(training: Training, until_last: bool) -> Iterator[None]:
    """Before the last batch of a step, processes do not exchange gradients."""
    if until_last and isinstance(training.forward, DistributedDataParallel):
        with training.forward.no_sync():
            yield
    else:
        yield
