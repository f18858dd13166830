"""Runs of train_model.py in the tests' own process, where torch is imported already."""

from __future__ import annotations

import csv
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import train_model
from imagestore.console import main
from imagestore.processes import Stop
from imagestore.store.open_stores import open_stores

TIMES = {"images_per_second", "seconds", "waiting_seconds"}  # columns of metrics.csv


def train_here(capsys: pytest.CaptureFixture, *arguments: object) -> tuple[int, str, list[str]]:
    """Exit status, standard output and lines of standard error of `train_model.py` with these arguments."""
    status = main("train_model", train_model.build_parser(), train_model.train, list(map(str, arguments)))
    captured = capsys.readouterr()
    return status, captured.out, captured.err.splitlines()


@dataclass
class StopAfterChecks(Stop):
    """A stop that is requested after so many checks. A training checks before each batch, and in between."""

    checks: int = 0

    @property
    def requested(self) -> bool:
        """As if a signal had come between two batches."""
        self.checks -= 1
        if self.checks < 0:
            self.signum = signal.SIGTERM
        return self.signum is not None


def train_until_check(store: Path, output: Path, checks: int, *options: object) -> int:
    """The exit status of a training that gets SIGTERM after it has checked for signals so many times."""
    output.mkdir(exist_ok=True)
    given = map(str, (store, "-o", output, "-j", 1, *options))
    arguments = train_model.build_parser().parse_args([*given])
    return train_model.train_until_stopped(open_stores([store]), arguments, StopAfterChecks(checks=checks))


def weights_in(folder: Path) -> dict[str, torch.Tensor]:
    """The weights that a training wrote into a folder."""
    return torch.load(folder / "model_weights.pth", weights_only=True)["state_dict"]


def metrics_in(folder: Path) -> list[dict[str, str]]:
    """The rows of a training's metrics.csv, without what depends on the time."""
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        return [{name: row[name] for name in row if name not in TIMES} for row in csv.DictReader(file)]


def have_equal_weights(folder: Path, other: Path) -> bool:
    """Whether the trainings in two folders ended with the same weights, bit for bit."""
    weights, other_weights = weights_in(folder), weights_in(other)
    return all(torch.equal(weights[key], other_weights[key]) for key in weights)
