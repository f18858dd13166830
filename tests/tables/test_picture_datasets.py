"""HDF5 files whose pictures are a dataset of pixels each."""

from __future__ import annotations

import io
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from imagestore.archive.members import SourceLabels
from imagestore.archive.protocol import DamagedArchive
from imagestore.sources.open_archive import open_archive
from tests.helpers.mended_stores import heuristic
from tests.helpers.stored_images import stored_images, stored_labels

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 9, 7, 4), np.uint8)
PICTURES = {
    "x/rose/1": PIXELS[0, ..., :3],
    "x/rose/2": PIXELS[1, ..., :1],
    "x/AC%2FDC/1": PIXELS[2],
    "top": PIXELS[3, ..., :3],
}


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with h5py.File("a.h5", "w") as opened:
        for path, pixels in PICTURES.items():
            opened.create_dataset(path, data=pixels, chunks=(4, 7, 1), compression="gzip", fletcher32=True)
        opened["x/mean"] = np.zeros((9, 7, 3), np.float32)
        opened["x/rose/2"].attrs["class"] = 3
    return tmp_path / "a.h5"


def test_the_group_or_an_attribute_is_the_label(file):
    done = heuristic("partition", "a.h5", "b.h5", "c.h5", 1, "--labels", "source", "--no-palette")
    assert done.status == 0 and "left out because they have no label: 1 image: top.png" in done.err
    assert stored_labels("b.h5") == {
        "x/rose/1.png": "rose", "x/rose/2.png": "3", "x/AC%2FDC/1.png": "AC%2FDC",
    }  # fmt: skip
    for name, data in stored_images("b.h5").items():
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), np.squeeze(PICTURES[name[:-4]]))


def test_a_group_an_attribute_and_an_image_may_be_named(file):
    with open_archive(Path(f"{file}:/x/rose"), labels=SourceLabels("class")) as archive:
        streamed = list(archive.stream())
        assert [archive.read(member) for member in archive.members()] == [data for _, data in streamed]
    assert [(member.name, member.label) for member, _ in streamed] == [
        ("x/rose/1.png", None), ("x/rose/2.png", "3"),
    ]  # fmt: skip
    done = heuristic("identify", "a.h5", "x/rose/2.png")
    assert done.status == 0 and done.out.startswith("x/rose/2.png: ")


def test_a_damaged_picture_costs_those_behind_it(file):
    with h5py.File(file) as opened:
        chunk = opened["x/rose/1"].id.get_chunk_info(0)
    with file.open("r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\xff" * chunk.size)
    found = []
    with open_archive(file) as archive, pytest.raises(DamagedArchive, match="is damaged at x/rose/1"):
        found += [member.name for member, _ in archive.stream()]
    assert "x/rose/1.png" not in found
