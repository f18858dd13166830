"""Tell the user which images a program leaves out: the first of them by name, and how many there are."""

from __future__ import annotations

from dataclasses import dataclass

from imagestore.console import note, printable

NAMED = 10  # of the images that cannot be decoded


@dataclass
class SkippedImages:
    """The images that a program has left out so far."""

    program: str
    count: int = 0

    def add(self, line: str) -> None:
        """Count one more; `line` is its path and the reason. The first ones are named at once."""
        self.count += 1
        if self.count <= NAMED:
            note(f"{self.program}: skipped {printable(line)}")

    def note_count(self) -> None:
        """Say how many there are, unless all of them were named."""
        if self.count > NAMED:
            note(f"{self.program}: skipped {self.count:,} images in all, because they cannot be decoded")
