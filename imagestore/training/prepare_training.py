"""Bring together all that a training needs: images, a network and its optimizer, new or from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from imagestore.console import UserError, counted, note, printable
from imagestore.loading.batches import Batches
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.make_batches import Part, make_batches
from imagestore.loading.views import View
from imagestore.networks.device import choose_device, use_threads
from imagestore.networks.dropout_by_image import draw_dropout_by_image
from imagestore.networks.image_network import ImageNetwork
from imagestore.processes import Stop
from imagestore.store.reader import ImageStore
from imagestore.training.averaged_weights import MovingAverage
from imagestore.training.checkpoint import Checkpoint, load_checkpoint
from imagestore.training.choose_network import new_network, resumed_network
from imagestore.training.evaluation import no_sums
from imagestore.training.images_to_use import LABELS_NAMED, choose_images
from imagestore.training.process_group import ProcessGroup
from imagestore.training.training_settings import RunOptions, TrainingSettings, default_epochs
from imagestore.training.training_state import Training

NOTHING_DECODED = "none of the images to train on can be decoded: name another store"
IDLE_IF_FROZEN = (
    "augment", "batch_size", "grad_accum", "lr", "weight_decay", "label_smoothing", "ema", "amp",
)  # fmt: skip
IDLE_OPTIONS_IF_FROZEN = ("epochs", "patience", "compile", "cache", "checkpoint_every")
AUGMENTED_VIEWS = {"none": "none", "flip": "flip", "standard": "crop", "strong": "crop"}


def prepare(
    stores: list[ImageStore],
    requested: Mapping[str, Any],
    options: RunOptions,
    stop: Stop,
    group: ProcessGroup,
) -> Training | None:
    """The images, the network and its optimizer, as new or as a checkpoint left them; None if `stop` came.

    `requested` are the TrainingSettings that the user gave. Raises UserError.
    """
    torch.use_deterministic_algorithms(options.deterministic)
    device = choose_device(options.device)
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # else what pins memory takes some of the first GPU's, too
    checkpoint = load_checkpoint(options.resume, torch.device("cpu")) if options.resume else None
    dataset = HDF5Dataset(stores)
    if checkpoint:
        settings, network = resumed_network(checkpoint, dataset.classes, requested, options)
        lines = []
    else:
        settings, network, lines = new_network(dataset, requested, options)
    use_threads(settings.model, options.workers)
    settings, parts = choose_images(dataset, settings, requested, options, is_resumed=checkpoint is not None)
    for line in lines:
        note(f"train_model: {line}")
    if settings.freeze and not settings.unfreeze_after:
        note_idle_flags(requested, options)
    batches, cache = cached_batches(parts, settings, network, options, checkpoint, device, stop)
    if group.share_stop(stop, group.sum(stop.requested)[0]):
        return None
    if not batches[0].decodable_count:
        raise UserError(NOTHING_DECODED)

    training = assemble(settings, options, network, batches, device, group)
    training.cache = cache
    if checkpoint:
        checkpoint.check_images(options.resume, training)
        checkpoint.restore(options.resume, training)
    note_what_is_trained(training)
    if options.val:
        note_shared_images(training)
    return training


def cached_batches(
    parts: Sequence[Part],
    settings: TrainingSettings,
    network: ImageNetwork,
    options: RunOptions,
    checkpoint: Checkpoint | None,
    device: torch.device,
    stop: Stop,
) -> tuple[list[Batches], str]:
    """The batches to train on and to validate with, and the kind of their cache. Raises UserError.

    A crop of a picture in a cache has other pixels than one that is decoded anew. So a resumed training needs
    a cache if the first run had one.
    """
    view = View(settings.size, network.description.view, AUGMENTED_VIEWS[settings.augment], settings.seed)
    cache = options.cache
    if settings.freeze and not settings.unfreeze_after:
        cache = "none"  # each image is used once
    elif checkpoint and cache is None:
        cache = checkpoint.cache
    lends = device.type == "cuda" or settings.grad_accum == 1  # else a step has several batches at a time
    batches, kind = make_batches(parts, view, cache, options.workers, stop, lends)
    cuts = view.side_to_keep != view.side
    before = checkpoint.cache if checkpoint else None
    if cuts and before is not None and (before == "none") != (kind == "none"):
        flag = "--cache none" if before == "none" else "--cache ram or --cache disk"
        raise UserError(
            f"{options.resume}: trained with --cache {before}, whose crops have other pixels than those of "
            f"--cache {kind}: use {flag}, or start a new training without --resume"
        )
    return batches, kind


def assemble(
    settings: TrainingSettings,
    options: RunOptions,
    network: ImageNetwork,
    batches: Sequence[Batches],
    device: torch.device,
    group: ProcessGroup,
) -> Training:
    """A training before its first step."""
    if options.sync_bn and (device.type != "cuda" or group.size == 1):
        note("train_model: --sync-bn: changes nothing, because it is for several processes on GPUs")
    elif options.sync_bn:
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    network = network.to(device, memory_format=torch.channels_last)
    in_16_bits = settings.amp and device.type != "cpu"
    if settings.amp and not in_16_bits:  # resnet18 took four times as long, on a processor made for bfloat16
        note("train_model: --amp: processors are slow with 16 bits, so it computes in 32")
    uses_half = in_16_bits and device.type == "cuda" and not torch.cuda.is_bf16_supported(False)
    return Training(
        settings=settings, epochs=options.epochs or default_epochs(settings), device=device,
        labels=list(network.description.labels),
        training_batches=batches[0], validation_batches=batches[1],
        network=network, forward=wrapped(network, options, group),
        optimizer=torch.optim.AdamW(network.parameters(), settings.lr, weight_decay=settings.weight_decay),
        sums=no_sums(device), scaler=torch.amp.GradScaler(device.type, enabled=uses_half),
        computes_in_16_bits=in_16_bits,
        average=MovingAverage(network, settings.ema) if settings.ema else None,
        dropouts=draw_dropout_by_image(network),
        label_weights=weights_of_labels(batches[0]).to(device) if settings.balance == "weights" else None,
        logit_shift=(settings.logit_adjust * log_prior(batches[0])).to(device),
        group=group,
    )  # fmt: skip


def wrapped(network: ImageNetwork, options: RunOptions, group: ProcessGroup) -> nn.Module:
    """The network as the steps call it: compiled, and as one of several processes."""
    forward: nn.Module = network
    if group.size > 1:
        forward = DistributedDataParallel(forward)
    return torch.compile(forward) if options.compile else forward


def weights_of_labels(batches: Batches) -> Tensor:
    """float32 (labels,): the share of a label that all have equally, divided by its own share."""
    labels = batches.labels
    counts = torch.bincount(labels, minlength=len(batches.dataset.classes)).clamp(min=1)
    return len(labels) / (len(labels.unique()) * counts)


def log_prior(batches: Batches) -> Tensor:
    """float32 (labels,): the logarithm of each label's share of the images; one more image for each label."""
    counts = torch.bincount(batches.labels, minlength=len(batches.dataset.classes)) + 1
    return (counts / counts.sum()).log()


