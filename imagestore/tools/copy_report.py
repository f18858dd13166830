"""What pack and unpack tell the user: how much was copied, what was skipped, what failed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from imagestore.console import FAILED, note, printable

MOST_NAMED_FAILURES = 20  # further failures are only counted


class NotCopied(Exception):
    """The reason, in one line, why one entry cannot be copied; the other entries still can."""


@dataclass
class CopyReport:
    """Counts by kind of entry ("files", "links"), and the number of failures."""

    done: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    failures: int = 0

    def add_failure(self, path: bytes, reason: object) -> None:
        """Count a failure, and name it if it is among the first."""
        self.failures += 1
        if self.failures <= MOST_NAMED_FAILURES:
            note(f"h5vfs: {printable(path)}: {reason}")

    def summarise(self, verb: str, target: object) -> int:
        """Print the summary, "packed 3 files into x.h5"; return the exit status."""
        note(f"h5vfs: {verb} {_in_words(self.done) or 'nothing'} into {target}")
        if self.skipped:
            note(f"h5vfs: passed over {_in_words(self.skipped)}")
        if self.failures:
            note(f"h5vfs: error: {self.failures:,} could not be {verb}; everything else was")
        return FAILED if self.failures else 0


def _in_words(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {kind if count > 1 else kind.rstrip('s')}" for kind, count in counts.items())
