"""The training loop: prepare, then for each epoch train, validate, print a line and write a checkpoint.

Each step draws its random numbers from the seed and the step's number alone. So a training that was stopped
and resumed takes the same steps as a training that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, astuple, dataclass, field, replace

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from imagestore.console import UserError, note, printable, progress
from imagestore.loading.batches import Batch, Batches
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.make_batches import Part, make_batches
from imagestore.loading.views import View
from imagestore.networks.colour_network import thin_out
from imagestore.networks.description import NetworkDescription
from imagestore.networks.device import choose_device
from imagestore.networks.image_network import ImageNetwork
from imagestore.networks.labels_file import save_labels
from imagestore.networks.make_network import make_network
from imagestore.networks.weights_file import save_network
from imagestore.processes import Stop, thread_count
from imagestore.store.labels import TEST, TRAIN, VAL
from imagestore.store.reader import ImageStore
from imagestore.training.checkpoint import Checkpoint, load_checkpoint
from imagestore.training.evaluation import Score, evaluate
from imagestore.training.log_lines import Pace, comparison_line, epoch_line, epoch_title, print_line
from imagestore.training.training_settings import (
    CHECKPOINT_FILE,
    WEIGHTS_FILE,
    RunOptions,
    TrainingSettings,
    settings_to_resume,
)
from imagestore.training.validation_split import choose_parts

VALIDATION_BATCH_SIZE = 512  # images
SEEDS = 2**63  # torch and NumPy tell so many seeds apart
SEEDS_APART = 1_000_003  # from the first step of one --seed to the first step of the next
WARM_UP = 0.15  # share of all steps in which the learning rate rises
NOTHING_DECODED = "none of the images to train on can be decoded: name another store"


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """How far a run has come."""

    step: int = 0  # steps taken, those of earlier runs included
    total_steps: int = 0
    has_written: bool = False  # False if a signal came before the first step of this run


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
    optimizer: torch.optim.AdamW
    step: int = 0  # steps taken, those of earlier runs included
    score: Score = field(default_factory=Score)  # of the current epoch
    images: int = 0  # trained on in this run

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches that all training images make."""
        return math.ceil(len(self.training_batches) / self.settings.batch_size)

    @property
    def total_steps(self) -> int:
        """The number of steps in all epochs."""
        return self.steps_per_epoch * self.epochs


def train_network(
    stores: list[ImageStore], requested: Mapping[str, int | float], options: RunOptions, stop: Stop
) -> TrainingResult:
    """Train until the last epoch or until `stop` is requested, then write weights, labels and checkpoint.

    `requested` are the TrainingSettings that the user gave. Prints a line for each epoch. Raises UserError,
    OSError.
    """
    training = prepare(stores, requested, options, stop)
    if training is None:
        return TrainingResult()

    while training.step < training.total_steps and not stop.requested:
        started, epoch = time.monotonic(), training.step // training.steps_per_epoch
        pace = train_epoch(training, epoch, stop)
        if training.step == (epoch + 1) * training.steps_per_epoch:  # else a signal came
            validation = validate(training, stop)
            check_loss(training, validation)
            print_epoch(training, epoch, validation, pace, time.monotonic() - started)
            training.score = Score()
        if training.images:
            save_checkpoint(training, options)

    if stop.requested and not training.images:  # the files of an earlier run stay
        return TrainingResult()
    save_results(training, stores, options)
    if training.step >= training.total_steps and len(training.validation_batches):
        print_line(comparison_line(training.validation_batches))
    return TrainingResult(step=training.step, total_steps=training.total_steps, has_written=True)


