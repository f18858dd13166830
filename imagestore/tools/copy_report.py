"""What pack and unpack tell the user: how much was copied, what was skipped, what failed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from imagestore.console import FAILED, counted, note, printable
from imagestore.run_summary import RunSummary

MOST_NAMED_FAILURES = 20  # further failures are only counted


@dataclass(frozen=True)
class Kind:
    """A kind of entry, and its name in the summary."""

    singular: str
    plural: str


FILES = Kind("file", "files")
UNCHANGED_FILES = Kind("unchanged file", "unchanged files")
LINKS = Kind("link", "links")
HARD_LINKS = Kind("hard link", "hard links")
OUTSIDE_LINKS = Kind("link out of the folder", "links out of the folder")
NOT_SHOWN = Kind("object that cannot be shown", "objects that cannot be shown")
CIRCLES = Kind("link to a folder that holds it", "links to folders that hold them")
SPECIAL_FILES = Kind("special file", "special files")
IMAGES = Kind("image", "images")
WITHOUT_LABEL = Kind("image without a label", "images without a label")
NOT_IMAGES = Kind("file that is no image", "files that are no images")


class NotCopied(Exception):
    """The reason, in one line, why one entry cannot be copied; the other entries still can."""


@dataclass
class CopyReport:
    """How many entries of each kind were copied and skipped, and the number of failures."""

    done: Counter[Kind] = field(default_factory=Counter)
    skipped: Counter[Kind] = field(default_factory=Counter)
    failures: int = 0
    summary: RunSummary = field(default_factory=RunSummary)  # of the command; `summarise` fills it

    def add_failure(self, path: bytes, reason: object) -> None:
        """Count a failure, and name it if it is among the first."""
        self.failures += 1
        if self.failures <= MOST_NAMED_FAILURES:
            note(f"h5vfs: {printable(path)}: {reason}")

    def summarise(self, verb: str, target: Path) -> int:
        """Print the summary, "packed 3 files into x.h5"; return the exit status."""
        note(f"h5vfs: {verb} {_in_words(self.done) or 'nothing'} into {target}")
        self.summary.images, self.summary.what = self.done.total(), ("entry", "entries")
        self.summary.counts = {"failed": self.failures, "passed over": self.skipped.total()}
        self.summary.outputs = [target]
        if self.skipped:
            note(f"h5vfs: passed over {_in_words(self.skipped)}")
        if self.failures:
            failed = counted(self.failures, "entry", "entries")
            note(f"h5vfs: error: {failed} could not be {verb}; all others are {verb}")
        return FAILED if self.failures else 0


def _in_words(counts: Counter[Kind]) -> str:
    return ", ".join(counted(count, kind.singular, kind.plural) for kind, count in counts.items())
