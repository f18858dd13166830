"""What a run did, what it left out, and what ended it early."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from imagestore.archive.protocol import WrongImages
from imagestore.console import UserError, fail, note
from imagestore.processes import Stop
from imagestore.store.partial_file import DiskFull
from imagestore.store.writer import StoreWriter

NAMES_SHOWN = 5


@dataclass
class RunReport:
    """How far a run came: images present already, what was left out and why, what ended it early."""

    present: int = 0
    undecodable: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    problem: str = ""
    stop: Stop = field(default_factory=Stop)

    @property
    def status(self) -> int:
        """The exit status of the command."""
        return self.stop.status if self.stop.requested else int(bool(self.problem or self.damaged))


@contextlib.contextmanager
def noting_problems(report: RunReport, source: Path) -> Iterator[None]:
    """Let a run end early in good order: what was finished is published all the same."""
    try:
        yield
    except DiskFull as error:
        report.problem = f"{error.filename}: the disk is full"
    except UserError as error:
        report.problem = str(error)
    except OSError as error:
        report.problem = f"{error.filename or source}: {error.strerror or error}"


@contextlib.contextmanager
def discarding_what_is_unfounded(writers: list[StoreWriter]) -> Iterator[None]:
    """Store nothing of an archive whose checksum says that some images are wrong."""
    try:
        yield
    except WrongImages:
        for writer in writers:
            writer.discard()
        raise


def tell(writers: list[StoreWriter], report: RunReport, passed_over: Mapping[str, int] | None = None) -> None:
    """Say on standard output what there is now, on standard error what is missing and how to go on."""
    new = sum(len(writer) - writer.before for writer in writers)
    if report.problem and not new:
        raise UserError(report.problem)
    for writer in writers:
        labels, images = writer.labels(), len(writer)
        print(
            f"{writer.path.name}: {images:,} images under {labels:,} labels ({images - writer.before:,} new)"
        )
    recovered = sum(writer.recovered for writer in writers)
    if recovered:
        note(f"taken over from an interrupted run: {recovered:,} images")
    if report.present:
        note(f"there already: {report.present:,} images")
    kinds = {kind: n for kind, n in (passed_over or {}).items() if n and kind != "folders"}
    if kinds:
        note("passed over: " + ", ".join(f"{kind} ({n:,})" for kind, n in kinds.items()))
    if report.undecodable:
        note(f"skipped, cannot be decoded: {_first_of(report.undecodable)}")
    if report.damaged:
        note(f"left out, cannot be read: {_first_of(report.damaged)}")
    if report.stop.requested:
        report.problem = f"stopped by {signal.Signals(report.stop.signum).name}"
    if report.problem:
        fail(
            "colourHeuristic",
            f"{report.problem}; what was finished is stored: run the same command again to go on",
        )
    elif report.damaged:
        fail(
            "colourHeuristic",
            f"{len(report.damaged):,} images could not be read and were left out; all others are stored",
        )


def _first_of(lines: list[str]) -> str:
    """How many there are, and the first of them."""
    more = len(lines) - NAMES_SHOWN
    return f"{len(lines):,}: {'; '.join(lines[:NAMES_SHOWN])}" + (f"; and {more:,} more" if more > 0 else "")
