"""Fixtures of the tests of archives and of decompression: a cache folder, and large archives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.archives import COMPRESSIONS, Image, pack, photographs, write

LARGE_COUNTS = {"tar": 40, "gz": 280, "bz2": 60, "xz": 60, "zst": 60, "lz4": 60}  # images of 50 kB


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache folder of its own, which does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "imagestore"


@pytest.fixture(scope="session")
def large_archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[Image]]]:
    """(path, images) of an archive for each compression; gzip has several seek points. Do not change them."""
    folder = tmp_path_factory.mktemp("large")
    archives = {}
    for compression in COMPRESSIONS:
        images = photographs(LARGE_COUNTS[compression], 50_000)
        archives[compression] = write(folder / f"a.{compression}", pack(images, compression)), images
    return archives
