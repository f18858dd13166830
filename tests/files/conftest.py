"""A small disk for the tests of files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.full_disks import SMALL_DISK, mounted_tmpfs


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A file system of 12 MB."""
    with mounted_tmpfs(tmp_path, f"size={SMALL_DISK}"):
        yield tmp_path
