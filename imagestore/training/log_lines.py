"""The lines that a training prints to standard output."""

from __future__ import annotations

import os
import sys

from imagestore.training.batches import Batches
from imagestore.training.evaluation import Score, commonest_label_share


def epoch_title(epoch: int, epochs: int) -> str:
    """Such as 'epoch 3/40'; `epoch` counts from 0."""
    return f"epoch {epoch + 1}/{epochs}"


def epoch_line(
    title: str, score: Score, validation: Score, skipped: int, images_per_second: float, seconds: float
) -> str:
    """The line after an epoch; `skipped` is the number of images that could not be decoded in it."""
    speed = f"{images_per_second:,.0f} images/s" + (f", {skipped} skipped" if skipped else "")
    return f"{title}  {_score_text(score)}  val {_score_text(validation)}  {seconds:.1f} s  ({speed})"


def _score_text(score: Score) -> str:
    """Loss and accuracy, or '-' without images."""
    return f"loss {score.mean_loss:.3f}  accuracy {100 * score.accuracy:.1f} %" if score.images else "-"


def comparison_line(batches: Batches) -> str:
    """The line that compares a network with one that always predicts the commonest label of `batches`."""
    percent = 100 * commonest_label_share(batches.labels)
    return f"for comparison: the commonest label alone would be right for {percent:.1f} %"


def print_line(line: str) -> None:
    """Print a line at once. If nobody reads it any more (`| head`), the training goes on."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