def prepare(
    stores: list[ImageStore], requested: Mapping[str, int | float], options: RunOptions, stop: Stop
) -> Training | None:
    """The data, the network and its optimizer, as new or as a checkpoint left them; None if `stop` came."""
    torch.set_num_threads(thread_count(options.workers))
    device = choose_device(options.device)
    checkpoint = load_checkpoint(options.resume, device) if options.resume else None
    if checkpoint:
        settings = settings_to_resume(checkpoint.settings, requested, options.resume)
    else:
        settings = TrainingSettings(**requested)

    dataset = HDF5Dataset(stores, size=settings.size)
    use_val = uses_val(dataset, settings, requested, is_resumed=checkpoint is not None)
    if use_val:
        settings = replace(settings, val_fraction=0.0)  # a resumed training knows by it that val/ was used
    parts = choose_parts(dataset, settings.val_fraction, settings.seed, use_val)  # positions, int64 (N,) each
    note_what_is_used(dataset, settings, use_val)
    (training_batches, validation_batches), _ = make_batches(
        [Part(dataset, part) for part in parts], View(settings.size), options.cache, options.workers, stop
    )
    if stop.requested:
        return None
    if not training_batches.decodable_count:
        raise UserError(NOTHING_DECODED)

    torch.manual_seed(settings.seed % SEEDS)
    description = NetworkDescription(model="colour", labels=tuple(dataset.classes), size=settings.size)
    network = make_network(description).to(device)
    training = Training(
        settings=settings, epochs=options.epochs, device=device, labels=dataset.classes,
        training_batches=training_batches, validation_batches=validation_batches, network=network,
        optimizer=torch.optim.AdamW(network.parameters(), settings.lr, weight_decay=settings.weight_decay),
    )  # fmt: skip
    if checkpoint:
        checkpoint.check_images(options.resume, training.labels, len(training_batches))
        checkpoint.restore(options.resume, network.model, training.optimizer)
        training.step, training.score = checkpoint.step, Score(*checkpoint.score)
    note(
        f"train_model: {training_batches.decodable_count:,} images to train on, "
        f"{validation_batches.decodable_count:,} to validate with, "
        f"{len(training.labels)} labels, on {device.type}"
    )
    return training


def uses_val(
    dataset: HDF5Dataset, settings: TrainingSettings, requested: Mapping[str, int | float], is_resumed: bool
) -> bool:
    """Whether the images below val/ are those to validate with: they are, unless --val-fraction is given."""
    if dataset.split is None or not (dataset.split == VAL).any():
        return False
    return settings.val_fraction == 0 if is_resumed else "val_fraction" not in requested


def note_what_is_used(dataset: HDF5Dataset, settings: TrainingSettings, use_val: bool) -> None:
    """Tell the user what is left out, and which part of a split is used for what."""
    for line in dataset.left_out:
        note(f"train_model: {line}")
    if dataset.split is None:
        return
    in_train, in_val, in_test = (int((dataset.split == part).sum()) for part in (TRAIN, VAL, TEST))
    share = f"validates with {100 * settings.val_fraction:g} % of it"
    unused = [f"{name}/ ({count:,})" for name, count in (("val", in_val), ("test", in_test)) if count]
    unused = unused[use_val:]
    note(
        f"train_model: trains on train/ ({in_train:,} images), "
        + (f"validates with val/ ({in_val:,})" if use_val else share)
        + (f"; does not use {' and '.join(unused)}" if unused else "")
    )


def train_epoch(training: Training, epoch: int, stop: Stop) -> Pace:
    """Take the steps of an epoch that remain, until `stop` is requested. Returns where the time went."""
    settings, network, optimizer = training.settings, training.network, training.optimizer
    smoothing = settings.label_smoothing
    started, images_before, pace = time.monotonic(), training.score.images, Pace()
    steps_taken = training.step - epoch * training.steps_per_epoch  # in this epoch, before a checkpoint
    order = epoch_order(training, epoch)[steps_taken * settings.batch_size :]  # int64 (n,)
    batches = timed(training.training_batches.iterate(order, settings.batch_size), pace)
    title = epoch_title(epoch, training.epochs)

    network.train()
    with progress(training.steps_per_epoch - steps_taken, title, "steps") as bar:
        for images, labels, _ in until_stopped(batches, stop):
            torch.manual_seed((settings.seed * SEEDS_APART + training.step) % SEEDS)
            images = thin_out(images.to(training.device))  # uint8 (B, 3, size/2, size/2)
            labels = labels.to(training.device)  # int64 (B,)
            logits = network(images)  # float32 (B, labels)
            loss_sum = cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)  # float32 ()
            optimizer.param_groups[0]["lr"] = learning_rate(training)
            optimizer.zero_grad(set_to_none=True)
            (loss_sum / max(len(labels), 1)).backward()  # B is 0 if no image of the batch can be decoded
            optimizer.step()
            training.score.add(logits.detach(), labels)
            training.step += 1
            training.images += len(labels)
            bar.update()
    pace.images = training.score.images - images_before
    pace.computing = time.monotonic() - started - pace.waiting
    return pace


