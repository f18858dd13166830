"""Pictures of a training: what they show, and that all of it fits and can be read."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from imagestore.console import UserError
from imagestore.training.metrics_file import EpochMetrics, MetricsFile
from imagestore.training.plots import (
    OTHERS,
    confusion_figure,
    save_confusion_plot,
    save_training_plot,
    training_figure,
)
from imagestore.training.predictions import Predictions


def metrics(epoch: int) -> EpochMetrics:
    return EpochMetrics(
        epoch=epoch, loss=3 / epoch, accuracy=1 - 1 / epoch, val_loss=4 / epoch, val_accuracy=0.8,
        val_balanced_accuracy=0.7, lr=0.003, images_per_second=1000, seconds=2, waiting_seconds=0.25,
    )  # fmt: skip


def predictions(labels: list[str], images_of_a_label: int = 10) -> Predictions:
    """Of each label's images, one is taken for the next label; the labels have ever more images."""
    counted = Predictions(labels)
    for label in range(len(labels)):
        true = np.full(images_of_a_label + label, label)
        predicted = true.copy()
        predicted[0] = (label + 1) % len(labels)
        counted.add(predicted, true)
    return counted


def drawn(figure: Figure) -> None:
    """Draw the figure; no glyph may be missing, and no formula be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO(), format="png", bbox_inches="tight")


# ----- by epoch -----


def test_each_measure_has_a_line_with_a_point_for_each_epoch() -> None:
    loss, accuracy = training_figure([metrics(epoch) for epoch in (1, 2, 3)]).axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in loss.lines}
    assert lines == {"training": [[1, 3], [2, 1.5], [3, 1]], "validation": [[1, 4], [2, 2], [3, 4 / 3]]}
    lines = {line.get_label(): line.get_ydata().tolist() for line in accuracy.lines}
    assert lines["training"] == pytest.approx([0, 50, 200 / 3])
    assert lines["validation"] == pytest.approx([80] * 3)
    assert lines["validation, balanced"] == pytest.approx([70] * 3)


def test_what_was_not_measured_has_no_line() -> None:
    without = [
        replace(metrics(i), val_loss=None, val_accuracy=None, val_balanced_accuracy=None) for i in (1, 2)
    ]
    assert [len(axes.lines) for axes in training_figure(without).axes] == [1, 1]
    once = [metrics(1), replace(metrics(2), val_loss=None)]
    (_, validation) = training_figure(once).axes[0].lines
    assert np.isnan(validation.get_ydata()[1])


@pytest.mark.parametrize("epochs", [0, 1, 40, 1000])
def test_a_training_of_any_length_is_a_picture(epochs: int, tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.csv")
    drawn(training_figure([metrics(epoch) for epoch in range(1, epochs + 1)]))
    if epochs == 1:
        file.add(metrics(1))
        save_training_plot(tmp_path / "metrics.csv", tmp_path / "training.png")
        with Image.open(tmp_path / "training.png") as picture:
            assert picture.format == "PNG" and picture.width > 800


def test_damaged_metrics_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("name,label\n")
    with pytest.raises(UserError, match="not the metrics of a training"):
        save_training_plot(tmp_path / "metrics.csv", tmp_path / "training.png")
    assert not (tmp_path / "training.png").exists()


# ----- confusions -----


def shares(figure: Figure) -> np.ndarray:
    """float64 (n, n): what the squares show; NaN where they are grey."""
    return np.ma.filled(figure.axes[0].images[0].get_array(), np.nan)


def names_of(figure: Figure) -> tuple[list[str], list[str]]:
    """The names of the rows and of the columns."""
    axes = figure.axes[0]
    return (
        [text.get_text() for text in axes.get_yticklabels()],
        [text.get_text() for text in axes.get_xticklabels()],
    )


def test_squares_are_shares_of_the_true_label() -> None:
    counted = Predictions(["cat", "dog", "cow", "hen"])
    counted.add(np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 0, 0, 1, 1]))
    figure = confusion_figure(counted)
    expected = np.array([[75, 25, 0], [0, 50, 50], [np.nan] * 3])  # hen neither occurs nor is predicted
    assert np.array_equal(shares(figure), expected, equal_nan=True)
    assert names_of(figure) == (["cat  4", "dog  2", "cow  0"], ["cat", "dog", "cow"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["75", "25", "50", "50"]
    assert "6 images, 4 labels" in figure.axes[0].get_title()
    assert "the 3 that have images or were predicted" in figure.axes[0].get_title()


def test_many_labels_share_a_row_and_the_title_says_so() -> None:
    """The 40 labels with the most images stay, and the others are in the last row and column."""
    counted = predictions([f"label {i:03d}" for i in range(100)])
    figure = confusion_figure(counted)
    rows, columns = names_of(figure)
    assert columns == [*(f"label {i:03d}" for i in range(60, 100)), OTHERS]
    assert rows[-1] == f"{OTHERS}  {sum(10 + i for i in range(60)):,}"
    assert "the 40 labels with the most images; the others together" in figure.axes[0].get_title()
    assert np.isnan(shares(figure)[-1, -1])
    assert shares(figure)[39, 40] == pytest.approx(100 / 109)  # the last label is once taken for the first


@pytest.mark.parametrize("count", [1, 3, 25, 40, 100])
def test_names_neither_overlap_nor_leave_the_picture(count: int) -> None:
    figure = confusion_figure(predictions([f"a species with a very long name {i:03d}" for i in range(count)]))
    drawn(figure)
    axes = figure.axes[0]
    for labels in (axes.get_yticklabels(), axes.get_xticklabels()):
        boxes = [label.get_window_extent() for label in labels]
        assert not any(box.overlaps(other) for i, box in enumerate(boxes) for other in boxes[i + 1 :])
        assert all(figure.bbox.x0 <= box.x0 and figure.bbox.y0 <= box.y0 for box in boxes)
    title = axes.title.get_window_extent()
    assert not title.overlaps(axes.get_window_extent()) and title.y1 <= figure.bbox.y1


@pytest.mark.parametrize(
    "label", ["玫瑰", "$x^2$", "no-utf8-\udcff", "dark\x1b[1m\nred", "", "🌹", "a" * 300, "_leading", "a\\$b"]
)
def test_a_label_of_any_name_can_be_drawn(label: str, tmp_path: Path) -> None:
    drawn(confusion_figure(predictions([label, "red"])))
    save_confusion_plot(predictions([label, "red"]), tmp_path / "confusion.png")
    with Image.open(tmp_path / "confusion.png") as picture:
        picture.load()
