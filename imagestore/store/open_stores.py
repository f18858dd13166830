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


def open_stores(patterns: Sequence[str | Path]) -> list[ImageStore]:
    """Open several stores, given as paths or globs. Raises UserError; then none of them stays open."""
    with contextlib.ExitStack() as opened:
        stores = [opened.enter_context(ImageStore(path)) for path in expand_paths(patterns)]
        opened.pop_all()
    return stores


def expand_paths(patterns: Sequence[str | Path]) -> list[Path]:
    """Paths and globs as a list of paths, each path once. Raises UserError if a glob matches no file."""
    paths = [path for pattern in patterns for path in _expand(str(pattern))]
    return list(dict.fromkeys(paths))


def _expand(pattern: str) -> list[Path]:
    if Path(pattern).exists() or not GLOB_CHARACTERS & set(pattern):
        return [Path(pattern)]
    matches = sorted(glob.glob(os.path.expanduser(pattern)))
    if not matches:
        raise UserError(f"{pattern}: no file matches this pattern")
    return [Path(match) for match in matches]
