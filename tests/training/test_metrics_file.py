"""metrics.csv: its lines, its resumption, and files that are none or are damaged."""

from __future__ import annotations

import csv
import math
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from imagestore.console import UserError
from imagestore.training.metrics_file import COLUMNS, EpochMetrics, MetricsFile, read_metrics
from tests.helpers.commands import ROOT
from tests.helpers.full_disks import file_size_limit

HEADER = (
    "epoch,loss,accuracy,val_loss,val_accuracy,val_balanced_accuracy,lr,images_per_second,seconds,"
    "waiting_seconds"
)


def metrics(epoch: int, loss: float = 1.5) -> EpochMetrics:
    return EpochMetrics(
        epoch=epoch, loss=loss, accuracy=0.25, val_loss=1.75, val_accuracy=0.5, val_balanced_accuracy=0.125,
        lr=0.003, images_per_second=1234.5, seconds=2.5, waiting_seconds=0.25,
    )  # fmt: skip


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_an_epoch_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    file = MetricsFile(path)
    assert not path.exists()
    file.add(metrics(1))
    assert path.read_text() == f"{HEADER}\n1,1.5,0.25,1.75,0.5,0.125,0.003,1234.5,2.5,0.25\n"
    file.add(metrics(2))
    assert [row["epoch"] for row in rows(path)] == ["1", "2"]
    assert read_metrics(path) == [metrics(1), metrics(2)]


def test_what_was_not_measured_is_an_empty_cell(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    MetricsFile(path).add(replace(metrics(1), val_loss=None, val_accuracy=math.nan, loss=math.inf))
    (row,) = rows(path)
    assert (row["loss"], row["val_loss"], row["val_accuracy"]) == ("", "", "")
    (read,) = read_metrics(path)
    assert (read.loss, read.val_loss, read.val_accuracy) == (None, None, None)


@pytest.mark.parametrize("resumed_after", [0, 1, 3, 5, 9])
def test_lines_of_epochs_that_are_trained_again_are_replaced(tmp_path: Path, resumed_after: int) -> None:
    path = tmp_path / "metrics.csv"
    before = MetricsFile(path)
    for epoch in range(1, 6):
        before.add(metrics(epoch, loss=1))
    after = MetricsFile(path, resumed_after)
    after.add(metrics(resumed_after + 1, loss=2))
    after.add(metrics(resumed_after + 2, loss=2))
    kept = min(resumed_after, 5)
    expected = [(epoch, 1) for epoch in range(1, kept + 1)]
    expected += [(resumed_after + 1, 2), (resumed_after + 2, 2)]
    assert [(line.epoch, line.loss) for line in read_metrics(path)] == expected
    assert os.listdir(tmp_path) == ["metrics.csv"]


def test_a_run_without_an_epoch_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("what was there")
    MetricsFile(path)
    MetricsFile(path, 3)
    assert path.read_text() == "what was there"


def test_a_file_cut_anywhere_loses_only_its_last_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """At each byte where a killed training may have stopped to write."""
    path = tmp_path / "metrics.csv"
    file = MetricsFile(path)
    for epoch in (1, 2, 3):
        file.add(metrics(epoch))
    whole = path.read_bytes()
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        MetricsFile(path, 3).add(metrics(4))
        complete = max(whole[:end].count(b"\n") - 1, 0)
        assert [line.epoch for line in read_metrics(path)] == [*range(1, complete + 1), 4]
    assert os.listdir(tmp_path) == ["metrics.csv"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "content",
    [
        b"name,label\na.jpg,red\n",
        b"\x89PNG\r\n\x1a\n",
        b"a note of mine",
        b"\xff\xfe\n",
        b"epoch,loss\n1,2\n",
    ],
)
def test_a_file_of_another_kind_is_kept(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture
) -> None:
    """Under another name, which is free; and the user is told in one line."""
    path = tmp_path / "metrics.csv"
    path.write_bytes(content)
    (tmp_path / "metrics-1.csv").write_text("taken")
    MetricsFile(path).add(metrics(1))
    assert read_metrics(path) == [metrics(1)]
    assert (tmp_path / "metrics-2.csv").read_bytes() == content
    assert (tmp_path / "metrics-1.csv").read_text() == "taken"
    assert capsys.readouterr().err == (
        f"train_model: {path}: not the metrics of a training; it is now metrics-2.csv, and a new one begins\n"
    )


@pytest.mark.parametrize("line", ["x,y", "1,2,3", "", "2,a,,,,,,,,", "1,1,1,1,1,1,1,1,1,1", "2.5" + 9 * ","])
def test_a_damaged_line_is_told_and_the_others_stay(tmp_path, line, capsys):
    path = tmp_path / "metrics.csv"
    file = MetricsFile(path)
    file.add(metrics(1))
    file.add(metrics(3))
    lines = path.read_text().splitlines()
    damaged = "\n".join([*lines[:2], line, *lines[2:]]) + "\n"
    path.write_text(damaged)
    with pytest.raises(UserError, match="damaged in line 3"):
        read_metrics(path)
    MetricsFile(path, 3).add(metrics(4))
    assert [line.epoch for line in read_metrics(path)] == [1, 3, 4]
    assert (tmp_path / "metrics-1.csv").read_text() == damaged
    (message,) = capsys.readouterr().err.splitlines()
    assert "damaged in line 3; it is now metrics-1.csv, and a new one begins with 2 of its lines" in message


def test_a_part_of_a_line_on_a_full_disk_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    file = MetricsFile(path)
    file.add(metrics(1))
    with file_size_limit(path.stat().st_size + 10), pytest.raises(OSError):
        file.add(metrics(2))
    file.add(metrics(3))
    assert read_metrics(path) == [metrics(1), metrics(3)]


def test_a_file_that_windows_wrote_is_read(tmp_path: Path) -> None:
    """A spreadsheet may have saved it with other ends of lines."""
    path = tmp_path / "metrics.csv"
    MetricsFile(path).add(metrics(1))
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    MetricsFile(path, 1).add(metrics(2))
    assert read_metrics(path) == [metrics(1), metrics(2)]


def test_the_columns_are_the_fields() -> None:
    assert list(asdict(metrics(1))) == COLUMNS == HEADER.split(",")


KILLED = """
import itertools, sys
from pathlib import Path
from tests.training.test_metrics_file import metrics
from imagestore.training.metrics_file import MetricsFile
file = MetricsFile(Path(sys.argv[1]))
for epoch in itertools.count(1):
    file.add(metrics(epoch))
    print(epoch, flush=True)
"""


@pytest.mark.slow
def test_a_killed_writer_leaves_all_lines_it_had_written(tmp_path: Path) -> None:
    for wait in (1, 7, 40, 200, 900):
        path = tmp_path / f"metrics-{wait}.csv"
        command = [sys.executable, "-c", KILLED, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            for _ in range(wait):
                last = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            last = int([str(last), *process.stdout.read().split()][-1])
        assert len(read_metrics(path)) >= last
