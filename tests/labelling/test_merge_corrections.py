"""What people corrected by hand in stores counts after `merge`, in whatever order the stores are named."""

from __future__ import annotations

import shutil
from itertools import permutations
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.helpers.mended_stores import (
    BY_FOLDER,
    PHOTOS,
    bytes_of,
    heuristic,
    kept,
    labels_of,
    make_archive,
    mend,
)

IN_ARCHIVE = {name: name.split("/")[1] for name, _ in PHOTOS}
MOVED, GONE = "photos/red/02.jpg", "photos/blue/00.jpg"


@pytest.fixture(scope="module")
def _stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """old.h5, mended.h5 (an image moved, another removed, one added), other.h5 (both moved, later)."""
    folder = tmp_path_factory.mktemp("stores")
    archive = make_archive(folder / "a.tar")
    heuristic("sort", archive, folder / "old.h5", len(PHOTOS), 100, *BY_FOLDER)
    for name in ("mended.h5", "other.h5"):
        shutil.copy(folder / "old.h5", folder / name)
    assert mend("mv", folder / "mended.h5", "02.jpg", "rose/").status == 0
    assert mend("rm", folder / "mended.h5", "00.jpg").status == 0
    (folder / "new.jpg").write_bytes(PHOTOS[3][1] + b"new")
    assert mend("add", folder / "mended.h5", folder / "new.jpg", "rose/").status == 0
    assert mend("mv", folder / "other.h5", "02.jpg", "00.jpg", "tulip/").status == 0
    return folder


@pytest.fixture
def stores(_stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with copies of the three stores and the archive."""
    for path in _stores.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


CORRECTED = {m: label for m, label in IN_ARCHIVE.items() if m != GONE} | {MOVED: "rose", "new.jpg": "rose"}


@pytest.mark.parametrize("order", list(permutations(["old.h5", "mended.h5"])))
@pytest.mark.parametrize("into", [None, "old.h5", "mended.h5"])
def test_a_correction_wins_over_the_old_label(stores, order, into):
    if into:
        shutil.copy(into, "m.h5")
    done = heuristic("merge", "m.h5", *order)
    assert done.status == 0 and "-" not in done.out
    assert labels_of(stores / "m.h5") == CORRECTED
    assert f"removed by hand: 1 image: {GONE} (--again brings them back)" in done.err
    assert mend("verify", "m.h5").status == 0
    assert kept(stores / "m.h5") == kept(stores / "mended.h5")
    again = heuristic("merge", "m.h5", *order)
    assert "(0 new)" in again.out and labels_of(stores / "m.h5") == CORRECTED
    assert heuristic("sort", "a.tar", "m.h5", 12, 4, *BY_FOLDER).out.endswith("(0 new)\n")


@pytest.mark.parametrize("order", list(permutations(["old.h5", "mended.h5", "other.h5"])))
def test_the_later_label_wins_and_a_removal_always(stores, order):
    done = heuristic("merge", "m.h5", *order)
    assert labels_of(stores / "m.h5") == CORRECTED | {MOVED: "tulip"}
    assert f"in two ways, the later one counts: 1 image: {MOVED} (tulip, not rose)" in done.err
    assert kept(stores / "m.h5")[GONE] == ("removed", None)


@pytest.mark.parametrize("order", list(permutations(["old.h5", "mended.h5", "other.h5"])))
def test_again_brings_a_removed_image_back(stores, order):
    heuristic("merge", "m.h5", *order)
    done = heuristic("merge", "m.h5", *order, "--again")
    assert done.status == 0 and "(1 new)" in done.out
    assert labels_of(stores / "m.h5") == CORRECTED | {MOVED: "tulip", GONE: "tulip"}
    assert kept(stores / "m.h5")[GONE] == ("relabelled", "tulip")


def test_a_removal_is_kept_where_no_image_is_new(stores):
    """The image is in neither store any more, and must not come back from a third one later."""
    shutil.copy("mended.h5", "m.h5")
    mend("rm", "other.h5", "*")
    mend("rm", "m.h5", "green/*")
    assert heuristic("merge", "m.h5", "other.h5").status == 0
    assert labels_of(stores / "m.h5") == {"new.jpg": "rose"}
    assert set(kept(stores / "m.h5")) == {*IN_ARCHIVE, "new.jpg"}
    heuristic("merge", "m.h5", "old.h5")
    assert labels_of(stores / "m.h5") == {"new.jpg": "rose"}


def test_stores_of_older_tools_are_corrected_too(stores, old_store):
    """Their images have no member and no checksum: they are known by their name and their bytes."""
    shutil.copy(old_store, "theirs.h5")
    assert mend("mv", "theirs.h5", "d._red/*", "dark-red/").status == 0
    assert mend("rm", "theirs.h5", "green/*").status == 0
    for order in permutations([old_store, "theirs.h5"]):
        Path("m.h5").unlink(missing_ok=True)
        assert heuristic("merge", "m.h5", *order).status == 0
        assert set(labels_of(stores / "m.h5").values()) == {"dark-red", "l._blue"}
        assert bytes_of(stores / "m.h5") == bytes_of(stores / "theirs.h5")
        assert heuristic("merge", old_store, "theirs.h5").status == 0  # into a file of another tool


def test_what_cannot_be_corrected_is_named(stores):
    """An output of another program whose image stands behind a link."""
    _, data = PHOTOS[0]
    with h5py.File("linked.h5", "w") as file:
        file["images/00.jpg"] = np.frombuffer(data, np.uint8)
        file["images/x.jpg"] = np.frombuffer(PHOTOS[5][1] + b"x", np.uint8)
        for label, name in (("blue", "00.jpg"), ("red", "x.jpg")):
            file[f"{label}/{name}"] = h5py.SoftLink(f"/images/{name}")
    shutil.copy("linked.h5", "plain.h5")
    heuristic("merge", "flat.h5", "plain.h5")
    mend("rm", "flat.h5", "00.jpg")
    done = heuristic("merge", "linked.h5", "flat.h5")
    assert done.status == 1 and "stands behind a link" in done.err


def test_labels_that_are_no_names_of_groups_are_merged(stores):
    mend("mv", "mended.h5", "02.jpg", "AC/DC/")
    for order in permutations(["old.h5", "mended.h5"]):
        Path("m.h5").unlink(missing_ok=True)
        assert heuristic("merge", "m.h5", *order).status == 0
        assert labels_of(stores / "m.h5")[MOVED] == "AC%2FDC"
    with h5py.File("theirs.h5", "w") as file:  # image by image, because another program made it
        file["a%2Fb/1.jpg"] = np.frombuffer(PHOTOS[0][1], np.uint8)
    assert heuristic("merge", "n.h5", "theirs.h5").status == 0
    assert set(labels_of(stores / "n.h5").values()) == {"a%2Fb"}
