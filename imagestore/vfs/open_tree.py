"""Open stores as one tree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from imagestore.hdf5.helper_process import HelperProcess
from imagestore.open_files import MostRecent, may_open
from imagestore.sources.no_store import check_is_hdf5
from imagestore.store.expand_paths import expand_paths
from imagestore.vfs.indexed_source import IndexedSource, complete_index
from imagestore.vfs.source import Source
from imagestore.vfs.store_file import StoreFile
from imagestore.vfs.tree import Tree

FILES_PER_STORE = 2  # open at once: the store, and a pipe to its helper process
MOST_HELPERS = 128  # helper processes at once; each takes 4 MB of memory


def open_tree(
    paths: Sequence[str | Path],
    *,
    side_by_side: bool = False,
    follow_external: bool = False,
    use_index: bool = True,
) -> Tree:
    """The tree of one or several stores, given as files or quoted globs. Raises UserError.

    With `side_by_side`, each store has a folder of its own. With `follow_external`, HDF5 links into other
    files are followed. Without `use_index`, no index is read: the tree shows what HDF5 finds.
    """
    sources: list[Source] = []
    all_paths = expand_paths(paths)
    at_once = may_open(FILES_PER_STORE * len(all_paths)) // FILES_PER_STORE
    files = None if at_once >= len(all_paths) else MostRecent(max(1, at_once))
    limits = _Limits(files, MostRecent(max(1, min(MOST_HELPERS, at_once))))
    try:
        for path in all_paths:
            sources.append(_open_source(path, len(sources), follow_external, use_index, limits))
        return Tree(sources, side_by_side)
    except BaseException:
        for source in sources:
            source.close()
        raise


class _Limits(NamedTuple):
    """What may be open at once."""

    files: MostRecent | None  # None: all stores
    helpers: MostRecent


def _open_source(path: Path, number: int, follow_external: bool, use_index: bool, limits: _Limits) -> Source:
    """The store at `path`, which is store `number` of the tree. Raises UserError."""
    check_is_hdf5(path)
    file = StoreFile(path, limits.files)
    helper = HelperProcess(file.path, lambda: file.fd, follow_external, limits.helpers)
    try:
        index = complete_index(file.fd) if use_index else None
        if index is not None:
            return IndexedSource(file, helper, number, index)
        from imagestore.vfs.hdf5_source import Hdf5Source  # a mount of an indexed store starts without it

        return Hdf5Source(file, helper, number)
    except BaseException:
        helper.close()
        file.close()
        raise
