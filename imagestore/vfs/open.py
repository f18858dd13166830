"""Open stores as one tree."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from imagestore.hdf5.helper_process import HelperProcess
from imagestore.store.open import expand_paths
from imagestore.vfs.hdf5_source import Hdf5Source
from imagestore.vfs.indexed_source import IndexedSource, index_that_says_all
from imagestore.vfs.store_file import StoreFile
from imagestore.vfs.tree import Tree


def open_tree(
    paths: Sequence[str | Path],
    *,
    side_by_side: bool = False,
    follow_external: bool = False,
    use_index: bool = True,
) -> Tree:
    """The tree of one store or of several, given as files or quoted globs. Raises UserError.

    Without `use_index`, what it shows is what HDF5 finds, whatever an index says.
    """
    sources: list[IndexedSource | Hdf5Source] = []
    try:
        for path in expand_paths(paths):
            sources.append(_open_source(path, len(sources), follow_external, use_index))
        return Tree(sources, side_by_side)
    except BaseException:
        for source in sources:
            source.close()
        raise


def _open_source(
    path: Path, number: int, follow_external: bool, use_index: bool
) -> IndexedSource | Hdf5Source:
    """The store at `path`, the `number`-th of a tree. Raises UserError."""
    file = StoreFile(path)
    try:
        index = index_that_says_all(file.fd) if use_index else None
        helper = HelperProcess(file.path, file.fd, follow_external)
        if index is not None:
            return IndexedSource(file, helper, number, index)
        return Hdf5Source(file, helper, number)
    except BaseException:
        os.close(file.fd)
        raise
