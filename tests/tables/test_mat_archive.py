"""MATLAB files of versions 5 to 7 as archives: cell arrays and arrays of pictures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from imagestore.archive.label_text import NoLabels
from imagestore.console import UserError
from tests.helpers.mended_stores import heuristic
from tests.helpers.read_archives import read_all
from tests.helpers.small_stores import picture
from tests.helpers.stored_images import stored_labels

RANDOM = np.random.default_rng(3)
PIXELS = [RANDOM.integers(0, 256, (8 + i, 12 - i, 3), np.uint8) for i in range(5)]
EQUAL = RANDOM.integers(0, 256, (5, 8, 9, 3), np.uint8)
NUMBERS = np.array([2, 1, 3, 2, 1])
CLASSES = ["lily", "rose", "oak"]
LABELS = [CLASSES[number - 1] for number in NUMBERS]
TEXTS = list(map(str, NUMBERS))


def cells(values: list, shape: tuple[int, int] = (1, -1)) -> np.ndarray:
    """A cell array."""
    array = np.empty(len(values), object)
    for i, value in enumerate(values):
        array[i] = value
    return array.reshape(shape)


def structs(**fields: list) -> np.ndarray:
    """A 1 x N array of structs."""
    array = np.zeros((1, 5), [(name, object) for name in fields])
    for name, values in fields.items():
        for i, value in enumerate(values):
            array[name][0, i] = value
    return array


def write(path: Path, **variables: object) -> Path:
    savemat(path, variables)
    return path


def assert_pixels(images: list[bytes], expected) -> None:
    assert len(images) == len(expected)
    for image, pixels in zip(images, expected, strict=True):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(image))), pixels)


VARIABLES = {
    "a row and a vector": ({"images": cells(PIXELS), "labels": NUMBERS}, TEXTS),
    "columns of cells": ({"x": cells(PIXELS, (-1, 1)), "kind": cells(LABELS, (-1, 1))}, LABELS),
    "names of numbers": ({"x": cells(PIXELS), "y": NUMBERS / 1.0, "class_names": cells(CLASSES)}, LABELS),
    "characters": ({"x": cells(PIXELS), "species": np.array(LABELS)}, LABELS),
    "structs": ({"data": structs(image=PIXELS, label=LABELS)}, LABELS),
    "structs with numbers": ({"data": structs(image=PIXELS, label=list(NUMBERS / 1.0))}, TEXTS),
    "a struct": ({"set": {"x": cells(PIXELS), "y": NUMBERS, "class_names": cells(CLASSES)}}, LABELS),
    "one-hot": ({"x": cells(PIXELS), "y": np.eye(4)[NUMBERS]}, TEXTS),
    "one-hot columns": ({"x": cells(PIXELS), "y": np.eye(4)[NUMBERS].T}, TEXTS),
    "names beside numbers": (
        {"x": cells(PIXELS), "id_of": NUMBERS, "kind": cells(LABELS), "n": NUMBERS[:2]},
        LABELS,
    ),
    "a mean": ({"x": cells(PIXELS), "y": NUMBERS, "mean": PIXELS[0], "other": np.eye(5)}, TEXTS),
}


@pytest.mark.parametrize("kind", VARIABLES)
def test_pictures_in_cells_with_labels_beside_them(tmp_path, kind):
    variables, expected = VARIABLES[kind]
    images, labels = read_all(write(tmp_path / "a.mat", **variables))
    assert_pixels(images, PIXELS)
    assert labels == expected


@pytest.mark.parametrize("shape", [(1, -1), (-1, 1)])
def test_cells_may_hold_bytes_of_images(tmp_path, shape):
    files = [picture((200, 40 * i, 30), i) for i in range(5)]
    rows = [np.frombuffer(data, np.uint8).reshape(shape) for data in files]
    assert read_all(write(tmp_path / "a.mat", x=cells(rows), y=NUMBERS)) == (files, TEXTS)


GREY = [pixels[..., 0] for pixels in PIXELS]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (GREY, GREY),
        ([pixels / 255 for pixels in PIXELS], PIXELS),
        ([pixels.astype(np.float32) for pixels in PIXELS], PIXELS),
        ([grey.astype(np.uint16) * 257 for grey in GREY], GREY),
    ],
)
def test_numbers_of_other_types_are_scaled_together(tmp_path, values, expected):
    images, _ = read_all(write(tmp_path / "a.mat", x=cells(values), y=NUMBERS))
    assert_pixels(images, expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (EQUAL.transpose(1, 2, 3, 0), EQUAL),
        (EQUAL, EQUAL),
        (EQUAL[..., 0].transpose(1, 2, 0), EQUAL[..., 0]),
        (EQUAL.transpose(1, 2, 3, 0) / 255, EQUAL),
    ],
    ids=["H x W x 3 x N", "N x H x W x 3", "H x W x N", "floats"],
)
def test_pictures_in_arrays(tmp_path, values, expected):
    images, labels = read_all(write(tmp_path / "a.mat", X=values, y=NUMBERS[:, None]))
    assert_pixels(images, expected)
    assert labels == TEXTS


def test_several_arrays_are_listed_and_named(tmp_path):
    path = write(
        tmp_path / "a.mat", train={"x": cells(PIXELS), "y": NUMBERS}, test={"x": EQUAL, "y": NUMBERS}
    )
    with pytest.raises(UserError, match=r"2 arrays of pictures: .*a.mat:/train/x or .*a.mat:/test/x"):
        read_all(path)
    assert_pixels(read_all(Path(f"{path}:/train"))[0], PIXELS)
    assert_pixels(read_all(Path(f"{path}:/test/x"))[0], EQUAL)
    with pytest.raises(UserError, match="has no pictures in 'train/y'"):
        read_all(Path(f"{path}:/train/y"))


def test_what_cannot_be_decided_is_asked(tmp_path):
    path = write(
        tmp_path / "a.mat", x=cells(PIXELS), kind=[1, 1, 3, 2, 1], sort=cells(LABELS), short=NUMBERS[:3]
    )
    with pytest.raises(NoLabels, match="several variables can be the labels of x: kind, sort; name one"):
        read_all(path)
    assert read_all(path, "sort")[1] == LABELS
    with pytest.raises(UserError, match="no variable 'short' has a value for each image of x"):
        read_all(path, "short")
    with pytest.raises(NoLabels, match="no variable with 5 labels stands beside x"):
        read_all(write(tmp_path / "b.mat", x=cells(PIXELS)))
    with pytest.raises(UserError, match=r"holds no image, .*; its variables: x \(5 x 5\), y \(1 x 5\)"):
        read_all(write(tmp_path / "c.mat", x=np.eye(5), y=NUMBERS))


def test_empty_cells_are_counted_and_damage_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path("a.mat"), x=cells([np.zeros((0, 0)), *PIXELS[1:4], "text"]), y=cells(LABELS))
    command = ["partition", "a.mat", "b.h5", "c.h5", 1, "--labels", "source", "--no-palette"]
    done = heuristic(*command)
    assert done.status == 0 and "2 rows without the bytes of an image: x/000000, x/000004" in done.err
    assert stored_labels("b.h5") == {f"x/{i:06d}.png": LABELS[i] for i in (1, 2, 3)}
    assert "a.mat is no store; this makes stores" in heuristic("summary", "a.mat").err
    Path("a.mat").write_bytes(Path("a.mat").read_bytes()[:300])
    done = heuristic(*command)
    assert done.status == 1 and "is no MATLAB file, or is damaged" in done.err


def test_damage_at_which_scipy_crashes_is_one_line(run, tmp_path):
    data = bytearray(write(tmp_path / "a.mat", x=np.arange(6, dtype=np.uint8).reshape(2, 3)).read_bytes())
    assert data[176] == 2  # the type of the numbers of x: uint8
    data[176] = 255
    (tmp_path / "a.mat").write_bytes(data)
    done = run("colourHeuristic.py", "partition", "a.mat", "b.h5", "c.h5", "1", check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "a.mat is no MATLAB file, or is damaged" in done.stderr
