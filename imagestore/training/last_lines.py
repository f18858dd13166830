"""What a training and `classify.py` say at their end, in plain words. Imports nothing slow."""

from __future__ import annotations

from collections.abc import Iterator

from imagestore.console import counted, printable
from imagestore.training.predictions import Predictions

CONFUSIONS = 3  # pairs of labels that are named


def last_lines(predictions: Predictions, best_epoch: str = "") -> list[str]:
    """The best epoch, its accuracy, and the pairs of labels most often confused; none without predictions."""
    if not predictions.count:
        return []
    lines = [accuracy_line(predictions, "validation"), *confusion_lines(predictions)]
    return [best_epoch, *lines] if best_epoch else lines


def accuracy_line(predictions: Predictions, what: str) -> str:
    """Accuracy, balanced accuracy, and that of whoever always predicts the commonest label."""
    label, share = predictions.commonest or ("", None)
    return (
        f"{what}: accuracy {percent(predictions.accuracy)}, "
        f"balanced accuracy {percent(predictions.balanced_accuracy)}, "
        f"always {quoted(label)} {percent(share)}"
    )


def confusion_lines(predictions: Predictions) -> Iterator[str]:
    """A line for each of the pairs of labels that were confused most often."""
    for pair in predictions.most_confused(CONFUSIONS):
        true, predicted = quoted(pair.true_label), quoted(pair.predicted_label)
        images, were = counted(pair.images, "image"), "was" if pair.images == 1 else "were"
        yield f"often wrong: {pair.count:,} of {images} of {true} {were} predicted as {predicted}"


def percent(share: float | None) -> str:
    """A share, 0 to 1, such as '88.2 %'; '-' if it is not defined."""
    return "-" if share is None else f"{100 * share:.1f} %"


def quoted(label: str) -> str:
    """A label in quotation marks, on one line."""
    return f'"{printable(label)}"'
