"""Fixtures for the tests of this room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.folders import make_folder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The folder of `make_folder`. Afterwards, it and its unpacked copies can be removed."""
    yield make_folder(tmp_path / "folder")
    for read_only_folder in tmp_path.rglob("empty"):
        read_only_folder.chmod(0o755)


@pytest.fixture
def large_files(tmp_path: Path) -> Path:
    """A folder with more bytes than `small_disk` can hold: four files, 0 to 3, of 5 MiB."""
    (tmp_path / "large").mkdir()
    for i in range(4):
        (tmp_path / f"large/{i}").write_bytes(bytes(5 << 20))
    return tmp_path / "large"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB at `tmp_path / "disk"`."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk]
    if subprocess.run(command, timeout=120, check=False, capture_output=True).returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield disk
    subprocess.run(["umount", "-l", disk], timeout=120, check=True)
