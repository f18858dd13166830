"""Every command in docs/mending.md runs as it stands, in the order of the page."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import pytest

from tests.helpers.archives import pack
from tests.helpers.commands import ROOT, Run
from tests.helpers.mended_stores import kept, labels_of
from tests.helpers.small_stores import COLOURS, picture

PAGE = (ROOT / "docs" / "mending.md").read_text()
LINES = [
    line for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.M | re.S) for line in block.splitlines()
]
MOVED, REMOVED = ("image_0003.jpg", "image_0011.jpg"), "image_0007.jpg"  # by the page; all in train.h5


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """The archive and the new images that the page names, in the current folder."""
    colours = list(COLOURS.values())
    members = [(f"jpg/image_{i:04d}.jpg", picture(colours[i % 3], i, (48, 36))) for i in range(30)]
    (tmp_path / "photos.tgz").write_bytes(pack(members, "gz"))
    (tmp_path / "new").mkdir()
    for i in range(2):
        (tmp_path / "new" / f"n{i}.jpg").write_bytes(picture(colours[i], 100 + i))
    return tmp_path


@pytest.mark.slow
def test_the_loop_of_the_page_runs(photos, run: Run):
    """show, mv, train, classify, mv, and again."""
    train = photos / "train.h5"
    for line in LINES:
        assert line.startswith("$ ./"), line
        script, *words = shlex.split(line.removeprefix("$ "))
        if words[:1] == ["add"]:  # the shell expands this one
            words = [name for word in words for name in (glob(photos, word) or [word])]
        run(script, *words, timeout=120)
        if words[:2] == ["mv", "train.h5"] and "image_0003.jpg" in words:
            assert [labels_of(train)[f"jpg/{name}"] for name in MOVED] == ["orange"] * 2
    stored = labels_of(train)
    assert f"jpg/{REMOVED}" not in stored | labels_of(photos / "test.h5")
    assert stored["n0.jpg"] == "apricot" and "orange" not in stored.values()
    assert kept(train)[f"jpg/{REMOVED}"] == ("removed", None)
    check_table(photos, run)


def check_table(photos: Path, run: Run) -> None:
    """With the table of classify.py, each image gets the label that the network gave it."""
    train, before = photos / "train.h5", labels_of(photos / "train.h5")
    with (photos / "answers.csv").open(newline="") as file:
        answers = {f"jpg/{Path(row['name']).name}": row for row in csv.DictReader(file)}
    assert len(answers) > 10
    least = sorted(row["confidence"] for row in answers.values())[len(answers) // 2]
    done = run("h5vfs.py", "mv", "train.h5", "--from", "answers.csv", "--min-confidence", least)
    sure = {member: row["label"] for member, row in answers.items() if row["confidence"] >= least}
    assert labels_of(train) == before | sure
    assert f"rows that are less sure: {len(answers) - len(sure)}" in done.stderr
    run("h5vfs.py", "mv", "train.h5", "--from", "answers.csv")
    assert labels_of(train) == before | {member: row["label"] for member, row in answers.items()}


def glob(folder: Path, word: str) -> list[str]:
    """The files that a pattern matches."""
    return sorted(str(path.relative_to(folder)) for path in folder.glob(word)) if "*" in word else []


def test_the_page_names_images_and_commands() -> None:
    assert all(name in PAGE for name in (*MOVED, REMOVED))
    assert {line.split()[2] for line in LINES if "h5vfs.py" in line} == {"mv", "rm", "add", "rename-label"}
