"""`identify` as a user runs it, on archives, folders, stores and image files."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.colour.colour_names import all_labels
from tests.decode.test_formats import OTHERS, WRITTEN
from tests.helpers.commands import ROOT, Run, environment

REPORT = """{}: green  (green covers 60%)
   60.0%  green         #008000
   30.0%  yellow        #ffff00
   10.0%  red           #ff0000
"""


def test_a_member_has_three_dominant_colours(run: Run, archive: Path) -> None:
    assert run("colourHeuristic.py", "identify", archive, "in/a.png").stdout == REPORT.format("in/a.png")


def test_an_image_file_and_a_folder_are_sources_too(run: Run, folder: Path) -> None:
    assert run("colourHeuristic.py", "identify", folder / "a.png").stdout == REPORT.format("a.png")
    assert run("colourHeuristic.py", "identify", folder, "a.png").stdout == REPORT.format("a.png")


@pytest.mark.parametrize("kind", ["PPM as text", "PCX", "SGI", "ICO", "QOI", "PSD", "TGA", "compressed TGA"])
def test_an_image_file_may_have_any_format(run: Run, tmp_path: Path, kind: str) -> None:
    """Only a TGA needs its name."""
    name = "picture.TGA" if "TGA" in kind else "picture"
    (tmp_path / name).write_bytes((WRITTEN | OTHERS)[kind]())
    assert run("colourHeuristic.py", "identify", name).stdout.startswith(f"{name}: orange ")


def test_an_image_that_is_named_twice_is_printed_once(run: Run, archive: Path) -> None:
    done = run("colourHeuristic.py", "identify", archive, "in/a.png", "in/*.png", "in/b[1].png")
    assert done.stdout == REPORT.format("in/a.png") + REPORT.format("in/b[1].png")


def test_all_goes_on_after_an_image_that_is_broken(run: Run, archive: Path) -> None:
    done = run("colourHeuristic.py", "identify", archive, "--all", check=False)
    assert sorted(done.stdout.splitlines()[::4]) == [
        REPORT.format(name).splitlines()[0] for name in ("in/a.png", "in/b[1].png")
    ]
    assert done.stderr.startswith("in/broken.jpg: ") and done.stderr.count("\n") == 1
    assert done.returncode == 1


def test_json_is_one_object_a_line(run: Run, archive: Path) -> None:
    done = run("colourHeuristic.py", "identify", "--json", archive, "in/*.png")
    images = [json.loads(line) for line in done.stdout.splitlines()]
    assert [image["name"] for image in images] == ["in/a.png", "in/b[1].png"]
    assert images[0]["label"] == "green" and images[0]["covered"] == pytest.approx(0.6, abs=0.01)
    colours = [(colour["name"], colour["hex"], colour["share"]) for colour in images[0]["colours"]]
    assert colours == [("green", "#008000", 0.6), ("yellow", "#ffff00", 0.3), ("red", "#ff0000", 0.1)]


def test_a_stored_palette_is_printed_as_it_is(run: Run, sample_store: Path, tmp_path: Path) -> None:
    store = shutil.copy(sample_store, tmp_path / "changed.h5")
    table = np.array([[0.75, 53, 80, 67, 255, 0, 0], [0.25, 32, 79, -108, 0, 0, 255]], np.float32)
    with h5py.File(store, "a") as file:
        label = next(iter(file))
        name = next(iter(file[label]))
        file[label][name].attrs["palette"] = table
    done = run("colourHeuristic.py", "identify", store, f"{label}/{name}")
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        ["75.0%", "red", "#ff0000"],
        ["25.0%", "blue", "#0000ff"],
    ]


def test_archive_and_store_agree(run: Run, sample: Path, sample_store: Path, member: str) -> None:
    from_archive = json.loads(run("colourHeuristic.py", "identify", "--json", sample, member).stdout)
    from_store = json.loads(run("colourHeuristic.py", "identify", "--json", sample_store, member).stdout)
    assert from_archive["colours"] == from_store["colours"]
    assert from_archive["label"] == from_store["label"]
    assert from_store["name"].startswith(from_archive["label"] + "/")


def test_images_without_a_stored_palette_are_decoded(run: Run, old_store: Path) -> None:
    done = run("colourHeuristic.py", "identify", old_store, "--all", "--json")
    images = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(images) == 36
    assert all(image["label"] in all_labels() and 1 <= len(image["colours"]) <= 3 for image in images)


def on_terminal(*arguments: object, **variables: str | None) -> bytes:
    """What colourHeuristic.py writes to a terminal."""
    reader, writer = pty.openpty()
    command = [sys.executable, ROOT / "colourHeuristic.py", *arguments]
    done = subprocess.run(
        command, stdout=writer, timeout=120, env=environment({"TERM": "xterm", **variables})
    )
    os.close(writer)
    assert done.returncode == 0
    written = b""
    try:
        while block := os.read(reader, 1 << 16):
            written += block
    except OSError:  # the end of a terminal on Linux
        pass
    os.close(reader)
    return written


def test_only_terminals_with_colours_get_swatches(folder: Path) -> None:
    swatch = b"\x1b[48;2;0;128;0m"
    assert swatch in on_terminal("identify", folder / "a.png", NO_COLOR=None)
    assert swatch not in on_terminal("identify", folder / "a.png", NO_COLOR="1")
    assert swatch not in on_terminal("identify", folder / "a.png", TERM="dumb")


@pytest.mark.parametrize(
    ("arguments", "reasons"),
    [
        (["missing.tgz", "a"], ["missing.tgz", "o such file"]),
        (["in.tgz"], ["in.tgz", "NAME", "--all"]),
        (["in.tgz", "in/aa.png"], ["in/aa.png", "in/a.png"]),
        (["in.tgz", "*.webp"], ["*.webp", "no image matches"]),
        (["in.tgz", "in/broken.jpg"], ["in/broken.jpg", "decoded"]),
        (["in", "b.png"], ["b.png"]),
        (["in/a.png", "in/b.png"], ["in/a.png", "one image"]),
        (["in/broken.jpg"], ["broken.jpg", "decoded"]),
        (["in/notes.txt"], ["in/notes.txt"]),
    ],
)
def test_a_bad_name_gets_one_clear_line(
    run: Run, archive: Path, arguments: list[str], reasons: list[str]
) -> None:
    done = run("colourHeuristic.py", "identify", *arguments, check=False, cwd=archive.parent)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    for reason in reasons:
        assert reason in done.stderr


def test_a_bad_path_in_a_store_names_similar_paths(run: Run, sample_store: Path) -> None:
    with h5py.File(sample_store) as file:
        label = next(iter(file))
        name = next(iter(file[label]))
    done = run("colourHeuristic.py", "identify", sample_store, f"{label}/{name[:-5]}", check=False)
    assert done.returncode == 1 and f"{label}/{name}" in done.stderr and done.stderr.count("\n") == 1
