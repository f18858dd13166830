"""What the tests of the source and of the true labels share."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.helpers.small_stores import COLOURS, picture


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of three images, made from a folder beside it."""
    folder = tmp_path / "jpg"
    folder.mkdir()
    for i, (name, colour) in enumerate(COLOURS.items()):
        (folder / f"{name}.jpg").write_bytes(picture(colour, i))
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, f"jpg/{path.name}")
    return tmp_path / "photos.tar"
