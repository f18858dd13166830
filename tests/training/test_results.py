"""The files beside the weights; a file that cannot be written ends nothing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from imagestore.training.metrics_file import EpochMetrics, MetricsFile
from imagestore.training.predictions import Predictions
from imagestore.training.results import save_results_files

ALL = ["report.json", "training.png", "confusion.png"]


@pytest.fixture
def predictions() -> Predictions:
    found = Predictions(["red", "blue"])
    found.add(np.array([0, 1]), np.array([0, 0]))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An output folder with the metrics of one epoch."""
    MetricsFile(tmp_path / "metrics.csv").add(
        EpochMetrics(
            epoch=1,
            loss=1,
            accuracy=0.5,
            val_loss=1,
            val_accuracy=0.5,
            val_balanced_accuracy=0.5,
            lr=0.1,
            images_per_second=10,
            seconds=1,
            waiting_seconds=0,
        )
    )
    return tmp_path


def test_pictures_and_report_are_written(folder: Path, predictions: Predictions) -> None:
    assert save_results_files(folder, {}, {}, predictions) == ALL
    assert sorted(os.listdir(folder)) == sorted([*ALL, "metrics.csv"])


def test_what_there_is_nothing_for_is_not_written(tmp_path: Path) -> None:
    """No metrics, and no validation images."""
    assert save_results_files(tmp_path, {}, {}, Predictions(["red"])) == ["report.json"]
    assert os.listdir(tmp_path) == ["report.json"]


@pytest.mark.parametrize("name", ALL)
def test_a_file_that_cannot_be_written_is_told(folder, predictions, name, capsys) -> None:
    """A folder is in the way. The other files are written."""
    (folder / name).mkdir()
    assert save_results_files(folder, {}, {}, predictions) == [other for other in ALL if other != name]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"train_model: {name} was not written: ")


def test_metrics_that_somebody_broke_are_told(folder: Path, predictions: Predictions, capsys) -> None:
    (folder / "metrics.csv").write_bytes(b"\x00\n")
    assert save_results_files(folder, {}, {}, predictions) == ["report.json", "confusion.png"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("train_model: training.png was not written: ")


def test_a_broken_matplotlib_is_told(folder, predictions, capsys, monkeypatch) -> None:
    """Its errors are of many kinds."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: [][0])
    assert save_results_files(folder, {}, {}, predictions) == ["report.json"]
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" was not")[0] for line in lines] == [
        "train_model: training.png",
        "train_model: confusion.png",
    ]
