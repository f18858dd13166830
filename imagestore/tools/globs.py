"""Which files --include and --exclude ask for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Globs:
    """Which files are wanted; a glob may match the path from the top, or the last name alone."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def includes(self, path: bytes) -> bool:
        """Whether a file, or a folder with all that it holds, is asked for."""
        return not self.include or _matches(path, self.include)

    def excludes(self, path: bytes) -> bool:
        """Whether a file, or a folder with all that it holds, is left out."""
        return _matches(path, self.exclude)


def _matches(path: bytes, globs: Sequence[str]) -> bool:
    text = os.fsdecode(path)
    name = text.rpartition("/")[2]
    trimmed = [glob.removeprefix("./").rstrip("/") for glob in globs]
    return any(fnmatchcase(text, glob) or fnmatchcase(name, glob) for glob in trimmed)
