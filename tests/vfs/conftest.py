"""What several tests of trees share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.odd_stores import make_indexed


@pytest.fixture
def indexed(tmp_path: Path) -> tuple[Path, dict[str, bytes]]:
    """A store as `sort` leaves it, and the bytes of each file in it, by path."""
    path = tmp_path / "store.h5"
    return path, make_indexed(path)
