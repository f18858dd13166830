"""Files of MATLAB (save -v7.3): HDF5 whose arrays have their axes in reverse order."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from imagestore.archive.members import SourceLabels
from imagestore.decode.decode_image import decode_rgb
from imagestore.sources.open_archive import open_archive

COUNT = 9
PIXELS = np.random.default_rng(5).integers(0, 256, (COUNT, 6, 8, 3), np.uint8)
GREYS = PIXELS[..., 0]
NUMBERS = np.arange(COUNT) % 3
CLASSES = ["rose", "tülip", "lily"]
NAMES = [CLASSES[number] for number in NUMBERS]


def write_mat(path, **variables):
    """A file as MATLAB writes it. A list of texts is a cell array; "" has two zeros, as MATLAB has it."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            if isinstance(value, list):
                cells = [
                    _add(file, f"#refs#/{name}{i}", _codes([text]), "char") for i, text in enumerate(value)
                ]
                for cell, text in zip(cells, value, strict=True):
                    if not text:
                        cell.attrs["MATLAB_empty"] = 1
                value = np.array([cell.ref for cell in cells], h5py.ref_dtype)[None, :]
                _add(file, name, value, "cell")
            else:
                _add(
                    file, name, value, {"float64": "double", "uint16": "char"}.get(value.dtype.name, "uint8")
                )
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
    return path


def _add(file: h5py.File, name: str, value: np.ndarray, kind: str) -> h5py.Dataset:
    dataset = file.create_dataset(name, data=value.T)
    dataset.attrs["MATLAB_class"] = np.bytes_(kind)
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
