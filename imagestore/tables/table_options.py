"""How a file whose rows are images is opened: TableOptions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imagestore.archive.members import SourceLabels


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """What the user wants of the file."""

    index: Path | None = None  # where its index is kept; None: in the user's cache folder
    labels: SourceLabels | None = None  # the labels that the file itself holds; None: none
    follow_external: bool = False  # see LinkFollower: HDF5 files may lead to any other file
