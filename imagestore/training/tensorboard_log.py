"""The figures of each epoch for TensorBoard, with the package tensorboard, which is optional."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from imagestore.console import UserError
from imagestore.printed_commands import pip_install
from imagestore.training.metrics_file import EpochMetrics

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

TENSORBOARD_FOLDER = "tensorboard"  # in the output folder
TAGS = {  # TensorBoard draws tags with the same first part side by side
    "loss": "loss/training",
    "val_loss": "loss/validation",
    "accuracy": "accuracy/training",
    "val_accuracy": "accuracy/validation",
    "val_balanced_accuracy": "accuracy/validation_balanced",
    "lr": "lr",
    "images_per_second": "time/images_per_second",
    "seconds": "time/seconds",
    "waiting_seconds": "time/waiting_seconds",
}


def check_tensorboard() -> None:
    """Raise UserError if the package tensorboard is not installed, or is one that torch cannot use."""
    _writer_class()


class TensorBoardLog:
    """Event files of a training that starts, or that goes on after an epoch.

    TensorBoard does not show what an earlier run wrote of later epochs.
    """

    def __init__(self, folder: Path, resumed_after_epoch: int = 0) -> None:
        """Open a new event file in `folder`. Raises UserError, OSError."""
        self._writer = _writer_class()(str(folder), purge_step=resumed_after_epoch + 1)

    def add(self, metrics: EpochMetrics) -> None:
        """Write the figures of an epoch that are known. Raises OSError."""
        for column, value in asdict(metrics).items():
            if column in TAGS and value is not None:
                self._writer.add_scalar(TAGS[column], value, metrics.epoch)
        self._writer.flush()

    def close(self) -> None:
        """Write what is left. Raises OSError."""
        self._writer.close()


def _writer_class() -> type[SummaryWriter]:
    """torch's writer of event files. Raises UserError."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        reason = "is not installed" if isinstance(error, ModuleNotFoundError) else f"cannot be used ({error})"
        how = pip_install("tensorboard")
        raise UserError(f"--tensorboard needs the package tensorboard, which {reason}: {how}") from None
    return SummaryWriter
