"""reports/find_images.py: names, globs and all images of each kind of source."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.console import UserError
from imagestore.reports.find_images import find_images
from tests.helpers.images import encode, stripes

PICTURE = encode(stripes())


@pytest.fixture(autouse=True)
def cache_of_the_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Four images in two groups; two of them have the same name."""
    with h5py.File(tmp_path / "store.h5", "w") as file:
        for path in ("blue/1.png", "blue/2.png", "red/1.png", "red/[3].png"):
            file[path] = np.frombuffer(PICTURE, np.uint8)
    return tmp_path / "store.h5"


def found(path: Path, *names: str, all_images: bool = False) -> list[str]:
    """The names of the images, each of which can be read."""
    with find_images(path, names=names, all_images=all_images) as images:
        return [image.name for image in images if image.read()]


def test_all_images_of_each_source(archive: Path, folder: Path, store: Path) -> None:
    assert sorted(found(archive, all_images=True)) == ["in/a.png", "in/b[1].png", "in/broken.jpg"]
    assert found(folder, all_images=True) == ["a.png", "b[1].png", "broken.jpg"]
    assert found(store, all_images=True) == ["blue/1.png", "blue/2.png", "red/1.png", "red/[3].png"]
    assert found(folder / "a.png", all_images=True) == ["a.png"]


def test_a_glob_means_the_names_that_match(archive: Path, folder: Path, store: Path) -> None:
    assert sorted(found(archive, "in/*.png")) == ["in/a.png", "in/b[1].png"]
    assert found(folder, "?.png") == ["a.png"]
    assert found(store, "blue/*") == ["blue/1.png", "blue/2.png"]


def test_a_name_with_brackets_is_found_as_it_is(archive: Path, folder: Path, store: Path) -> None:
    assert found(archive, "in/b[1].png") == ["in/b[1].png"]
    assert found(folder, "b[1].png") == ["b[1].png"]
    assert found(store, "red/[3].png") == ["red/[3].png"]


def test_a_name_in_a_store_means_all_images_of_that_name(store: Path) -> None:
    assert found(store, "1.png") == ["blue/1.png", "red/1.png"]


def test_a_label_may_be_given_as_it_is(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "store.h5", "w") as file:
        for path in ("AC%2FDC/1.png", "%empty/1.png", "%empty/2.png", "AC/3.png"):
            file[path] = np.frombuffer(PICTURE, np.uint8)
    store = tmp_path / "store.h5"
    assert found(store, "AC/DC/1.png") == found(store, "AC/DC/*") == ["AC%2FDC/1.png"]
    assert found(store, "1.png") == ["%empty/1.png", "AC%2FDC/1.png"]  # a name alone has no label
    assert found(store, "AC/*") == ["AC/3.png"]


def test_an_image_of_a_store_is_found_by_its_member(sample_store: Path, member: str) -> None:
    (path,) = found(sample_store, member)
    with h5py.File(sample_store) as file:
        assert file[path].attrs["member"].tobytes().decode() == member


def test_an_image_is_found_once_in_the_order_of_names(archive: Path, folder: Path, store: Path) -> None:
    assert found(archive, "in/broken.jpg", "in/a.png", "in/*") == ["in/broken.jpg", "in/a.png", "in/b[1].png"]
    assert found(folder, "b[1].png", "*") == ["b[1].png", "a.png", "broken.jpg"]
    assert found(store, "red/1.png", "1.png") == ["red/1.png", "blue/1.png"]


@pytest.mark.parametrize("bad_name", ["none.png", "none*"])
def test_a_bad_name_is_told_before_any_image(archive: Path, store: Path, bad_name: str) -> None:
    for path, good_name in ((archive, "in/a.png"), (store, "blue/1.png")):
        with pytest.raises(UserError, match="none"), find_images(path, names=[good_name, bad_name]):
            pytest.fail("an image was found")


def test_no_names_mean_no_images(archive: Path, store: Path) -> None:
    assert found(archive) == found(store) == []


def test_an_image_file_has_no_other_names(folder: Path) -> None:
    assert found(folder / "a.png") == found(folder / "a.png", "a.png") == ["a.png"]
    with pytest.raises(UserError, match=r"leave out the NAME 'b\.png'"):
        found(folder / "a.png", "b.png")


@pytest.mark.timeout(20)
def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe"):
        found(tmp_path / "pipe", "x")
