"""The drawn archive: its layout, and pictures that depend on count, seed and size only."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from PIL import Image

from demo.draw_flowers import FIRST_TIME, LONGEST_RATIO, draw, jpeg


def test_the_archive_is_laid_out_as_102flowers(tmp_path: Path):
    with tarfile.open(draw(tmp_path / "new/flowers.tgz", count=9, seed=2, size=48)) as archive:
        entries = archive.getmembers()
        names = [f"image_{i:05d}.jpg" for i in range(1, 10)]
        assert [entry.name for entry in entries] == [
            "jpg",
            "jpg/files.txt",
            *(f"jpg/{name}" for name in names),
        ]
        assert entries[0].isdir()
        assert archive.extractfile(entries[1]).read().decode().split() == names
        assert [entry.mtime for entry in entries[2:]] == [FIRST_TIME + 60 * i for i in range(9)]
        assert [archive.extractfile(entry).read() for entry in entries[2:]] == [
            jpeg(i, 2, 48) for i in range(9)
        ]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["flowers.tgz"]


def test_pictures_differ_by_index_and_seed():
    assert jpeg(4, seed=1, size=40) == jpeg(4, seed=1, size=40)
    assert len({jpeg(i, seed, 40) for i in range(4) for seed in range(4)}) == 16


def test_the_shorter_side_has_the_given_size():
    sizes = [Image.open(io.BytesIO(jpeg(i, seed=5, size=50))).size for i in range(12)]
    assert {min(size) for size in sizes} == {50}
    assert all(max(size) <= 50 * LONGEST_RATIO for size in sizes)
    assert len({width > height for width, height in sizes}) == 2
