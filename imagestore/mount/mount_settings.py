"""What to mount, where, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imagestore.vfs.open_tree import open_tree
from imagestore.vfs.tree import Tree


@dataclass(frozen=True, kw_only=True)
class MountSettings:
    """What to mount, where, and how: the options of h5vfs.py."""

    stores: list[str]  # files or globs
    mountpoint: Path
    fuse_options: list[str] = field(default_factory=list)
    side_by_side: bool = False  # a folder for each store, in place of one merged tree
    show_replacements: bool = False  # if a store is replaced by another file, show that file
    follow_external: bool = False  # follow HDF5 links into other files
    idle_timeout: float | None = None  # seconds without a request after which the tree is unmounted
    fuse_package: str | None = None  # one of fuse_library.PACKAGES; None: the best of those installed
    processes: int | None = None  # that serve, at most; None: as many as there are processors, at most four

    def open_tree(self, stores: Sequence[str | Path]) -> Tree:
        """Open stores as a tree with these settings. Raises UserError."""
        return open_tree(stores, side_by_side=self.side_by_side, follow_external=self.follow_external)
