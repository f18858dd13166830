"""`summary` as a user runs it."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.helpers.commands import Run
from tests.helpers.small_stores import add, picture


def test_the_summary_counts_by_label(run: Run, sample_store: Path) -> None:
    lines = [line.split() for line in run("colourHeuristic.py", "summary", sample_store).stdout.splitlines()]
    with h5py.File(sample_store) as file:
        counts = {label: len(images) for label, images in file.items()}
    assert {label: int(count) for label, count, _ in lines[:-1]} == counts
    assert [int(count) for _, count, _ in lines[:-1]] == sorted(counts.values(), reverse=True)
    assert lines[-1][:2] == ["total", "60"]
    assert sum(float(share.rstrip("%")) for *_, share in lines[:-1]) == pytest.approx(100, abs=1)


def test_several_stores_are_summed(run: Run, sample_store: Path, tmp_path: Path) -> None:
    shutil.copy(sample_store, tmp_path / "again.h5")
    done = run("colourHeuristic.py", "summary", sample_store, tmp_path / "*.h5")
    assert done.stdout.splitlines()[-1].split()[:2] == ["total", "120"]


def test_the_summary_is_straight_for_any_letters(run: Run, tmp_path: Path) -> None:
    for i, label in enumerate(["ひなげし", "ひなげし", "a\tb"]):
        add(tmp_path / "wide.h5", f"{label}/{i}.jpg", picture((200, 40, 50), i))
    assert run("colourHeuristic.py", "summary", "wide.h5").stdout.splitlines() == [
        "ひなげし          2   66.7%",
        "a\\tb              1   33.3%",
        "total             3  2 labels",
    ]


def test_csv_is_the_whole_table(run: Run, sample_store: Path) -> None:
    done = run("colourHeuristic.py", "summary", "--csv", sample_store)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 60
    with h5py.File(sample_store) as file:
        for row in rows:
            dataset = file[row["path"]]
            assert row["label"] == row["path"].split("/")[0]
            assert int(row["size"]) == dataset.size
            assert int(row["crc32"], 16) == dataset.attrs["crc32"]
            assert int(row["modified"]) == dataset.attrs["Modified"]
            palette = dataset.attrs["palette"]
            colours = [colour.split(":") for colour in row["colours"].split()]
            assert [float(share) for _, share in colours] == pytest.approx(palette[:, 0], abs=1e-3)
            assert [bytes.fromhex(code[1:]) for code, _ in colours] == [
                bytes(rgb) for rgb in palette[:, 4:].astype(np.uint8)
            ]


def test_an_older_store_is_summarised_too(run: Run, old_store: Path) -> None:
    assert "d._red" in run("colourHeuristic.py", "summary", old_store).stdout
    assert len(run("colourHeuristic.py", "summary", "--csv", old_store).stdout.splitlines()) == 37
