"""fsspec's own tests of what every file system must do to copy files out of it."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

from imagestore.vfs.fsspec_filesystem import ImageStoreFileSystem
from imagestore.vfs.shared_tree import SharedTree


class Filled(ImageStoreFileSystem):
    """The file system under test, and what fsspec's tests need to fill it: they write the HDF5 file."""

    def __init__(self, fo: str) -> None:
        self._path, self._current = fo, None
        super().__init__(fo)

    @property
    def _tree(self) -> SharedTree:
        if self._current is None:
            self._current = ImageStoreFileSystem(self._path)._tree
        return self._current

    @_tree.setter
    def _tree(self, tree: SharedTree) -> None:
        self._current = tree

    def pipe(self, path: str, value: bytes = b"") -> None:
        with h5py.File(self._path, "a") as file:
            file.require_group(os.path.dirname(path))[os.path.basename(path)] = np.frombuffer(value, np.uint8)
        self._current = None

    touch = pipe

    def makedirs(self, path: str, exist_ok: bool = True) -> None:
        with h5py.File(self._path, "a") as file:
            file.require_group(path)
        self._current = None

    mkdir = makedirs

    def rm(self, path: str, recursive: bool = True) -> None:
        with h5py.File(self._path, "a") as file:
            del file[path]
        self._current = None


class TestGet(AbstractFixtures, AbstractGetTests):
    """The tests that come with fsspec."""

    @pytest.fixture
    def fs(self, tmp_path: Path) -> Filled:
        """An empty store."""
        h5py.File(tmp_path / "store.h5", "w").close()
        return Filled(str(tmp_path / "store.h5"))

    @pytest.fixture
    def fs_path(self) -> str:
        """The root folder."""
        return ""
