"""Open several stores, given as paths or quoted globs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from imagestore.open_files import MostRecent, may_open
from imagestore.store.expand_paths import expand_paths
from imagestore.store.reader import ImageStore

FILES_PER_STORE = 2  # open at once: the store, and the store again in HDF5
MOST_HDF5_FILES = 32  # open at once in HDF5, if not all stores can be open


def open_stores(
    patterns: Sequence[str | Path], follow_external: bool = False, require_images: bool = True
) -> list[ImageStore]:
    """Open several stores, given as paths or globs. Raises UserError; then none of them stays open.

    `follow_external` and `require_images` are those of ImageStore. If the system does not let all of them be
    open at once, each is opened again when it is used.
    """
    paths = expand_paths(patterns)
    wanted = FILES_PER_STORE * len(paths)
    may_be_open = may_open(wanted)
    recent = None if may_be_open >= wanted else MostRecent(min(MOST_HDF5_FILES, may_be_open))
    with contextlib.ExitStack() as opened:
        stores = [
            opened.enter_context(ImageStore(path, require_images, follow_external, recent)) for path in paths
        ]
        opened.pop_all()
    return stores
