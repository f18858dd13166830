"""Images in datasets of other kinds: found by a walk, read from their place, and used by every command."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.store.reader import ImageStore, StoreError
from tests.helpers.commands import Run
from tests.helpers.held_images import LABELS, add_vlen, as_array, make_vlen, padded, picture

PICTURES = [picture(number) for number in range(5)]


def images(path: Path) -> dict[str, bytes]:
    """The images of a store by their paths, each read alike from an unpickled copy of the store."""
    with ImageStore(path) as store, pickle.loads(pickle.dumps(store)) as copy:
        assert [copy.read(i) for i in range(len(copy))] == [store.read(i) for i in range(len(store))]
        return {store.path_of(i): store.read(i) for i in range(len(store))}


@pytest.mark.parametrize("options", [{}, {"chunks": (3,)}, {"chunks": (3,), "compression": "gzip"}])
def test_elements_are_images_with_the_labels_of_their_groups(tmp_path, options):
    contents = make_vlen(tmp_path / "a.h5", **options)
    assert images(tmp_path / "a.h5") == contents


@pytest.mark.parametrize("options", [{}, {"chunks": (2, 90)}, {"chunks": (2, 90), "compression": "gzip"}])
def test_padded_rows_are_images_too(tmp_path, options):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("rose/images", data=padded(PICTURES), **options)
    names = (f"rose/images/{number:06d}.jpg" for number in range(5))
    assert images(tmp_path / "a.h5") == dict(zip(names, PICTURES, strict=True))


def test_elements_and_ordinary_images_stand_side_by_side(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["rose/opaque.jpg"] = np.void(PICTURES[0])
        file["rose/signed.jpg"] = as_array(PICTURES[1]).view(np.int8)
        file["rose/deep/row.jpg"] = as_array(PICTURES[2])[None]
        file["rose/plain.jpg"] = as_array(PICTURES[3])
        file["rose/pickle"] = np.void(b"no image")
        file["rose/pixels"] = np.zeros((9, 8, 8), np.uint8)
        file["rose/labels"] = np.arange(5)
        add_vlen(file, "rose/more", [b"", PICTURES[4]])
        add_vlen(file, "rose/words", [b"a", b"few", b"words"])
    names = (
        "rose/opaque.jpg",
        "rose/signed.jpg",
        "rose/deep/row.jpg",
        "rose/plain.jpg",
        "rose/more/000001.jpg",
    )
    assert images(path) == dict(zip(names, PICTURES, strict=True))


def test_a_dataset_of_images_at_the_root_is_a_label(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for label in LABELS:
            add_vlen(file, label, PICTURES)
    assert set(images(path)) == {f"{label}/{number:06d}.jpg" for label in LABELS for number in range(5)}


def test_elements_that_a_link_leads_to(tmp_path):
    make_vlen(tmp_path / "other.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["rose"] = h5py.ExternalLink("other.h5", "/rose/images")
        file["tulip/all"] = h5py.ExternalLink("other.h5", "/tulip/images")
    contents = make_vlen(tmp_path / "other.h5")
    found = images(tmp_path / "a.h5")
    assert found["rose/000003.jpg"] == contents["rose/images/000003.jpg"]
    assert found["tulip/all/000003.jpg"] == contents["tulip/images/000003.jpg"]
    assert len(found) == len(contents)


def test_a_damaged_element_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        add_vlen(file, "rose/images", [PICTURES[0], PICTURES[1] + bytes(70_000), PICTURES[2]])
    with ImageStore(path) as store:
        place = int(store.index.offset[1])
    with path.open("r+b") as raw:
        raw.seek(place - 32)
        raw.write(b"\xff" * 16)
    with ImageStore(path) as store:
        assert (store.read(0), store.read(2)) == (PICTURES[0], PICTURES[2])
        with pytest.raises(StoreError, match=r"rose/images/000001\.jpg"):
            store.read(1)


# ----- commands -----


@pytest.fixture
def vlen(tmp_path):
    """A file with a dataset of images for each label."""
    make_vlen(tmp_path / "vlen.h5", count=12)
    return tmp_path / "vlen.h5"


def test_summary_identify_and_show(run: Run, vlen, tmp_path):
    assert run("colourHeuristic.py", "summary", vlen).stdout.split()[:2] == ["rose", "12"]
    name = "tulip/images/000007.jpg"
    assert run("colourHeuristic.py", "identify", vlen, name).stdout.startswith(f"{name}: ")
    run("colourHeuristic.py", "show", vlen, name, "-o", "shown.png")
    assert (tmp_path / "shown.png").stat().st_size


def test_merge_copies_the_elements(run: Run, vlen, tmp_path):
    run("colourHeuristic.py", "merge", "merged.h5", vlen)
    assert sorted(images(tmp_path / "merged.h5").values()) == sorted(images(vlen).values())


@pytest.mark.slow
def test_train_and_classify(run: Run, vlen):
    run("train_model.py", vlen, "--epochs", "1", "--size", "32", "-j", "1", timeout=300)
    done = run("classify.py", vlen, "vlen_labels.json", "all", timeout=300)
    assert "of 24)" in done.stdout
    assert os.path.basename(vlen) not in done.stderr
