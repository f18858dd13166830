"""Open several stores, given as paths or quoted globs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from imagestore.store.expand_paths import expand_paths
from imagestore.store.reader import ImageStore


def open_stores(patterns: Sequence[str | Path], follow_external: bool = False) -> list[ImageStore]:
    """Open several stores, given as paths or globs. Raises UserError; then none of them stays open.

    `follow_external` is that of ImageStore.
    """
    with contextlib.ExitStack() as opened:
        stores = [
            opened.enter_context(ImageStore(path, follow_external=follow_external))
            for path in expand_paths(patterns)
        ]
        opened.pop_all()
    return stores
