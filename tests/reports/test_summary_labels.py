"""`summary`, `identify`, `show` and `merge` on stores of other programs: which labels they have."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.helpers.commands import Run
from tests.helpers.images import encode, stripes

IMAGE = np.frombuffer(encode(stripes()), np.uint8)
MASK = np.ones(40, np.uint8)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A file with linked labels, their storage, a mask, a dangling link, and two images at the root."""
    with h5py.File(tmp_path / "mixed.h5", "w") as file:
        for i in range(6):
            file[f"images/{i}.png"] = IMAGE
            file[f"{'red' if i < 4 else 'green'}/{i}.png"] = h5py.SoftLink(f"/images/{i}.png")
        file["red/gone.png"] = h5py.SoftLink("/images/gone.png")
        file["meta/is_train"] = file["ids"] = MASK
        file["first.png"] = file["second.png"] = IMAGE
        file["first.png"][0] = IMAGE[0]
    return tmp_path / "mixed.h5"


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """A file with images at the root only."""
    with h5py.File(tmp_path / "flat.h5", "w") as file:
        for i in range(3):
            file[f"image_{i}.png"] = IMAGE
    return tmp_path / "flat.h5"


def summarised(output: str) -> dict[str, int]:
    """The counts that `summary` printed."""
    lines = [line.rsplit(maxsplit=2) for line in output.splitlines()]
    return {label.strip(): int(count) for label, count, _ in lines[:-1]}


def test_the_summary_says_what_it_leaves_out(run: Run, mixed: Path) -> None:
    done = run("colourHeuristic.py", "summary", mixed)
    assert summarised(done.stdout) == {"red": 4, "green": 2, "(no label)": 2}
    assert done.stdout.splitlines()[-1].split() == ["total", "8", "2", "labels"]
    for text in (
        "images (6 images",
        "meta (no image",
        "ids at the root (no image: 1 dataset)",
        "links that lead nowhere: 1 (red/gone.png)",
    ):
        assert text in done.stderr


def test_the_table_has_the_images_that_are_counted(run: Run, mixed: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run("colourHeuristic.py", "summary", "--csv", mixed).stdout)))
    assert {row["path"]: row["label"] for row in rows} == {
        "first.png": "", "second.png": "", "green/4.png": "green", "green/5.png": "green",
        **{f"red/{i}.png": "red" for i in range(4)},
    }  # fmt: skip


def test_identify_takes_every_image_once(run: Run, mixed: Path) -> None:
    done = run("colourHeuristic.py", "identify", mixed, "--all")
    names = [line.split(":")[0] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert names == [
        "first.png",
        "second.png",
        "green/4.png",
        "green/5.png",
        *(f"red/{i}.png" for i in range(4)),
    ]


@pytest.mark.parametrize("name", ["image_1.png", "/image_1.png", "*_1.png"])
def test_images_at_the_root_are_identified_and_shown(run: Run, flat: Path, name: str) -> None:
    assert run("colourHeuristic.py", "identify", flat, name).stdout.startswith("image_1.png: blue")
    run("colourHeuristic.py", "show", flat, name, "-o", flat.parent / "one.png")
    assert (flat.parent / "one.png").exists()


def test_images_at_the_root_are_summarised(run: Run, flat: Path) -> None:
    assert summarised(run("colourHeuristic.py", "summary", flat).stdout) == {"(no label)": 3}
    run("colourHeuristic.py", "show", flat, "-o", flat.parent / "sheet.png")
    assert (flat.parent / "sheet.png").exists()


def test_a_split_is_summarised_by_class(run: Run, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "splits.h5", "w") as file:
        for part, count in (("train", 3), ("val", 1), ("test", 1)):
            for i in range(count):
                file[f"{part}/rose/{i}.png"] = file[f"{part}/tulip/{i}.png"] = IMAGE
    done = run("colourHeuristic.py", "summary", tmp_path / "splits.h5")
    assert summarised(done.stdout) == {"rose": 5, "tulip": 5}
    assert done.stderr.strip().endswith("splits.h5: train/ 6, val/ 2, test/ 2")


def test_files_elsewhere_are_summarised_with_a_flag(run: Run, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    with h5py.File(tmp_path / "far.h5", "w") as file:
        file["images/1.png"] = IMAGE
    path = tmp_path / "store" / "master.h5"
    with h5py.File(path, "w") as file:
        file["far"] = h5py.ExternalLink("../far.h5", "/images")
    done = run("colourHeuristic.py", "summary", path, check=False)
    assert done.returncode == 1 and "--follow-external" in done.stderr
    assert summarised(run("colourHeuristic.py", "summary", path, "--follow-external").stdout) == {"far": 1}
    done = run("colourHeuristic.py", "identify", path, "far/1.png", "--follow-external")
    assert done.stdout.startswith("far/1.png: blue")


def test_merge_takes_labelled_images_only(run: Run, mixed: Path, tmp_path: Path) -> None:
    done = run("colourHeuristic.py", "merge", tmp_path / "out.h5", mixed)
    with h5py.File(tmp_path / "out.h5") as file:
        assert {label: sorted(images) for label, images in file.items()} == {
            "green": ["4.png", "5.png"], "red": ["0.png", "1.png", "2.png", "3.png"]
        }  # fmt: skip
    assert "2 images under no label" in done.stderr and "images (6 images" in done.stderr
