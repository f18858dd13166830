"""An archive and two stores of its images, to be corrected."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.helpers.mended_stores import BY_FOLDER, PHOTOS, heuristic, make_archive


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    archive = make_archive(folder / "a.tar")
    assert (
        heuristic("partition", archive, folder / "train.h5", folder / "test.h5", 0.6, *BY_FOLDER).status == 0
    )
    assert heuristic("sort", archive, folder / "all.h5", len(PHOTOS), 100, *BY_FOLDER).status == 0
    return folder


@pytest.fixture
def made(_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a.tar, the stores of its two parts train.h5 and test.h5, and all.h5."""
    for path in _made.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def store(made: Path) -> Path:
    """A store of all twelve images."""
    return made / "all.h5"
