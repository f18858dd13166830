"""Open stores by their paths, or by quoted globs."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Sequence
from pathlib import Path

from imagestore.console import UserError
from imagestore.store.reader import ImageStore

GLOB_CHARACTERS = frozenset("*?[")


def expand_paths(patterns: Sequence[str | Path]) -> list[Path]:
    """Files, and quoted globs, as a list of paths. Raises UserError where a glob matches nothing."""
    paths = [path for pattern in patterns for path in _expand(str(pattern))]
    return list(dict.fromkeys(paths))


def _expand(pattern: str) -> list[Path]:
    if Path(pattern).exists() or not GLOB_CHARACTERS & set(pattern):
        return [Path(pattern)]
    matches = sorted(glob.glob(os.path.expanduser(pattern)))
    if not matches:
        raise UserError(f"{pattern}: no file matches this pattern")
    return [Path(match) for match in matches]


def open_stores(patterns: Sequence[str | Path]) -> list[ImageStore]:
    """Open several stores, given as files or quoted globs. Raises UserError."""
    with contextlib.ExitStack() as opened:
        stores = [opened.enter_context(ImageStore(path)) for path in expand_paths(patterns)]
        opened.pop_all()
    return stores
