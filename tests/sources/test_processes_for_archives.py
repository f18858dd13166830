"""A process for each compressed archive, if it is worth its start."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from imagestore.sources.processes_for_archives import FEWEST_BYTES, MOST_PROCESSES, processes_for_archives
from tests.helpers.archives import PACKERS, noise, write

GZIP = PACKERS["gz"](b"")  # a beginning that is known; what follows does not matter here


@pytest.fixture
def archives(tmp_path: Path):
    """A function that writes so many gzip files that have `size` bytes together."""

    def write_archives(count: int, size: int) -> list[Path]:
        return [write(tmp_path / f"{i}.tgz", GZIP + bytes(size // count)) for i in range(count)]

    return write_archives


def count(paths: list[Path], cpus: int) -> int:
    with processes_for_archives(paths, cpus) as processes:
        return len(processes)


@pytest.mark.parametrize(
    ("files", "cpus", "expected"), [(1, 2, 1), (1, 1, 0), (8, 2, 2), (3, 16, 3), (20, 16, MOST_PROCESSES)]
)
def test_as_many_as_archives_and_cpus(archives, files: int, cpus: int, expected: int) -> None:
    assert count(archives(files, FEWEST_BYTES), cpus) == expected


def test_little_data_is_not_worth_a_process(archives) -> None:
    assert count(archives(5, FEWEST_BYTES // 2), 4) == 0


def test_what_needs_no_decompression_has_no_process(archives, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zip_file:
        zip_file.writestr("a.jpg", noise(FEWEST_BYTES, 1))
    plain = write(tmp_path / "a.tar", bytes(FEWEST_BYTES))
    others = [tmp_path / "a.zip", plain, tmp_path, tmp_path / "missing.tgz"]
    assert count(others, 4) == 0
    assert count([*others, *archives(1, FEWEST_BYTES)], 4) == 1
