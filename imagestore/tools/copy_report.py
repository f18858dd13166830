"""What packing and unpacking share: which files are wanted, and the report of what became of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from imagestore.console import FAILED, note, printable

MOST_NAMED = 20  # failures that are named one by one; the rest is counted


class NotCopied(Exception):
    """One line that says why a file cannot be copied; the others can."""


@dataclass
class CopyReport:
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
