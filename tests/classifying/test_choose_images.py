"""SOURCE opened as stores, an archive or a folder; which images are chosen; what is read of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.classifying.choose_images import StoreImages, choose_images, open_images, read_images
from imagestore.console import UserError
from imagestore.sources.open_archive import open_archive
from imagestore.store.open_stores import open_stores
from tests.helpers.small_stores import COLOURS, add, make_store, picture

# ----- opening -----


def test_several_stores_are_numbered_as_one(tmp_path: Path) -> None:
    """In the order of the glob; the group of an image is its true label."""
    for name, count, first in (("a.h5", 5, 0), ("b.h5", 1, 5), ("c.h5", 6, 6)):
        make_store(tmp_path / name, count, first)
    stores = open_stores([tmp_path / "?.h5"])
    expected = [(store.path_of(i), store.read(i)) for store in stores for i in range(len(store))]
    with open_images(str(tmp_path / "?.h5")) as images:
        assert len(images) == 12
        pictures = [images.read(i) for i in range(12)]
    assert [(image.name, image.data) for image in pictures] == expected
    assert all(image.true_label == image.name.split("/")[0] for image in pictures)


def test_a_store_is_known_by_suffix_or_by_content(tmp_path: Path) -> None:
    store = make_store(tmp_path / "test.h5", 3)
    shutil.copy(store, tmp_path / "without-suffix")
    with open_images(str(tmp_path / "without-suffix")) as images:
        assert isinstance(images, StoreImages)
    for suffix in (".h5", ".hdf5", ".hdf"):
        (tmp_path / f"text{suffix}").write_text("no store")
        with pytest.raises(UserError, match="not an HDF5 file"), open_images(str(tmp_path / f"text{suffix}")):
            pass


@pytest.mark.parametrize("source", ["photos.tar", "jpg"])
def test_images_of_an_archive_have_no_true_label(source: str, archive: Path, tmp_path: Path) -> None:
    """Those of a folder have none, either. The images come in the order of the archive."""
    with open_archive(tmp_path / source, tmp_path / "index") as opened:
        expected = [(member.name, opened.read(member), None) for member in opened.members()]
    with open_images(str(tmp_path / source), tmp_path / "index") as images:
        pictures = [images.read(i) for i in range(len(images))]
    assert [(image.name, image.data, image.true_label) for image in pictures] == expected
    assert len(expected) == 3


# ----- choosing -----


@pytest.fixture
def images(tmp_path: Path) -> StoreImages:
    return StoreImages(open_stores([make_store(tmp_path / "test.h5", 30)]))


def test_chosen_images_are_random_and_ascending(images: StoreImages) -> None:
    """The same seed chooses the same images. Each image may be chosen."""
    choices = [choose_images(images, 7, seed) for seed in range(40)]
    assert all(len(set(chosen)) == 7 and chosen == sorted(chosen) for chosen in choices)
    assert choose_images(images, 7, 3) == choices[3]
    assert len(set(map(tuple, choices))) > 30
    assert set().union(*choices) == set(range(30))
    assert len({tuple(choose_images(images, 7, None)) for _ in range(5)}) > 1


def test_all_images_are_chosen_without_a_note(images: StoreImages, capsys: pytest.CaptureFixture) -> None:
    assert choose_images(images, None, 1) == choose_images(images, 30, 1) == list(range(30))
    assert capsys.readouterr().err == ""


def test_more_images_than_there_are_make_a_note(images: StoreImages, capsys: pytest.CaptureFixture) -> None:
    assert choose_images(images, 31, 1) == list(range(30))
    assert capsys.readouterr().err == "classify: there are only 30 images: taking all of them\n"


# ----- reading -----


def test_an_image_that_cannot_be_read_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Damaged chunks of one image; the images before and after it are read."""
    store = tmp_path / "test.h5"
    data = np.frombuffer(picture(COLOURS["red"], 1), np.uint8)
    with h5py.File(store, "w") as file:
        for name in "abc":
            file.create_dataset(f"red/{name}.jpg", data=data, chunks=(len(data),), compression="gzip")
        chunk = file["red/b.jpg"].id.get_chunk_info(0)
    with store.open("r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(bytes(chunk.size))
    with open_images(str(store)) as images:
        assert [image.name for image in read_images(images, [0, 1, 2])] == ["red/a.jpg", "red/c.jpg"]
    messages = capsys.readouterr().err.splitlines()
    assert len(messages) == 1
    assert messages[0].startswith("classify: skipped ")
    assert "red/b.jpg" in messages[0]


def test_images_that_cannot_be_decoded_are_read(tmp_path: Path) -> None:
    """Only the classifier decodes them."""
    store = make_store(tmp_path / "test.h5", 3)
    add(store, "red/text.jpg", b"not an image at all")
    with open_images(str(store)) as images:
        assert b"not an image at all" in [image.data for image in read_images(images, [0, 1, 2, 3])]
