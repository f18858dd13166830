"""Open several stores, given as paths or quoted globs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from imagestore.store.expand_paths import expand_paths
from imagestore.store.reader import ImageStore


def open_stores(patterns: Sequence[str | Path]) -> list[ImageStore]:
    """Open several stores, given as paths or globs. Raises UserError; then none of them stays open."""
    with contextlib.ExitStack() as opened:
        stores = [opened.enter_context(ImageStore(path)) for path in expand_paths(patterns)]
        opened.pop_all()
    return stores
