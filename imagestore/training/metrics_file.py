"""metrics.csv: a line for each epoch of a training. Imports nothing slow.

A training that goes on from a checkpoint trains some epochs again: their lines are replaced. Each line is
one write at the end of the file, so a killed training loses at most the line that it was writing.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from imagestore.console import UserError, note, printable
from imagestore.files.atomic_write import write_whole

METRICS_FILE = "metrics.csv"


@dataclass(frozen=True, kw_only=True)
class EpochMetrics:
    """The figures of one epoch: the columns of metrics.csv. None or NaN is an empty cell."""

    epoch: int  # counted from 1
    loss: float | None  # of training, a mean over images
    accuracy: float | None  # of training, 0 to 1
    val_loss: float | None  # of the validation images, as are the next two; None without such images
    val_accuracy: float | None  # 0 to 1
    val_balanced_accuracy: float | None  # the mean of the labels' recalls, 0 to 1
    lr: float  # the learning rate of the epoch's last step
    images_per_second: float  # trained on
    seconds: float  # of the epoch, validation included
    waiting_seconds: float  # of it, until the next images were there


COLUMNS = [field.name for field in fields(EpochMetrics)]
HEADER = (",".join(COLUMNS) + "\n").encode()
EXACT = ("epoch",)  # written with all digits; the others with six that count


class MetricsFile:
    """metrics.csv of a training that starts, or that goes on after an epoch."""

    def __init__(self, path: Path, resumed_after_epoch: int = 0) -> None:
        """Nothing is read or written before the first `add`, so a training that does nothing changes nothing.

        The lines of the epochs up to `resumed_after_epoch` stay; a new training begins with 0.
        """
        self.path, self._resumed_after = path, resumed_after_epoch
        self._end = 0  # bytes of the complete lines

    def add(self, metrics: EpochMetrics) -> None:
        """Write the line of an epoch. Raises UserError, OSError.

        If the file that is there is none of a training, or is damaged, it is kept under another name, and the
        user is told.
        """
        if not self._end:
            self._end = self._keep_lines()
        line = _csv_line(metrics)
        with self.path.open("ab") as file:
            if file.tell() > self._end:  # a full disk has taken a part of a line
                file.truncate(self._end)
            file.write(line)
        self._end += len(line)

    def _keep_lines(self) -> int:
        """Write the file anew, with the lines of the epochs that are not trained again; return its size."""
        found, fault = _read(self.path.read_bytes()) if self.path.exists() else ([], "")
        kept = [metrics for metrics in found if metrics.epoch <= self._resumed_after]
        if fault:
            self._set_aside(fault, len(kept))
        content = HEADER + b"".join(map(_csv_line, kept))
        with write_whole(self.path) as temporary:
            temporary.write_bytes(content)
        return len(content)

    def _set_aside(self, fault: str, kept: int) -> None:
        """Give the file that is there a free name, and tell the user."""
        number = 1
        while (other := self.path.with_name(f"{self.path.stem}-{number}{self.path.suffix}")).exists():
            number += 1
        self.path.rename(other)
        begins = f"a new one begins with {kept} of its lines" if kept else "a new one begins"
        note(f"train_model: {printable(str(self.path))}: {fault}; it is now {other.name}, and {begins}")


def read_metrics(path: Path) -> list[EpochMetrics]:
    """The lines of a metrics.csv, without one that was not written to its end. Raises UserError, OSError."""
    kept, fault = _read(path.read_bytes())
    if fault:
        raise UserError(f"{path}: {fault}")
    return kept


def _read(content: bytes) -> tuple[list[EpochMetrics], str]:
    """The lines that are right, and what is wrong with the file, or ""."""
    lines = content.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    complete = lines[:-1]  # what stands behind the last end of a line was not written to its end
    if not complete and ",".join(COLUMNS).startswith(lines[-1]):
        return [], ""  # also an empty file
    if not complete or complete[0].split(",") != COLUMNS:
        return [], "not the metrics of a training"
    kept: list[EpochMetrics] = []
    faults = []
    for number, line in enumerate(complete[1:], 2):
        try:
            metrics = _parse(line.split(","))
            if metrics.epoch <= (kept[-1].epoch if kept else 0):
                raise ValueError("an epoch for the second time")
            kept.append(metrics)
        except ValueError:
            faults.append(number)
    return kept, f"damaged in line {', '.join(map(str, faults[:3]))}" if faults else ""


def _parse(cells: list[str]) -> EpochMetrics:
    """The figures of a line. Raises ValueError."""
    if len(cells) != len(COLUMNS):
        raise ValueError("another number of columns")
    values: dict[str, float | int | None] = {
        name: (int(cell) if name in EXACT else float(cell) if cell else None)
        for name, cell in zip(COLUMNS, cells, strict=True)
    }
    return EpochMetrics(**values)


def _csv_line(metrics: EpochMetrics) -> bytes:
    return (",".join(map(_cell, COLUMNS, astuple(metrics))) + "\n").encode()


def _cell(column: str, value: float | int | None) -> str:
    if value is None or not math.isfinite(value):
        return ""
    return str(value) if column in EXACT else f"{value:.6g}"
