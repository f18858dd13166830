"""What packing and unpacking share: which files are wanted, and the report of what became of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from imagestore.console import FAILED, note

MOST_NAMED = 20  # failures that are named one by one; the rest is counted


class NotCopied(Exception):
    """One line that says why a file cannot be copied; the others can."""


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


@dataclass
class Report:
    """What was done, what was passed over because it cannot be kept, and what failed."""

    done: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[str] = field(default_factory=Counter)
    failed: int = 0

    def fail(self, path: bytes, why: object) -> None:
        """Count something that failed, and name it unless many were named already."""
        self.failed += 1
        if self.failed <= MOST_NAMED:
            note(f"h5vfs: {printable(path)}: {why}")

    def close(self, verb: str, target: object) -> int:
        """Say it all; return the exit status."""
        note(f"h5vfs: {verb} {_listed(self.done) or 'nothing'} into {target}")
        if self.passed_over:
            note(f"h5vfs: passed over {_listed(self.passed_over)}")
        if self.failed:
            note(f"h5vfs: error: {self.failed:,} could not be {verb}; everything else was")
        return FAILED if self.failed else 0


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {what if count > 1 else what.rstrip('s')}" for what, count in counts.items())


def printable(path: bytes) -> str:
    """A path for a message: one line, valid UTF-8, and nothing that a terminal would act on."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
