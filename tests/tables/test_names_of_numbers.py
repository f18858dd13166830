"""Names of labels that are numbers, which HDF5 files have beside the labels."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from imagestore.archive.members import SourceLabels
from imagestore.sources.open_archive import open_archive
from tests.helpers.array_files import write_datasets

COUNT = 9
PIXELS = np.arange(COUNT * 6 * 8 * 3, dtype=np.uint8).reshape(COUNT, 6, 8, 3)
NUMBERS = np.arange(COUNT) % 3
CLASSES = ["rose", "tulip", "lily"]
NAMES = [CLASSES[number] for number in NUMBERS]
TEXTS = np.array(CLASSES, object)


def labels_of(path, key=None) -> list[str | None]:
    with open_archive(path, labels=SourceLabels(key)) as archive:
        return [member.label for member in archive.members()]


@pytest.mark.parametrize(
    "name", ["label_names", "class_names", "classes", "list_classes", "classNames", "categories", "names"]
)
@pytest.mark.parametrize("texts", [TEXTS, np.array(CLASSES, "S6"), TEXTS[:, None]])
def test_an_array_of_names_beside_the_labels(tmp_path, name, texts):
    path = write_datasets(tmp_path / "a.h5", images=PIXELS, labels=NUMBERS, **{name: texts})
    assert labels_of(path) == NAMES


@pytest.mark.parametrize(
    "labels",
    [
        NUMBERS.astype("u1"),
        NUMBERS.astype(">f4"),
        NUMBERS + 1,
        NUMBERS[:, None],
        NUMBERS[None, :],
        np.eye(3)[NUMBERS],
    ],
)
def test_labels_of_every_shape_get_names(tmp_path, labels):
    path = write_datasets(tmp_path / "a.h5", images=PIXELS, labels=labels, class_names=TEXTS)
    assert labels_of(path) == NAMES


@pytest.mark.parametrize(
    "value",
    [
        CLASSES,
        np.array(CLASSES, "S6"),
        json.dumps(CLASSES),
        json.dumps({"0": "rose", "1": "tulip", "2": "lily"}),
        json.dumps({"rose": 0, "tulip": 1, "lily": 2}),
    ],
)
@pytest.mark.parametrize("holder", ["train/labels", "train", "/"])
def test_an_attribute_with_the_names(tmp_path, value, holder):
    path = write_datasets(tmp_path / "a.h5", train__images=PIXELS, train__labels=NUMBERS)
    with h5py.File(path, "a") as file:
        file[holder].attrs["note"], file[holder].attrs["class_names"] = 3, value
    assert labels_of(path) == NAMES


@pytest.mark.parametrize(
    "datasets",
    [
        {"class_names": TEXTS[:2]},
        {"names": [b"Ann", b"Bo", b"Cy", b"Di"]},
        {"class_names": [b"a", b"a", b"b"]},
        {"class_names": [b"a", b"", b"b"]},
        {"class_names": TEXTS, "label_names": TEXTS[::-1]},
        {"class_weights": np.ones(3)},
        {"words": TEXTS},
    ],
)
def test_what_does_not_fit_leaves_the_numbers(tmp_path, datasets):
    path = write_datasets(tmp_path / "a.h5", images=PIXELS, labels=NUMBERS, **datasets)
    assert labels_of(path) == [str(number) for number in NUMBERS]


def test_each_of_two_arrays_of_labels_has_its_names(tmp_path):
    path = write_datasets(
        tmp_path / "a.h5",
        images=PIXELS,
        fine_labels=NUMBERS,
        coarse_labels=NUMBERS // 2,
        fine_label_names=TEXTS,
        coarse_label_names=[b"red", b"white", b"none"],
    )
    assert labels_of(path, "fine_labels") == NAMES
    assert labels_of(path, "coarse_labels") == [("red", "white")[number // 2] for number in NUMBERS]


def test_a_negative_number_is_no_label_beside_names(tmp_path):
    numbers = np.where(NUMBERS == 2, -1, NUMBERS)
    path = write_datasets(tmp_path / "a.h5", images=PIXELS, labels=numbers, class_names=TEXTS)
    assert labels_of(path)[:3] == ["rose", "tulip", None]


def test_names_that_are_labels_of_images_are_no_classes(tmp_path):
    path = write_datasets(
        tmp_path / "a.h5", images=PIXELS, labels=NUMBERS, class_name=np.array(NAMES, object)
    )
    assert labels_of(path, "labels") == [str(number) for number in NUMBERS]
