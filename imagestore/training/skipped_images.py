"""Tell the user which images a training leaves out: the first of them by name, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence

from imagestore.console import note, printable

NAMED = 10  # of the images that cannot be decoded


def note_skipped(lines: Sequence[str]) -> None:
    """Name the first images, of which `lines` give path and reason, and count them if there are more."""
    note_names(lines[:NAMED])
    note_count(len(lines))


def note_names(lines: Sequence[str]) -> None:
    """Name images, of which `lines` give path and reason."""
    for line in lines:
        note(f"train_model: skipped {printable(line)}")


def note_count(count: int) -> None:
    """Say how many images are left out, unless all of them are named."""
    if count > NAMED:
        note(f"train_model: skipped {count:,} images in all, because they cannot be decoded")
