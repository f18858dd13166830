"""reports/found_image.py: labels and palettes, stored or computed."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.colour.palette import find_palette
from imagestore.decode.errors import NotAnImage
from imagestore.reports.found_image import ImageFile, StoreImage
from imagestore.store.reader import ImageStore
from tests.helpers.images import encode, stripes

GREEN = np.array([[1, 46.2, -51.7, 49.9, 0, 128, 0]], np.float32)


def label_in_store(path: Path, group: str, palette: np.ndarray | None) -> str:
    """The label of an image that is mostly blue, with that palette stored."""
    with h5py.File(path, "w") as file:
        file[f"{group}/a.png"] = np.frombuffer(encode(stripes()), np.uint8)
        if palette is not None:
            file[f"{group}/a.png"].attrs["palette"] = palette
    with ImageStore(path) as store:
        image = StoreImage("a.png", store, 0, group)
        label, found = image.label_and_palette()
        assert image.read() == encode(stripes())
        stored = palette if palette is not None and len(palette) else find_palette(encode(stripes())).table()
        assert np.array_equal(found.table(), stored)
        return label


def test_the_group_of_a_stored_palette_is_the_label(tmp_path: Path) -> None:
    assert label_in_store(tmp_path / "a.h5", "dark-pink", GREEN) == "dark-pink"


def test_a_group_that_is_no_colour_is_not_the_label(tmp_path: Path) -> None:
    assert label_in_store(tmp_path / "a.h5", "flowers", GREEN) == "green"


def test_without_a_palette_both_are_computed(tmp_path: Path) -> None:
    assert label_in_store(tmp_path / "a.h5", "dark-pink", None) == "blue"


@pytest.mark.parametrize(("group", "label"), [("dark-pink", "dark-pink"), ("flowers", "blue")])
def test_a_palette_without_colours_is_computed(tmp_path: Path, group: str, label: str) -> None:
    """The group is the label as with any stored palette, if it is a colour."""
    assert label_in_store(tmp_path / "a.h5", group, GREEN[:0]) == label


def test_an_image_file_is_computed_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(stripes()))
    label, palette = ImageFile("a.png", path).label_and_palette()
    assert (label, palette.hex_codes()[0]) == ("blue", "#0000ff")
    path.write_bytes(b"no image")
    with pytest.raises(NotAnImage):
        ImageFile("a.png", path).label_and_palette()
