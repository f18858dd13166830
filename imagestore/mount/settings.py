"""What to mount where, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imagestore.vfs.open import open_tree
from imagestore.vfs.tree import Tree


@dataclass(frozen=True)
class MountSettings:
    """What to mount where, and how; see the options of h5vfs.py."""

    stores: list[str]
    mountpoint: Path
    options: list[str] = field(default_factory=list)
    side_by_side: bool = False
    follow: bool = False
    follow_external: bool = False
    idle_timeout: float | None = None  # seconds
    library: str | None = None

    def open_tree(self, stores: Sequence[str | Path]) -> Tree:
        """The tree of `stores`, shown as the settings say. Raises UserError."""
        return open_tree(stores, side_by_side=self.side_by_side, follow_external=self.follow_external)
