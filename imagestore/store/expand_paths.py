"""Paths and quoted globs of stores, as a list of paths."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from imagestore.console import UserError

GLOB_CHARACTERS = frozenset("*?[")


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
