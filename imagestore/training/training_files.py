"""What a training writes into its folder, and prints: only the first of several processes does."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, astuple
from pathlib import Path

import torch
from torch import Tensor

from imagestore.console import UserError, counted, note, printable
from imagestore.files.atomic_write import write_whole
from imagestore.networks.labels_file import save_labels
from imagestore.networks.weights_file import plain_description, save_network
from imagestore.staged_stores import original_path
from imagestore.store.reader import ImageStore
from imagestore.training.checkpoint import Checkpoint
from imagestore.training.evaluation import Score
from imagestore.training.last_lines import last_lines
from imagestore.training.log_lines import Pace, epoch_line, epoch_title, print_line
from imagestore.training.metrics_file import METRICS_FILE, EpochMetrics, MetricsFile
from imagestore.training.predictions import Predictions
from imagestore.training.results import save_results_files
from imagestore.training.tensorboard_log import TENSORBOARD_FOLDER, TensorBoardLog
from imagestore.training.training_settings import CHECKPOINT_FILE, WEIGHTS_FILE, RunOptions
from imagestore.training.training_state import Best, Training


class TrainingFiles:
    """The files of one run."""

    def __init__(self, training: Training, options: RunOptions, stores: list[ImageStore]) -> None:
        """Nothing but TensorBoard's file is written before the first call of a method."""
        self.training, self.options = training, options
        self.weights = options.output / WEIGHTS_FILE
        self.labels = options.output / f"{stores[0].path.stem}_labels.json"
        self.metrics = MetricsFile(options.output / METRICS_FILE, training.epochs_done)
        self._tensorboard: TensorBoardLog | None = None
        if options.tensorboard and training.group.is_first:
            self._tensorboard = TensorBoardLog(options.output / TENSORBOARD_FOLDER, training.epochs_done)
        self._has_weights = training.group.gather(self._take_over_weights())[0]  # of this training
        if not self._has_weights:
            training.best = Best()
        self._last_checkpoint = time.monotonic()
        self._last_step = training.step if options.resume else None  # of the last checkpoint
        self._has_written = False  # a checkpoint

    # ----- while the network is trained -----

    def add_epoch(
        self,
        epoch: int,
        score: Score,
        validation: Score,
        predictions: Predictions,
        pace: Pace,
        seconds: float,
    ) -> None:
        """Print the line of a complete epoch, and write its metrics."""
        training = self.training
        if not training.group.is_first:
            return
        skipped = max(0, training.training_batches.decodable_count - score.images)
        title = epoch_title(epoch, training.epochs)
        print_line(epoch_line(title, score, validation, skipped, pace, seconds))
        metrics = EpochMetrics(
            epoch=epoch + 1, loss=score.mean_loss, accuracy=score.accuracy,
            val_loss=validation.mean_loss, val_accuracy=validation.accuracy,
            val_balanced_accuracy=predictions.balanced_accuracy,
            lr=training.optimizer.param_groups[0]["lr"], images_per_second=pace.images_per_second,
            seconds=seconds, waiting_seconds=pace.waiting,
        )  # fmt: skip
        self.metrics.add(metrics)
        if self._tensorboard:
            self._tensorboard.add(metrics)

    def save_weights(self, predictions: Predictions) -> None:
        """Write the weights as they are now, and the labels that belong to them."""
        self.training.best_pairs = pairs_as_tensor(predictions)
        if self.training.group.is_first:
            save_network(self.training.evaluated, self.weights)
            save_labels(self.training.labels, self.labels)
        self._has_weights = True

    def save_checkpoint(self) -> None:
        """Write what a later run needs to take the next step. All processes call it together.

        Raises UserError if the weights are not finite. Then the last checkpoint stays.
        """
        if not self.training.has_finite_weights:
            raise diverged(self.training)
        score = self.training.score()
        if self.training.group.is_first:
            self._write_checkpoint(score)
        self._last_checkpoint = time.monotonic()

    def save_checkpoint_in_time(self) -> None:
        """Write a checkpoint if --checkpoint-every minutes are over. All processes call it together."""
        minutes = self.options.checkpoint_every
        if not minutes:
            return
        is_time = time.monotonic() - self._last_checkpoint >= 60 * minutes
        if self.training.group.sum(is_time and self.training.group.is_first)[0]:
            self.save_checkpoint()

    def save_what_was_done(self) -> None:
        """Write a checkpoint before the training ends with an error. Other processes may be gone.

        If the weights were just changing, or are not finite, or the disk is full, the last checkpoint stays.
        """
        training = self.training
        if not training.images or not training.group.is_first or not training.is_between_steps:
            return
        if not training.has_finite_weights:
            return
        try:
            self._write_checkpoint(training.score() if training.group.size == 1 else training.known)
        except (OSError, UserError):
            self._note_last_checkpoint()
            return
        note(f"train_model: wrote a checkpoint after {counted(training.step, 'step')}: {self._checkpoint}")

    def _note_last_checkpoint(self) -> None:
        """Say where the last checkpoint of this training is, if there is one."""
        if self._last_step is not None:
            path = self._checkpoint if self._has_written else self.options.resume
            steps = counted(self._last_step, "step")
            note(f"train_model: the checkpoint after {steps} is whole: go on from it with --resume {path}")

    @property
    def _checkpoint(self) -> Path:
        return self.options.output / CHECKPOINT_FILE

    def _write_checkpoint(self, score: Score) -> None:
        training = self.training
        Checkpoint(
            settings=asdict(training.settings), labels=training.labels,
            images=len(training.training_batches), images_sum=training.images_sum,
            validation_sum=training.validation_sum,
            processes=training.group.size, step=training.step, epochs_done=training.epochs_done,
            score=astuple(score),
            network=plain_description(training.network.description),
            model=training.network.model.state_dict(), optimizer=training.optimizer.state_dict(),
            average=training.average.state_dict() if training.average is not None else None,
            scaler=training.scaler.state_dict(),
            best=astuple(training.best), best_pairs=training.best_pairs, cache=training.cache,
        ).save(self._checkpoint)  # fmt: skip
        self._last_step, self._has_written = training.step, True

    def _take_over_weights(self) -> bool:
        """Whether the best weights so far are in the folder; they may come from beside the checkpoint."""
        if self.training.best.epoch < 0 or self.weights.is_file() or not self.training.group.is_first:
            return self.training.best.epoch >= 0
        beside = self.options.resume.parent / WEIGHTS_FILE
        if not beside.is_file():
            note(f"train_model: {beside} is missing, so the best epoch is looked for anew")
            return False
        with write_whole(self.weights) as temporary:
            temporary.write_bytes(beside.read_bytes())
        return True

    # ----- when a run ends -----

    def save_results(self, is_complete: bool) -> None:
        """Write what tells about a training, and print where the weights are.

        If no epoch has been the best, the weights are those of the last step.
        """
        if not self._has_weights:
            self.save_weights(Predictions(self.training.labels))
        if not self.training.group.is_first:
            return
        if self._tensorboard:
            self._tensorboard.close()
        print_line(f"wrote {printable(str(self.weights))} and {printable(str(self.labels))}")
        if is_complete:
            self._save_report()

    def _save_report(self) -> None:
        training = self.training
        predictions = predictions_of(training.best_pairs, training.labels)
        network = plain_description(training.network.description)
        extra = {"training": self._summary()}
        names = save_results_files(self.options.output, training.settings, network, predictions, extra)
        print_line(f"wrote {', '.join(names)} beside them")
        for line in last_lines(predictions, self._best_epoch()):
            print_line(line)

    def _best_epoch(self) -> str:
        """Which epoch's weights are written; "" if there is no choice."""
        training = self.training
        done, best = training.epochs_done, training.best.epoch + 1
        if not best or not training.optimizer_steps(training.total_steps):
            return ""
        early = (
            f"; none was better in {counted(done - best, 'epoch')}, so it ended"
            if done < training.epochs
            else ""
        )
        return f"best epoch: {best} of {done}{early}"

    def _summary(self) -> dict[str, object]:
        """What report.json says of the run beside its settings."""
        training = self.training
        return {
            "epochs": training.step / training.steps_per_epoch, "best_epoch": training.best.epoch + 1,
            "images": len(training.training_batches), "images_to_validate": len(training.validation_batches),
            "processes": training.group.size, "device": str(training.device), "cache": training.cache,
            "stores": [original_path(store.path) for store in training.training_batches.dataset.stores],
            "weights": self.options.weights,
        }  # fmt: skip


def diverged(training: Training) -> UserError:
    """What to say if the loss or the weights are not finite."""
    lr = training.settings.lr
    return UserError(f"the loss is not a finite number any more: choose a smaller --lr than {lr:g}")


def pairs_as_tensor(predictions: Predictions) -> Tensor:
    """int64 (n, 3): true label, predicted label, and how many images have both."""
    rows = [(*pair, images) for pair, images in predictions.pairs.items()]
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 3)


def predictions_of(pairs: Tensor | None, labels: list[str]) -> Predictions:
    """The predictions of `pairs_as_tensor`; none without pairs."""
    predictions = Predictions(labels)
    if pairs is not None:
        predictions.pairs = Counter({(true, predicted): images for true, predicted, images in pairs.tolist()})
    return predictions
