"""run_summary.py: the last line of each command, and the JSON file that says the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.helpers.commands import Run, without_summary
from tests.helpers.small_stores import make_store

LINE = re.compile(
    r"(\w+): ([\d,]+) (.+) in [\d,.]+ s, [\d,.]+/s, peak memory [\d,]+ MB(?: \+ \d+ x [\d,]+ MB)?(.*)"
)


def last_line(done) -> tuple[str, str, str, str]:
    """Program, count, what was counted, and outputs; the line must be the last one."""
    match = LINE.fullmatch(done.stderr.splitlines()[-1])
    assert match, done.stderr
    assert without_summary(done.stderr).count("peak memory") == 0
    return match.groups()


def in_json(path: Path) -> dict:
    return json.loads(path.read_text())


def test_labelling_and_merging_sum_up(run: Run, sample: Path, tmp_path: Path) -> None:
    partition = ("partition", sample, "a b.h5", "test.h5", 0.8, "--json-summary", "s.json")
    line = last_line(run("colourHeuristic.py", *partition))
    assert line[:3] == ("colourHeuristic", "60", "images (60 new)")
    assert line[3] == ": a b.h5, test.h5"
    summary = in_json(tmp_path / "s.json")
    assert (summary["command"], summary["status"], summary["error"]) == ("colourHeuristic", 0, "")
    assert summary["images"] == summary["counts"]["new"] == 60
    assert summary["outputs"] == [str(tmp_path / "a b.h5"), str(tmp_path / "test.h5")]
    assert summary["images_per_second"] == pytest.approx(60 / summary["seconds"], rel=0.01)
    assert summary["workers"] and all(5e6 < memory < 5e9 for memory in summary["peak_memory"].values())

    run("colourHeuristic.py", *partition)
    assert (in_json(tmp_path / "s.json")["images"], in_json(tmp_path / "s.json")["counts"]["new"]) == (60, 0)
    assert last_line(run("colourHeuristic.py", "merge", "all.h5", "a b.h5", "test.h5"))[1] == "60"


def test_tools_without_a_mount_sum_up(run: Run, tmp_path: Path) -> None:
    make_store(tmp_path / "s.h5", 9)
    for command in (("verify", "s.h5"), ("unpack", "s.h5", "out"), ("pack", "out", "p.h5")):
        done = run("h5vfs.py", *command, "--json-summary", "s.json")
        assert last_line(done)[:2] == ("h5vfs", "9")
        assert in_json(tmp_path / "s.json")["images"] == 9
    assert in_json(tmp_path / "s.json")["outputs"] == ["p.h5"]


@pytest.mark.slow
def test_training_and_classifying_sum_up(run: Run, tmp_path: Path) -> None:
    store = make_store(tmp_path / "train.h5", 24)
    flags = ("--epochs", 2, "--val-fraction", 0.25, "-o", "out", "-j", 1)
    done = run("train_model.py", store, *flags, "--json-summary", "s.json")
    assert last_line(done) == (
        "train_model",
        "36",
        "images",
        ": out/model_weights.pth, out/train_labels.json",
    )
    assert in_json(tmp_path / "s.json")["images"] == 36  # 18 images, twice
    done = run(
        "classify.py", store, "out/train_labels.json", "all", "--csv", "a.csv", "--json-summary", "s.json"
    )
    assert last_line(done) == ("classify", "24", "images", ": a.csv")
    assert in_json(tmp_path / "s.json")["outputs"] == ["a.csv"]


def test_a_failure_ends_with_its_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.tgz").write_bytes(b"\x1f\x8b\x08 no archive")
    command = ("partition", "broken.tgz", "a.h5", "b.h5", 0.5, "--json-summary", "s.json")
    done = run("colourHeuristic.py", *command, check=False)
    assert "error: " in done.stderr.splitlines()[-1] and "peak memory" not in done.stderr
    summary = in_json(tmp_path / "s.json")
    assert summary["status"] == done.returncode == 1
    assert summary["error"] and summary["error"] in done.stderr


def test_a_summary_that_cannot_be_written_is_told_first(run: Run, sample: Path, tmp_path: Path) -> None:
    command = ("partition", sample, "a.h5", "b.h5", 0.5, "--json-summary", "no/folder/s.json")
    done = run("colourHeuristic.py", *command, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "there is no folder" in done.stderr
    assert not (tmp_path / "a.h5").exists()
