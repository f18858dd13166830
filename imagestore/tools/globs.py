"""The globs of --include and --exclude."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Globs:
    """Which files and folders to copy. A glob matches a path below the top folder, or a name alone."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def includes(self, path: bytes) -> bool:
        """Whether --include asks for a file, or for a folder with its contents. No glob asks for all."""
        return not self.include or _matches(path, self.include)

    def excludes(self, path: bytes) -> bool:
        """Whether --exclude leaves out a file, or a folder with its contents."""
        return _matches(path, self.exclude)


def _matches(path: bytes, globs: Sequence[str]) -> bool:
    text = os.fsdecode(path)
    name = text.rpartition("/")[2]
    trimmed = [glob.removeprefix("./").rstrip("/") for glob in globs]
    return any(fnmatchcase(text, glob) or fnmatchcase(name, glob) for glob in trimmed)
