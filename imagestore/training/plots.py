"""Pictures of a training: its loss and accuracy by epoch, and which labels were taken for which.

matplotlib is imported only inside the functions. No screen is needed. Not safe in threads, as matplotlib is
not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imagestore.console import counted
from imagestore.drawing.figures import plain_line, save_figure
from imagestore.training.metrics_file import EpochMetrics, read_metrics
from imagestore.training.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

DPI = 120
MOST_MARKED = 40  # epochs that get a mark each; more would touch
MOST_LABELS = 40  # in the picture of confusions
MOST_NUMBERED = 25  # labels whose cells have numbers
LONGEST_LABEL = 26  # characters
OTHERS = "(all others)"

# Sizes in inches.
CELL = 0.3  # of a label
LEAST_SIDE = 2.4  # of all cells
NAMES = 2.9  # beside and below all cells
TITLE = 0.6
SCALE = 0.9  # of the colours


def save_training_plot(metrics: Path, path: Path) -> None:
    """Draw loss and accuracy by epoch, from a metrics.csv, into a file. Raises UserError, OSError."""
    save_figure(training_figure(read_metrics(metrics)), path)


def training_figure(epochs: Sequence[EpochMetrics]) -> Figure:
    """Two diagrams side by side: loss, and accuracy in per cent. What was not measured has no line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), dpi=DPI, layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    _draw_lines(loss, epochs, {"loss": "training", "val_loss": "validation"}, 1)
    names = {
        "accuracy": "training",
        "val_accuracy": "validation",
        "val_balanced_accuracy": "validation, balanced",
    }
    _draw_lines(accuracy, epochs, names, 100)
    loss.set_title("loss")
    accuracy.set_title("accuracy (%)")
    loss.set_ylim(bottom=0)
    accuracy.set_ylim(0, 102)
    return figure


def _draw_lines(axes: Axes, epochs: Sequence[EpochMetrics], names: dict[str, str], scale: float) -> None:
    """A line for each of the columns `names`, times `scale`, with a legend."""
    numbers = [metrics.epoch for metrics in epochs]
    mark = "o" if len(epochs) <= MOST_MARKED else ""
    for (column, name), style in zip(names.items(), ("-", "-", "--"), strict=False):
        values = [getattr(metrics, column) for metrics in epochs]
        if any(value is not None for value in values):
            scaled = [math.nan if value is None else scale * value for value in values]
            axes.plot(numbers, scaled, style + mark, markersize=3, linewidth=1.5, label=name)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(frameon=False)


def save_confusion_plot(predictions: Predictions, path: Path) -> None:
    """Draw how often each label was predicted as which, into a file. Raises UserError, OSError."""
    save_figure(confusion_figure(predictions), path, is_cropped=True)


def confusion_figure(predictions: Predictions) -> Figure:
    """A square for each true label (row) and predicted label (column): its share of the row's images.

    At most MOST_LABELS labels are shown, those with the most images. The others share a row and a column;
    their square where both meet is grey, because it would not tell right from wrong.
    """
    from matplotlib.figure import Figure

    numbers = predictions.most_frequent(MOST_LABELS)
    names = [predictions.labels[number] for number in numbers]
    counts = predictions.matrix(numbers)  # int64 (n + 1, n + 1)
    if counts[-1].any() or counts[:, -1].any():
        names.append(OTHERS)
    else:
        counts = counts[:-1, :-1]
    images = counts.sum(1)  # int64 (n,)
    share = np.where(images > 0, 100 * counts.T / np.maximum(images, 1), np.nan).T  # float64 (n, n)
    if len(names) > len(numbers):
        share[-1, -1] = np.nan
    side = max(LEAST_SIDE, CELL * len(names))
    width, height = NAMES + side + SCALE, NAMES + side + TITLE
    figure = Figure(figsize=(width, height), dpi=DPI)
    axes = figure.add_axes((NAMES / width, NAMES / height, side / width, side / height))
    scale = figure.add_axes(((NAMES + side + 0.15) / width, NAMES / height, 0.15 / width, side / height))
    squares = _draw_squares(axes, share)
    figure.colorbar(squares, scale, label="% of the row's images")
    _name_squares(axes, images, names)
    axes.set_title(_title(predictions, numbers), fontsize=10)
    return figure


def _draw_squares(axes: Axes, share: np.ndarray) -> AxesImage:
    """The squares, darker for a larger share in per cent, float64 (n, n); those of NaN are grey."""
    axes.set_facecolor("0.9")
    squares = axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    for row, column in np.argwhere(share > 0).tolist() if len(share) <= MOST_NUMBERED else []:
        text = f"{share[row, column]:.0f}"
        colour = "white" if share[row, column] > 55 else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    return squares


def _name_squares(axes: Axes, images: np.ndarray, names: Sequence[str]) -> None:
    """The labels beside the rows, with the number of images, int64 (n,), and below the columns."""
    lines = [plain_line(name, LONGEST_LABEL) for name in names]
    rows = [f"{line}  {count:,}" for line, count in zip(lines, images.tolist(), strict=True)]
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set_xticks(range(len(lines)), lines, fontsize=8, rotation=90)
    axes.set_ylabel("true label, and its images")
    axes.set_xlabel("predicted label")


def _title(predictions: Predictions, shown: Sequence[int]) -> str:
    title = f"validation: {counted(predictions.count, 'image')}, {counted(len(predictions.labels), 'label')}"
    left_out = len(predictions.labels) - len(shown)
    if not left_out:
        return title
    if len(shown) < MOST_LABELS:
        return f"{title}\nthe {len(shown)} that have images or were predicted"
    return f"{title}\nthe {len(shown)} labels with the most images; the others together"
