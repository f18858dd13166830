"""The decision of --include and --exclude about a file or a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from fnmatch import fnmatchcase

from imagestore import stored_names


class Choice(Enum):
    """The decision about a file or a folder."""

    COPIED = auto()
    SEARCHED = auto()  # not copied itself, but a folder may hold files that --include asks for
    EXCLUDED = auto()  # with all that a folder holds


@dataclass(frozen=True)
class Globs:
    """The globs of --include and --exclude. A glob matches a path below the top folder, or a name alone."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def choose(self, path: bytes, *, folder_is_copied: bool) -> Choice:
        """Decide about `path`. --exclude wins over --include; without --include, all paths are copied.

        `folder_is_copied` says that the folder around `path` is copied: then its contents are copied too.
        """
        if _matches(path, self.exclude):
            return Choice.EXCLUDED
        if folder_is_copied or not self.include or _matches(path, self.include):
            return Choice.COPIED
        return Choice.SEARCHED


def _matches(path: bytes, globs: Sequence[str]) -> bool:
    text = stored_names.decode(path)
    name = text.rpartition("/")[2]
    readings = [reading for glob in globs for reading in stored_names.readings(glob)]
    trimmed = [glob.removeprefix("./").rstrip("/") for glob in readings]
    return any(fnmatchcase(text, glob) or fnmatchcase(name, glob) for glob in trimmed)
