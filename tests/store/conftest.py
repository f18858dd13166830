"""A small store for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.written_stores import IMAGES, write_store


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """A published store with IMAGES in it."""
    path = tmp_path / "images.h5"
    write_store(path, IMAGES)
    return path
