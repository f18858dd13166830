"""The lines that a training prints to standard output."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from imagestore.training.evaluation import Score


def epoch_title(epoch: int, epochs: int) -> str:
    """Such as 'epoch 3/40'; `epoch` counts from 0."""
    return f"epoch {epoch + 1}/{epochs}"


@dataclass
class Pace:
    """Where the time of an epoch's steps went. Without the steps of an earlier run, and validation."""

    images: int = 0
    waiting: float = 0.0  # seconds until the next batch was there
    computing: float = 0.0  # seconds for the steps

    @property
    def images_per_second(self) -> float:
        """How many images were trained on in a second."""
        return self.images / max(self.waiting + self.computing, 1e-9)


def epoch_line(title: str, score: Score, validation: Score, skipped: int, pace: Pace, seconds: float) -> str:
    """The line after an epoch; `skipped` is the number of images that could not be decoded in it."""
    time = f"waiting {pace.waiting:.1f} s, computing {pace.computing:.1f} s"
    speed = f"{pace.images_per_second:,.0f} images/s" + (f", {skipped} skipped" if skipped else "")
    return f"{title}  {_score_text(score)}  val {_score_text(validation)}  {seconds:.1f} s  ({time}, {speed})"


def _score_text(score: Score) -> str:
    """Loss and accuracy, or '-' without images."""
    return f"loss {score.mean_loss:.3f}  accuracy {100 * score.accuracy:.1f} %" if score.images else "-"


def print_line(line: str) -> None:
    """Print a line at once. If nobody reads it any more (`| head`), the training goes on."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
