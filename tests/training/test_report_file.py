"""report.json: what it holds, also where something is not known."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from imagestore.training import report_file
from imagestore.training.predictions import Predictions
from imagestore.training.report_file import save_report
from imagestore.training.training_settings import TrainingSettings
from tests.helpers.commands import ROOT


@dataclass(frozen=True)
class Network:
    model: str = "colour"
    labels: tuple[str, ...] = ("cat", "dog", "cow")
    options: dict[str, int] = field(default_factory=lambda: {"colours": 64})


def report(tmp_path: Path, **extra: object) -> dict:
    """A report of three labels; the last has no images."""
    predictions = Predictions(["cat", "dog", "cow"])
    predictions.add(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]))
    save_report(tmp_path / "report.json", TrainingSettings(lr=0.5), Network(), predictions, extra)
    return strict_json(tmp_path / "report.json")


def strict_json(path: Path) -> dict:
    """A JSON file; NaN and Infinity, which are no JSON, are errors."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_a_report_tells_how_good_each_label_is(tmp_path: Path) -> None:
    found = report(tmp_path, images={"training": 30, "validation": 4}, output=Path("out"), loss=float("nan"))
    assert found["settings"]["lr"] == 0.5
    assert found["network"] == {
        "model": "colour",
        "labels": ["cat", "dog", "cow"],
        "options": {"colours": 64},
    }
    assert found["images"] == {"training": 30, "validation": 4}
    assert (found["output"], found["loss"]) == ("out", None)
    assert found["labels"] == [
        {"label": "cat", "precision": 1.0, "recall": 2 / 3, "count": 3, "predicted": 2},
        {"label": "dog", "precision": 0.5, "recall": 1.0, "count": 1, "predicted": 2},
        {"label": "cow", "precision": None, "recall": None, "count": 0, "predicted": 0},
    ]
    assert found["validation"] == {
        "images": 4, "accuracy": 0.75, "balanced_accuracy": pytest.approx(5 / 6),
        "commonest_label": "cat", "commonest_share": 0.75,
        "most_confused": [{"true_label": "cat", "predicted_label": "dog", "count": 1, "images": 3}],
    }  # fmt: skip


def test_a_report_tells_where_it_was_made(tmp_path: Path) -> None:
    found = report(tmp_path)
    assert found["versions"]["torch"] == torch.__version__.partition("+")[0] or found["versions"]["torch"]
    assert found["versions"]["python"].count(".") == 2
    assert found["hardware"]["cpus"] >= 1
    assert found["hardware"]["memory"] > 1 << 28
    assert len(found["hardware"]["gpus"]) == torch.cuda.device_count()


def test_without_predictions_nothing_is_defined(tmp_path: Path) -> None:
    save_report(tmp_path / "report.json", {}, {}, Predictions(["a"]))
    found = strict_json(tmp_path / "report.json")
    assert found["validation"] == {
        "images": 0, "accuracy": None, "balanced_accuracy": None, "commonest_label": None,
        "commonest_share": None, "most_confused": [],
    }  # fmt: skip


def test_labels_of_any_name_come_back(tmp_path: Path) -> None:
    names = ["玫瑰", "no-utf8-\udcff", "a\nb", '"']
    save_report(tmp_path / "report.json", {}, {}, Predictions(names))
    assert [row["label"] for row in strict_json(tmp_path / "report.json")["labels"]] == names


def test_the_commit_is_that_of_the_checkout(tmp_path, monkeypatch) -> None:
    """Also from another folder. Without a repository, or without git, it is not known."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    head = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    monkeypatch.chdir(tmp_path)
    assert report_file.versions()["imagestore"] in (head, f"{head}-dirty")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert report_file.versions()["imagestore"] is None
    monkeypatch.setattr(report_file, "CHECKOUT", os.fspath(tmp_path))
    assert report_file.versions()["imagestore"] is None
