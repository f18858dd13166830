"""`show` as a user runs it without a screen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.commands import Run

NO_SCREEN = {"DISPLAY": None, "WAYLAND_DISPLAY": None}


@pytest.mark.parametrize("source", ["archive", "store", "file"])
def test_without_a_screen_a_picture_is_written(
    run: Run, source: str, sample: Path, sample_store: Path, member: str, folder: Path, tmp_path: Path
) -> None:
    sources = {"archive": (sample, member), "store": (sample_store, member), "file": (folder / "a.png",)}
    done = run("colourHeuristic.py", "show", *sources[source], env=NO_SCREEN)
    written = tmp_path / done.stdout.strip()
    assert written.suffix == ".png" and Image.open(written).size[0] > 800


def test_output_names_the_picture(run: Run, folder: Path, tmp_path: Path) -> None:
    done = run("colourHeuristic.py", "show", folder / "a.png", "-o", tmp_path / "out.pdf")
    assert done.stdout.strip() == str(tmp_path / "out.pdf")
    assert (tmp_path / "out.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["in.tgz"], "NAME"),
        (["in.tgz", "in/*.png"], "NAME of one image; 'in/*.png' matches 2"),
        (["in.tgz", "in/broken.jpg"], "decoded"),
        (["in/a.png", "-o", "in"], "folder"),
        (["in/a.png", "-o", "out.xyz"], "xyz"),
        (["in/a.png", "-o", "nowhere/out.png"], "nowhere"),
    ],
)
def test_an_error_is_one_line_and_leaves_no_file(
    run: Run, archive: Path, arguments: list[str], reason: str
) -> None:
    before = sorted(os.listdir(archive.parent))
    done = run("colourHeuristic.py", "show", *arguments, check=False, cwd=archive.parent, env=NO_SCREEN)
    assert done.returncode == 1 and reason in done.stderr and done.stderr.count("\n") == 1
    assert [name for name in sorted(os.listdir(archive.parent)) if name != "cache"] == before
