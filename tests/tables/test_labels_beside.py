"""HDF5 files whose labels stand at the images, or beside them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.archive.members import SourceLabels
from imagestore.sources.open_archive import open_archive
from tests.helpers.small_stores import picture

LABELS = ["rose", "lily", "rose"]


def bytes_of(i: int) -> np.ndarray:
    return np.frombuffer(picture((200, 40 * i, 30), i), np.uint8)


def opaque(i: int) -> np.void:
    return np.void(picture((200, 40 * i, 30), i))


def pixels(i: int) -> np.ndarray:
    return np.full((9, 9, 3), 40 * i, np.uint8)


def labels_of(path: Path, key: str | None = None) -> dict[str, str | None]:
    """The label of each image by its path."""
    with open_archive(path, labels=SourceLabels(key)) as archive:
        return {member.name.removesuffix(".png"): member.label for member, _ in archive.stream()}


@pytest.mark.parametrize("image", [bytes_of, opaque, pixels])
def test_an_attribute_is_the_label(tmp_path, image):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for i, label in enumerate(LABELS):
            file[f"images/{i}"] = image(i)
            file[f"images/{i}"].attrs.update({"label": label, "number": i})
    assert labels_of(tmp_path / "a.h5") == {f"images/{i}": label for i, label in enumerate(LABELS)}
    assert labels_of(tmp_path / "a.h5", "number") == {f"images/{i}": str(i) for i in range(3)}


@pytest.mark.parametrize("image", [bytes_of, opaque, pixels])
@pytest.mark.parametrize("value", [str, np.bytes_, lambda label: [LABELS.index(label)]])
def test_a_value_beside_the_only_image_is_its_label(tmp_path, image, value):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for i, label in enumerate(LABELS):
            file[f"train/{i:05d}/img"], file[f"train/{i:05d}/class"] = image(i), value(label)
            file[f"train/{i:05d}/embedding"] = np.zeros(8)
    label_of = LABELS if value is not None and isinstance(value("rose"), (str, bytes)) else "010"
    assert labels_of(tmp_path / "a.h5") == {f"train/{i:05d}/img": label for i, label in enumerate(label_of)}


@pytest.mark.parametrize("image", [bytes_of, pixels])
def test_a_value_beside_several_images_is_not_theirs(tmp_path, image):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for i, label in enumerate(LABELS):
            file[f"{label}/{i}"] = image(i)
        file["rose/label"] = 7
    assert labels_of(tmp_path / "a.h5") == {f"{label}/{i}": label for i, label in enumerate(LABELS)}
