"""`add` as a user runs it."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import pytest

from imagestore.store.reader import ImageStore
from tests.helpers.mended_stores import BY_FOLDER, PHOTOS, heuristic, kept, labels_of, mend

IN_ARCHIVE = {name: name.split("/")[1] for name, _ in PHOTOS}


@pytest.fixture
def new(made: Path) -> list[str]:
    """Three new pictures in a folder of the current folder; bytes behind a JPEG's end are ignored."""
    (made / "new").mkdir()
    for i in range(3):
        (made / "new" / f"n{i}.jpg").write_bytes(PHOTOS[i][1] + b"new")
        os.utime(made / "new" / f"n{i}.jpg", (1_600_000_000, 1_600_000_000))
    return [f"new/n{i}.jpg" for i in range(3)]


def test_files_are_added_with_their_bytes_and_times(store, new):
    done = mend("add", store, new[0], "new/n[12].jpg", "rose/")
    assert (done.status, done.out, done.err) == (0, "all.h5: 15 images under 4 labels (3 added)\n", "")
    assert labels_of(store) == IN_ARCHIVE | {f"n{i}.jpg": "rose" for i in range(3)}
    assert kept(store) == {f"n{i}.jpg": ("added", "rose") for i in range(3)}
    with ImageStore(store) as reader:
        image = reader.index.record(reader.find("rose/n1.jpg"))
        assert image.mtime == 1_600_000_000 and image.created > 1_700_000_000
        assert reader.read(reader.find("rose/n1.jpg")) == PHOTOS[1][1] + b"new"
        assert reader.palette(reader.find("rose/n1.jpg")) is None  # the store keeps none
    assert mend("verify", store).status == 0
    mend("mv", store, "n1.jpg", "tulip/")
    assert kept(store)["n1.jpg"] == ("added", "tulip")


def test_added_images_get_palettes_where_others_have_them(run, sample_store, tmp_path, new):
    path = tmp_path / "coloured.h5"
    path.write_bytes(sample_store.read_bytes())
    assert mend("add", path, new[0], "red/").status == 0
    assert mend("add", path, "--no-palette", new[1], "red/").status == 0
    with ImageStore(path) as store:
        assert [store.palette(store.find(f"red/n{i}.jpg")) is None for i in (0, 1)] == [False, True]
        assert len(store.heuristics()) == 1  # one version and one origin: red is a colour
        by_heuristic = store.palette(store.find("red/n0.jpg"))
    Path("one").mkdir()
    Path("one/n0.jpg").write_bytes(Path(new[0]).read_bytes())
    run("colourHeuristic.py", "sort", "one", "one.h5", 1, 1)
    with ImageStore("one.h5") as store:
        assert (store.palette(0) == by_heuristic).all()


def test_equal_bytes_are_not_added_twice(store, new):
    Path("again.jpg").write_bytes(PHOTOS[4][1])
    done = mend("add", store, "again.jpg", new[0], new[0], "rose/")
    assert done.status == 0 and "(1 added)" in done.out
    assert "the store has the same bytes already: 1: again.jpg (green/04.jpg)" in done.err
    before = store.read_bytes()
    assert "(0 added)" in mend("add", store, new[0], "tulip/").out
    assert store.read_bytes() == before


def test_a_removed_image_is_only_added_again(store):
    """It gets its old member's name: so later runs know it."""
    mend("rm", store, "red/02.jpg")
    Path("found.jpg").write_bytes(PHOTOS[2][1])
    done = mend("add", store, "found.jpg", "rose/")
    assert (
        done.status == 0
        and "(0 added)" in done.out
        and "(--again brings them back): 1: found.jpg" in done.err
    )
    assert mend("add", store, "found.jpg", "rose/", "--again").status == 0
    assert kept(store) == {"photos/red/02.jpg": ("added", "rose")}
    assert heuristic("sort", "a.tar", store, 12, 3, *BY_FOLDER).out.endswith("(0 new)\n")
    with h5py.File(store) as file:
        assert "rose/found.jpg" in file


def test_what_is_no_image_is_named_and_others_are_added(store, new):
    for name, data in {"text.jpg": b"no image", "empty.jpg": b""}.items():
        Path(name).write_bytes(data)
    done = mend("add", store, "text.jpg", new[0], "empty.jpg", "rose/")
    assert done.status == 1 and "(1 added)" in done.out
    assert "not added: 2: text.jpg (not an image); empty.jpg (not an image)" in done.err


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["none.jpg"], "none.jpg: no such file"),
        (["new"], "new: is a folder; give its files, as in 'new/*.jpg'"),
        (["x*.jpg"], "x*.jpg: no file matches this pattern"),
        (["/dev/null"], "/dev/null: is no regular file"),
    ],
)
def test_a_wrong_file_changes_nothing(store, new, files, message):
    before = store.read_bytes()
    done = mend("add", store, new[0], *files, "rose/")
    assert done.status == 1 and message in done.err and done.err.count("\n") == 1
    assert store.read_bytes() == before
    assert [name for name in os.listdir() if name.startswith(".")] == []


def test_names_that_are_taken_or_no_text_are_kept(store, made):
    odd = os.fsdecode(b"\xff.jpg")
    for name, data in {"02.jpg": PHOTOS[0][1] + b"x", odd: PHOTOS[0][1] + b"y"}.items():
        (made / name).write_bytes(data)
    assert mend("add", store, "02.jpg", odd, "red/").status == 0
    with ImageStore(store) as reader:
        assert reader.read(reader.find("red/02~2.jpg")) == PHOTOS[0][1] + b"x"
        assert reader.index.member(reader.index.find(b"red", b"\xff.jpg")) == b"\xff.jpg"
