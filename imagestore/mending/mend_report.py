"""What a command changed in a store, and what the user reads about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from imagestore.console import counted, fail, note, printable
from imagestore.run_summary import RunSummary
from imagestore.store.writer import StoreWriter

NAMES_SHOWN = 10
PROGRAM = "h5vfs"


@dataclass
class MendReport:
    """What was done, and what was left as it was; the lists hold a name or a line for each image or row."""

    path: Path  # of the store
    did: str  # "relabelled", "removed" or "added"
    dry_run: bool
    summary: RunSummary  # of the command; `finish` fills it
    done: int = 0  # images
    unchanged: int = 0  # images that are under that label already
    notes: dict[str, list[str]] = field(default_factory=dict)  # what was left out, by the reason
    refused: list[str] = field(default_factory=list)  # images that could not be changed, and why

    def tell(self, old: str, new: str) -> None:
        """Count a change; in a dry run, print it."""
        self.done += 1
        if self.dry_run:
            print(f"{printable(old)} -> {printable(new)}" if new else printable(old))

    def note(self, reason: str, name: str) -> None:
        """Note something that is left out for a reason."""
        self.notes.setdefault(reason, []).append(printable(name))

    def finish(self, writer: StoreWriter | None) -> int:
        """Print the result, with what the store holds now; return the exit status."""
        self._fill_summary()
        name, count = printable(self.path.name), f"{self.done:,}"
        if writer is None:
            print(f"{name}: {count} would be {self.did}; nothing is written")
        else:
            total = f"{counted(len(writer), 'image')} under {counted(writer.label_count(), 'label')}"
            print(f"{name}: {total} ({count} {self.did})")
        if self.unchanged:
            note(f"already under that label: {counted(self.unchanged, 'image')}")
        for reason, names in self.notes.items():
            note(f"{reason}: {_count_and_first(names)}")
        if self.refused:
            return fail(PROGRAM, f"not {self.did}: {_count_and_first(self.refused)}")
        return 0

    def _fill_summary(self) -> None:
        """Tell the summary what was counted; in a dry run, what would be done."""
        left_out = sum(map(len, self.notes.values()))
        self.summary.images = self.done
        self.summary.counts = {
            self.did: self.done, "unchanged": self.unchanged, "left out": left_out,
            "failed": len(self.refused),
        }  # fmt: skip
        self.summary.outputs = [] if self.dry_run else [self.path]


def _count_and_first(names: list[str]) -> str:
    """The number of names, and the first of them."""
    more = len(names) - NAMES_SHOWN
    return f"{len(names):,}: {'; '.join(names[:NAMES_SHOWN])}" + (f"; and {more:,} more" if more > 0 else "")
