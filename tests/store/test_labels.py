"""Labels of stores that other programs wrote: links, splits, groups without images, images at the root."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.store.labels import NO_PART, TEST, TRAIN, VAL, StoreLabels, find_labels
from imagestore.store.reader import ImageStore
from tests.helpers.images import encode, stripes

IMAGE = np.frombuffer(encode(stripes()), np.uint8)
TGA = np.frombuffer(encode(stripes(), "TGA"), np.uint8)
MASK = np.ones(40, np.uint8)


def labels_of(path: Path, datasets: dict[str, np.ndarray | h5py.SoftLink]) -> StoreLabels:
    """The labels of a new file with these datasets and links."""
    with h5py.File(path, "w") as file:
        for name, data in datasets.items():
            file[name] = data
    with ImageStore(path) as store:
        return find_labels(store)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.h5"


def by_label(labels: StoreLabels) -> list[str | None]:
    """The label of each image that counts."""
    return [labels.name_of(i) for i in np.flatnonzero(labels.is_counted).tolist()]


def test_top_level_groups_are_labels(path):
    labels = labels_of(path, {"red/1.png": IMAGE, "green/a/b/2.png": IMAGE, "green/3.png": IMAGE})
    assert labels.names == ["green", "red"] and by_label(labels) == ["green", "green", "red"]
    assert labels.split is None and labels.without_label == 0 and labels.left_out_text() == ""


def test_a_group_without_an_image_is_no_label(path):
    labels = labels_of(path, {"red/1.png": IMAGE, "red/readme": MASK, "meta/a": MASK, "meta/b": MASK})
    assert labels.names == ["red"] and labels.is_counted.tolist() == [False, False, True, True]
    assert labels.left_out_text() == "left out: meta (no image that can be decoded among 2 datasets)"


def test_one_image_among_others_makes_a_label(path):
    labels = labels_of(path, {"red/0": MASK, "red/1.png": IMAGE, "green/1.tga": TGA, "blue/tga": TGA})
    assert labels.names == ["green", "red"]  # the bytes of a TGA say little without its name


def test_images_at_the_root_have_no_label(path):
    labels = labels_of(path, {"1.png": IMAGE, "2.png": IMAGE, "flags": MASK, "ids": MASK, "red/3.png": IMAGE})
    assert by_label(labels) == [None, None, "red"] and labels.without_label == 2
    assert labels.left_out == ["flags, … at the root (no image: 2 datasets)"]


def test_storage_of_linked_labels_is_left_out(path):
    links = {f"{label}/{i}": h5py.SoftLink(f"/images/{i}") for i, label in enumerate(("red", "green"))}
    labels = labels_of(path, {"images/0": IMAGE, "images/1": IMAGE, **links, "red/2": h5py.SoftLink("/none")})
    assert by_label(labels) == ["green", "red"]
    assert labels.left_out == [
        "images (2 images, under other labels too)",
        "links that lead nowhere: 1 (red/2)",
    ]


def test_storage_of_which_some_have_no_label(path):
    links = {f"{('red', 'green')[i % 2]}/{i}": h5py.SoftLink(f"/images/{i}") for i in range(4)}
    labels = labels_of(path, {f"images/{i}": IMAGE for i in range(7)} | links)
    assert labels.names == ["green", "red"]
    assert labels.left_out == ["images (7 images, 3 of them under no other label)"]


@pytest.mark.parametrize(
    ("first", "second", "third"),
    [("train", "val", "test"), ("Training", "VALID", "Testing"), ("train", "validation", "test")],
)
def test_a_split_above_the_classes(path, first, second, third):
    datasets = {f"{first}/red/{i}.png": IMAGE for i in range(3)}
    datasets |= {f"{second}/green/1.png": IMAGE, f"{third}/red/deep/1.png": IMAGE, f"{third}/2.png": IMAGE}
    labels = labels_of(path, {**datasets, "3.png": IMAGE})
    assert labels.names == ["green", "red"]
    with ImageStore(path) as store:
        found = {store.path_of(i): (labels.name_of(i), labels.split[i]) for i in range(len(store))}
    assert found == {
        f"{first}/red/0.png": ("red", TRAIN),
        f"{first}/red/1.png": ("red", TRAIN),
        f"{first}/red/2.png": ("red", TRAIN),
        f"{second}/green/1.png": ("green", VAL),
        f"{third}/red/deep/1.png": ("red", TEST),
        f"{third}/2.png": (None, TEST),
        "3.png": (None, NO_PART),
    }


@pytest.mark.parametrize(
    "datasets",
    [
        {"train/red/1.png": IMAGE, "val/red/2.png": IMAGE, "other/red/3.png": IMAGE},
        {"train/1.png": IMAGE, "test/2.png": IMAGE},
        {"training set/red/1.png": IMAGE, "test/red/2.png": IMAGE},
        {"train/00001/img": IMAGE, "train/00002/img": IMAGE, "test/00003/img": IMAGE},
    ],
)
def test_other_groups_are_labels_and_no_split(path, datasets):
    labels = labels_of(path, datasets)
    assert labels.split is None
    assert labels.names == sorted({name.split("/")[0] for name in datasets})


def test_a_split_beside_storage_and_numbers(path):
    parts = enumerate(("train", "train", "val"))
    links = {f"{part}/red/{i}.png": h5py.SoftLink(f"/images/{i}") for i, part in parts}
    images = {f"images/{i}": IMAGE for i in range(3)}
    datasets = {**images, "meta/ids": MASK, "train/masks/1": MASK, **links}
    labels = labels_of(path, datasets)
    assert labels.names == ["red"] and by_label(labels) == ["red"] * 3
    assert labels.split[labels.is_counted].tolist() == [TRAIN, TRAIN, VAL]
    assert [text.split(" ")[0] for text in labels.left_out] == ["images", "meta", "masks"]


def test_a_damaged_image_is_left_to_its_reader(path):
    labels_of(path, {"red/1.png": IMAGE})
    path.write_bytes(
        path.read_bytes().replace(IMAGE.tobytes(), IMAGE.tobytes()[:90] + bytes(len(IMAGE) - 90))
    )
    with ImageStore(path) as store:
        assert find_labels(store).names == ["red"]
