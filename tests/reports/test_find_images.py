"""identify, show and summary as a user types them, on archives, folders, stores and single files."""

import csv
import io
import json
import os
import pty
import shutil
import subprocess
import sys
import tarfile

import h5py
import numpy as np
import pytest
from PIL import Image

from imagestore.colour.label import all_labels
from tests.helpers.commands import ROOT, environment

NO_SCREEN = {"DISPLAY": None, "WAYLAND_DISPLAY": None}
STRIPES = {"green": 60, "yellow": 30, "red": 10}  # colours that nobody would call by another name
REPORT = """{}: green  (green covers 60%)
   60.0%  green         #008000
   30.0%  yellow        #ffff00
   10.0%  red           #ff0000
"""


@pytest.fixture
def stripes():
    image = Image.new("RGB", (100, 50))
    left = 0
    for each, width in STRIPES.items():
        image.paste(each, (left, 0, left + width, 50))
        left += width
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path, stripes):
    """Three images and something else."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(stripes)
    (tmp_path / "in" / "b[1].png").write_bytes(stripes)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no image")
    (tmp_path / "in" / "notes.txt").write_text("no image either")
    return tmp_path / "in"


@pytest.fixture
def archive(folder, tmp_path):
    with tarfile.open(tmp_path / "in.tgz", "w:gz") as tar:
        tar.add(folder, "in")
    return tmp_path / "in.tgz"


def member(sample):
    with tarfile.open(sample) as tar:
        return next(each.name for each in tar if each.name.endswith(".jpg"))


# ----- identify -----


def test_the_three_most_dominant_colours_of_a_member(run, archive):
    assert run("colourHeuristic.py", "identify", archive, "in/a.png").stdout == REPORT.format("in/a.png")


def test_a_file_by_itself_and_a_folder(run, folder):
    assert run("colourHeuristic.py", "identify", folder / "a.png").stdout == REPORT.format("a.png")
    assert run("colourHeuristic.py", "identify", folder, "a.png").stdout == REPORT.format("a.png")


def test_several_names_and_globs_name_each_image_once(run, archive):
    done = run("colourHeuristic.py", "identify", archive, "in/a.png", "in/*.png", "in/b[1].png")
    assert done.stdout == REPORT.format("in/a.png") + REPORT.format("in/b[1].png")


def test_all_goes_on_past_what_cannot_be_decoded(run, archive):
    done = run("colourHeuristic.py", "identify", archive, "--all", check=False)
    assert sorted(done.stdout.splitlines()[::4]) == [
        REPORT.format(n).splitlines()[0] for n in ("in/a.png", "in/b[1].png")
    ]
    assert done.stderr.startswith("in/broken.jpg: ") and done.stderr.count("\n") == 1
    assert done.returncode == 1


def test_json_is_one_object_a_line(run, archive):
    done = run("colourHeuristic.py", "identify", "--json", archive, "in/*.png")
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["name"] for each in objects] == ["in/a.png", "in/b[1].png"]
    assert objects[0]["label"] == "green" and objects[0]["covered"] == pytest.approx(0.6, abs=0.01)
    shown = [(each["name"], each["hex"], each["share"]) for each in objects[0]["colours"]]
    assert shown == [("green", "#008000", 0.6), ("yellow", "#ffff00", 0.3), ("red", "#ff0000", 0.1)]


def test_a_store_prints_what_it_keeps_without_computing_again(run, sample_store, tmp_path):
    store = shutil.copy(sample_store, tmp_path / "changed.h5")
    kept = np.array([[0.75, 53, 80, 67, 255, 0, 0], [0.25, 32, 79, -108, 0, 0, 255]], np.float32)
    with h5py.File(store, "a") as file:
        label = next(iter(file))
        name = next(iter(file[label]))
        file[label][name].attrs["palette"] = kept
    done = run("colourHeuristic.py", "identify", store, f"{label}/{name}")
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        ["75.0%", "red", "#ff0000"],
        ["25.0%", "blue", "#0000ff"],
    ]


def test_archive_and_store_agree(run, sample, sample_store):
    name = member(sample)
    from_archive = run("colourHeuristic.py", "identify", "--json", sample, name).stdout
    from_store = run("colourHeuristic.py", "identify", "--json", sample_store, name).stdout
    one, other = json.loads(from_archive), json.loads(from_store)
    assert one["colours"] == other["colours"] and one["label"] == other["label"]
    assert other["name"].startswith(one["label"] + "/")


def test_a_store_that_keeps_no_palettes_is_decoded(run, old_store):
    done = run("colourHeuristic.py", "identify", old_store, "--all", "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == 36
    assert all(each["label"] in all_labels() and 1 <= len(each["colours"]) <= 3 for each in found)


def on_terminal(*args, **variables):
    """What a command writes to a terminal."""
    reader, writer = pty.openpty()
    command = [sys.executable, ROOT / "colourHeuristic.py", *args]
    done = subprocess.run(command, stdout=writer, timeout=60, env=environment({"TERM": "xterm", **variables}))
    os.close(writer)
    assert done.returncode == 0
    written = b""
    try:
        while block := os.read(reader, 1 << 16):
            written += block
    except OSError:  # Linux tells the end of a terminal this way
        pass
    os.close(reader)
    return written


def test_swatches_only_where_a_terminal_shows_colour(folder):
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
def test_a_bad_name_gets_one_clear_line(run, archive, arguments, reasons):
    done = run("colourHeuristic.py", "identify", *arguments, check=False, cwd=archive.parent)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    for reason in reasons:
        assert reason in done.stderr


def test_a_bad_path_in_a_store_names_paths_like_it(run, sample_store):
    with h5py.File(sample_store) as file:
        label = next(iter(file))
        name = next(iter(file[label]))
    done = run("colourHeuristic.py", "identify", sample_store, f"{label}/{name[:-5]}", check=False)
    assert done.returncode == 1 and f"{label}/{name}" in done.stderr and done.stderr.count("\n") == 1


# ----- show -----


@pytest.mark.parametrize("source", ["archive", "store", "file"])
def test_a_picture_is_written_where_there_is_no_screen(run, source, sample, sample_store, folder, tmp_path):
    name = member(sample)
    given = {"archive": (sample, name), "store": (sample_store, name), "file": (folder / "a.png",)}[source]
    done = run("colourHeuristic.py", "show", *given, env=NO_SCREEN)
    written = tmp_path / done.stdout.strip()
    assert written.suffix == ".png" and Image.open(written).size[0] > 800


def test_output_names_the_picture(run, folder, tmp_path):
    done = run("colourHeuristic.py", "show", folder / "a.png", "-o", tmp_path / "out.pdf")
    assert done.stdout.strip() == str(tmp_path / "out.pdf")
    assert (tmp_path / "out.pdf").read_bytes().startswith(b"%PDF")


def test_a_store_without_name_gets_a_sheet_of_its_labels(run, sample_store, tmp_path):
    run("colourHeuristic.py", "show", sample_store, "-o", "sheet.svg")
    text = (tmp_path / "sheet.svg").read_text()
    with h5py.File(sample_store) as file:
        for label, images in file.items():
            assert f"<!-- {label} -->" in text and f"<!-- {len(images)} -->" in text


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["in.tgz"], "NAME"),
        (["in.tgz", "in/*.png"], "NAME"),
        (["in.tgz", "in/broken.jpg"], "decoded"),
        (["in/a.png", "-o", "in"], "folder"),
        (["in/a.png", "-o", "out.xyz"], "xyz"),
        (["in/a.png", "-o", "nowhere/out.png"], "nowhere"),
    ],
)
def test_what_cannot_be_shown_is_said(run, archive, arguments, reason):
    before = sorted(os.listdir(archive.parent))
    done = run("colourHeuristic.py", "show", *arguments, check=False, cwd=archive.parent, env=NO_SCREEN)
    assert done.returncode == 1 and reason in done.stderr and done.stderr.count("\n") == 1
    assert [name for name in sorted(os.listdir(archive.parent)) if name != "cache"] == before


# ----- summary -----


def counts(path):
    with h5py.File(path) as file:
        return {label: len(images) for label, images in file.items()}


def test_the_summary_counts_by_label(run, sample_store):
    lines = [line.split() for line in run("colourHeuristic.py", "summary", sample_store).stdout.splitlines()]
    wanted = counts(sample_store)
    assert {label: int(count) for label, count, _ in lines[:-1]} == wanted
    assert [int(count) for _, count, _ in lines[:-1]] == sorted(wanted.values(), reverse=True)
    assert lines[-1][:2] == ["total", "60"]
    assert sum(float(share.rstrip("%")) for *_, share in lines[:-1]) == pytest.approx(100, abs=1)


def test_several_stores_are_summed(run, sample_store, tmp_path):
    shutil.copy(sample_store, tmp_path / "again.h5")
    done = run("colourHeuristic.py", "summary", sample_store, tmp_path / "*.h5")
    assert done.stdout.splitlines()[-1].split()[:2] == ["total", "120"]


def test_csv_is_the_whole_table(run, sample_store):
    rows = list(
        csv.DictReader(io.StringIO(run("colourHeuristic.py", "summary", "--csv", sample_store).stdout))
    )
    assert len(rows) == 60
    with h5py.File(sample_store) as file:
        for row in rows:
            dataset = file[row["path"]]
            assert row["label"] == row["path"].split("/")[0]
            assert int(row["size"]) == dataset.size
            assert int(row["crc32"], 16) == dataset.attrs["crc32"]
            assert int(row["modified"]) == dataset.attrs["Modified"]
            kept = [entry.split(":") for entry in row["colours"].split()]
            assert [float(share) for _, share in kept] == pytest.approx(
                dataset.attrs["palette"][:, 0], abs=1e-3
            )
            assert [bytes.fromhex(code[1:]) for code, _ in kept] == [
                bytes(rgb) for rgb in dataset.attrs["palette"][:, 4:].astype(np.uint8)
            ]


def test_an_older_store_is_summarised_too(run, old_store):
    assert "d._red" in run("colourHeuristic.py", "summary", old_store).stdout
    assert len(run("colourHeuristic.py", "summary", "--csv", old_store).stdout.splitlines()) == 37