def note_idle_flags(requested: Mapping[str, Any], options: RunOptions) -> None:
    """Name the flags that were given, and that change nothing where the last layer is trained alone."""
    names = [name for name in IDLE_IF_FROZEN if name in requested]
    names += [name for name in IDLE_OPTIONS_IF_FROZEN if getattr(options, name)]
    given = [f"--{name.replace('_', '-')}" for name in names]
    if given:
        change = "changes" if len(given) == 1 else "change"
        note(f"train_model: {', '.join(given)} {change} nothing with --freeze without --unfreeze-after")


def note_what_is_trained(training: Training) -> None:
    """Say how many images and labels there are, and how many processes share a step."""
    processes = training.group.size
    in_a_step = f"{counted(training.batch_of_all, 'image')} in a step"
    shared = f", by {processes} processes: {in_a_step}" if processes > 1 else ""
    note(
        f"train_model: {counted(training.training_batches.decodable_count, 'image')} to train on, "
        f"{training.validation_batches.decodable_count:,} to validate with, "
        f"{counted(len(training.labels), 'label')}, on {training.device.type}{shared}"
    )
    if len(training.labels) == 1:
        note("train_model: with one label alone, each answer is right: there is nothing to learn")
    note_untrained_labels(training.labels, training.training_batches)


def note_shared_images(training: Training) -> None:
    """Say how many images are in both parts: the network knows them, so its accuracy would mislead."""
    shared = int(np.isin(training.validation_batches.keys, training.training_batches.keys).sum())
    if shared:
        are = counted(shared, "of the images to validate with is", "of the images to validate with are")
        note(f"train_model: --val: {are} trained on, too, so the accuracy says little about new images")


def note_untrained_labels(labels: Sequence[str], batches: Batches) -> None:
    """Name the labels that have no image to train on, because all of theirs are held back."""
    counts = torch.bincount(batches.labels, minlength=len(labels)).tolist()
    names = [printable(label) for label, count in zip(labels, counts, strict=True) if not count]
    if names:
        named = ", ".join(names[:LABELS_NAMED]) + (", …" if names[LABELS_NAMED:] else "")
        have = counted(len(names), "of the labels has", "of the labels have")
        note(f"train_model: {have} no image to train on ({named})")
