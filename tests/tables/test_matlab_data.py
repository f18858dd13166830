"""Files of MATLAB (save -v7.3): HDF5 whose arrays have their axes in reverse order."""

from __future__ import annotations

import io
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from imagestore.archive.members import SourceLabels
from imagestore.console import UserError
from imagestore.decode.decode_image import decode_rgb
from imagestore.sources.open_archive import open_archive
from tests.helpers.mended_stores import heuristic
from tests.helpers.small_stores import picture
from tests.helpers.stored_images import stored_labels

COUNT = 9
PIXELS = np.random.default_rng(5).integers(0, 256, (COUNT, 6, 8, 3), np.uint8)
GREYS = PIXELS[..., 0]
NUMBERS = np.arange(COUNT) % 3
CLASSES = ["rose", "tülip", "lily"]
NAMES = [CLASSES[number] for number in NUMBERS]


def write_mat(path, **variables):
    """A file as MATLAB writes it. A list is a cell array, and a dict an array of structs with its fields."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            if isinstance(value, dict):
                file.create_group(name).attrs["MATLAB_class"] = np.bytes_("struct")
                for field, values in value.items():
                    _add_cells(file, f"{name}/{field}", values)
            elif isinstance(value, list):
                _add_cells(file, name, value).attrs["MATLAB_class"] = np.bytes_("cell")
            else:
                _add(file, name, value)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
    return path


def _add_cells(file: h5py.File, name: str, values: list) -> h5py.Dataset:
    """A dataset of references. Of an empty array, MATLAB writes the shape as numbers; "" has two zeros."""
    cells = []
    for i, value in enumerate(values):
        array = _codes([value]) if isinstance(value, str) else value
        cell = _add(
            file, f"#refs#/{name.replace('/', '_')}{i}", array if array.size else np.zeros(2, np.uint64)
        )
        if len(value) == 0:
            cell.attrs["MATLAB_empty"] = 1
        cells.append(cell)
    return file.create_dataset(name, data=np.array([[cell.ref] for cell in cells], h5py.ref_dtype))


def _add(file: h5py.File, name: str, value: np.ndarray) -> h5py.Dataset:
    kinds = {"float64": "double", "uint16": "char", "bool": "logical"}
    dataset = file.create_dataset(name, data=value.astype(np.uint8 if value.dtype == bool else value.dtype).T)
    dataset.attrs["MATLAB_class"] = np.bytes_(kinds.get(value.dtype.name, "uint8"))
    return dataset


def _codes(texts: list[str]) -> np.ndarray:
    """uint16 (N, longest): the rows of a matrix of characters."""
    width = max(map(len, texts))
    rows = [[ord(character) for character in text.ljust(width)] for text in texts]
    return np.array(rows, np.uint16) if width else np.zeros((1, 2), np.uint16)


def read(path) -> tuple[np.ndarray, list[str | None]]:
    """The pixels of all images, read one by one, and their labels."""
    with open_archive(path, labels=SourceLabels(None, optional=True)) as archive:
        streamed = [data for _, data in archive.stream()]
        assert [archive.read(member) for member in archive.members()] == streamed
        pixels = np.stack([np.asarray(decode_rgb(data)) for data in streamed])
        return pixels, [member.label for member in archive.members()]


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (PIXELS.transpose(1, 2, 3, 0), PIXELS),
        (PIXELS.transpose(1, 2, 3, 0) / 255, PIXELS),
        (PIXELS, PIXELS),
        (PIXELS / 255, PIXELS),
        (GREYS.transpose(1, 2, 0), np.stack([GREYS] * 3, 3)),
        (PIXELS[..., :1].transpose(1, 2, 3, 0), np.stack([GREYS] * 3, 3)),
    ],
)
def test_pictures_are_upright(tmp_path, images, expected):
    pixels, _ = read(write_mat(tmp_path / "a.mat", images=images))
    assert np.array_equal(pixels, expected)


@pytest.mark.parametrize(
    "variables",
    [
        {"labels": NUMBERS[None, :] + 1.0, "class_names": CLASSES},
        {"labels": NUMBERS[:, None].astype("u1"), "class_names": CLASSES},
        {"labels": NUMBERS[:, None] + 1.0, "classes": _codes(CLASSES)},
        {"labels": NAMES},
    ],
)
def test_labels_are_numbers_with_names_or_cells(tmp_path, variables):
    path = write_mat(tmp_path / "a.mat", images=PIXELS.transpose(1, 2, 3, 0), **variables)
    assert read(path)[1] == NAMES


def test_an_empty_cell_is_an_empty_text(tmp_path):
    path = write_mat(tmp_path / "a.mat", images=PIXELS.transpose(1, 2, 3, 0), labels=["", *NAMES[1:]])
    assert read(path)[1] == ["", *NAMES[1:]]


ODD = [PIXELS[i, : 5 + i % 2] for i in range(COUNT)]  # of several sizes
FILES = [picture((200, 20 * i, 30), i) for i in range(COUNT)]


def read_bytes(path) -> list[tuple[str, bytes, str | None]]:
    """Name, bytes and label of all images, which are equal when they are read one by one."""
    with open_archive(path, labels=SourceLabels(None)) as archive:
        streamed = list(archive.stream())
        assert [archive.read(member) for member in archive.members()] == [data for _, data in streamed]
    return [(member.name, data, member.label) for member, data in streamed]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (ODD, ODD),
        ([value / 255 for value in ODD], ODD),
        ([value[..., 0] > 100 for value in ODD], [255 * (value[..., 0] > 100) for value in ODD]),
    ],
    ids=["uint8", "floats", "truth values"],
)
@pytest.mark.parametrize(
    "labels",
    [{"labels": NAMES}, {"y": NUMBERS[None, :] + 1.0, "class_names": CLASSES}],
    ids=["cells", "a vector"],
)
def test_pictures_in_cells(tmp_path, values, expected, labels):
    found = read_bytes(write_mat(tmp_path / "a.mat", images=values, **labels))
    assert [label for _, _, label in found] == NAMES
    for i, (name, data, _) in enumerate(found):
        assert name == f"images/{i:06d}.png"
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), expected[i])


@pytest.mark.parametrize("shape", [(1, -1), (-1, 1)])
@pytest.mark.parametrize("labels", [NAMES, [np.array([[float(number)]]) for number in NUMBERS]])
def test_files_and_labels_in_an_array_of_structs(tmp_path, shape, labels):
    rows = [np.frombuffer(data, np.uint8).reshape(shape) for data in FILES]
    found = read_bytes(write_mat(tmp_path / "a.mat", samples={"jpeg": rows, "label": labels}))
    expected = NAMES if labels == NAMES else list(map(str, NUMBERS))
    assert found == [(f"samples/jpeg/{i:06d}.jpg", FILES[i], expected[i]) for i in range(COUNT)]


def test_cells_at_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_mat(tmp_path / "a.mat", x=[np.zeros((0, 0), np.uint8), *ODD[1:]], y=NAMES, mean=ODD[0])
    done = heuristic("partition", "a.mat", "b.h5", "c.h5", 1, "--labels", "source", "--no-palette")
    assert done.status == 0 and "1 row without the bytes of an image: x/000000" in done.err
    assert stored_labels("b.h5") == {f"x/{i:06d}.png": NAMES[i] for i in range(1, COUNT)}
    assert "a.mat is no store; this makes stores" in heuristic("summary", "a.mat").err
    assert heuristic("identify", "a.mat", "x/000001.png").out.startswith("x/000001.png: ")
    write_mat(path, x=ODD, z=ODD)
    with pytest.raises(UserError, match=r"2 cell arrays of images: .*a.mat:/x or .*a.mat:/z"):
        open_archive(path)
    with open_archive(Path(f"{path}:/z")) as archive:
        assert len(archive.members()) == COUNT
