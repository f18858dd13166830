"""Files that the tests of reports share: a folder of striped images, and an archive of it."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.helpers.images import encode, stripes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`in`: two images whose stripes have undisputed colours, a broken one, and a text file."""
    data = encode(stripes((100, 50), ("green", "yellow", "red"), (6, 3, 1)))
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(data)
    (folder / "b[1].png").write_bytes(data)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no image")
    (folder / "notes.txt").write_text("no image either")
    return folder


@pytest.fixture
def archive(folder: Path, tmp_path: Path) -> Path:
    """`in.tgz`: the folder as an archive."""
    with tarfile.open(tmp_path / "in.tgz", "w:gz") as tar:
        tar.add(folder, "in")
    return tmp_path / "in.tgz"


@pytest.fixture
def member(sample: Path) -> str:
    """The name of an image of `sample`."""
    with tarfile.open(sample) as tar:
        return next(entry.name for entry in tar if entry.name.endswith(".jpg"))