def validate(training: Training, stop: Stop) -> Score:
    """Score the network on the validation images. If `stop` is requested, the score is empty."""
    batches = training.validation_batches
    in_order = torch.arange(len(batches))  # int64 (N,)
    batches_until_stop = until_stopped(batches.iterate(in_order, VALIDATION_BATCH_SIZE), stop)
    score = evaluate(training.network, batches_until_stop, training.device)
    return Score() if stop.requested else score  # a score of some of the images would mislead


# ----- steps of an epoch -----


def epoch_order(training: Training, epoch: int) -> Tensor:
    """int64 (N,): the order of the training images in an epoch, drawn from the seed and the epoch."""
    generator = torch.Generator().manual_seed((training.settings.seed + epoch) % SEEDS)
    return torch.randperm(len(training.training_batches), generator=generator)


def until_stopped(batches: Iterable[Batch], stop: Stop) -> Iterator[Batch]:
    """The batches until `stop` is requested."""
    for batch in batches:
        if stop.requested:
            return
        yield batch


def timed(batches: Iterable[Batch], pace: Pace) -> Iterator[Batch]:
    """The batches; the time until each of them is there is added to `pace.waiting`."""
    started = time.monotonic()
    for batch in batches:
        pace.waiting += time.monotonic() - started
        yield batch
        started = time.monotonic()
    pace.waiting += time.monotonic() - started


def learning_rate(training: Training) -> float:
    """The learning rate of the next step: it rises linearly, then falls along half a cosine."""
    taken = training.step / training.total_steps  # share of the steps
    return training.settings.lr * (min(1.0, taken / WARM_UP + 0.01) * (1 + math.cos(math.pi * taken)) / 2)


def check_loss(training: Training, validation: Score) -> None:
    """Raise UserError if no image of the epoch could be decoded, or if the loss is infinite or NaN."""
    if not training.score.images:
        raise UserError(NOTHING_DECODED)
    if not math.isfinite(training.score.loss_sum + validation.loss_sum):
        raise UserError(
            f"the loss is not a finite number any more: choose a smaller --lr than {training.settings.lr:g}"
        )


def print_epoch(training: Training, epoch: int, validation: Score, pace: Pace, seconds: float) -> None:
    """Print the line of a complete epoch."""
    skipped = max(0, training.training_batches.decodable_count - training.score.images)
    title = epoch_title(epoch, training.epochs)
    print_line(epoch_line(title, training.score, validation, skipped, pace, seconds))


# ----- files -----


def save_checkpoint(training: Training, options: RunOptions) -> None:
    """Write what a later run needs to take the next step."""
    checkpoint = Checkpoint(
        settings=asdict(training.settings), labels=training.labels, images=len(training.training_batches),
        step=training.step, score=astuple(training.score),
        model=training.network.model.state_dict(), optimizer=training.optimizer.state_dict(),
    )  # fmt: skip
    checkpoint.save(options.output / CHECKPOINT_FILE)


def save_results(training: Training, stores: list[ImageStore], options: RunOptions) -> None:
    """Write the weights and the labels that belong to them, and print where they are."""
    weights = options.output / WEIGHTS_FILE
    labels = options.output / f"{stores[0].path.stem}_labels.json"
    save_network(training.network, weights)
    save_labels(training.labels, labels)
    print_line(f"wrote {printable(str(weights))} and {printable(str(labels))}")
