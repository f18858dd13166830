"""What a run did, which images it left out, how it ended, and what the user reads about it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from imagestore.archive.file_kinds import kind_of_undecodable
from imagestore.archive.passed_over import PassedOver
from imagestore.archive.protocol import DamagedArchive, WrongImages
from imagestore.archive.why_no_image import why_no_image
from imagestore.console import FAILED, UserError, counted, fail, note, printable
from imagestore.files.disk_room import DiskFull
from imagestore.labelling.label_sources import SOURCE
from imagestore.labelling.name_table import AmbiguousName
from imagestore.processes import Stop
from imagestore.run_summary import RunSummary
from imagestore.store.writer import StoreWriter

PROGRAM = "colourHeuristic"
NAMES_SHOWN = 5  # of images that were left out
UNLABELLED_SHOWN = 10  # one sees the rule in their names
DISPUTED_SHOWN = 10


@dataclass
class RunReport:
    """What happened in a run. The writers count the images that it adds.

    `source` is named by errors that name no file; it is the archive, or the output of `merge`.
    """

    source: Path
    stop: Stop  # the signal that asks the run to end, if there is one
    summary: RunSummary = field(default_factory=RunSummary)  # of the command; `finish` fills it
    error: str = ""  # the error that ended the run early, if there is one
    needs_whole_archive: bool = False  # whether the error is that the archive is cut short or broken
    already_stored: int = 0  # images that a store had before
    undecodable: list[str] = field(default_factory=list)  # a line for each image that cannot be decoded
    undecodable_kinds: PassedOver = field(default_factory=lambda: PassedOver({}))  # what they are
    labels: str = ""  # where the labels come from: --labels
    unlabelled: list[str] = field(default_factory=list)  # the name of each image that has no label
    not_in_split: list[str] = field(default_factory=list)  # the name of each new image that --split lacks
    first_of_several: int = 0  # new images whose files hold more frames or pages
    incomplete: list[str] = field(default_factory=list)  # the name of each new image that lacks its end
    unreadable: list[str] = field(default_factory=list)  # a line for each damaged image of a merged store
    removed: list[str] = field(default_factory=list)  # the name of each image that was removed by hand
    corrected: int = 0  # images of merged stores whose label by hand is another store's
    disputed: list[str] = field(default_factory=list)  # a line for each image with two corrections

    def note_undecodable(self, name: str, data: bytes, reason: str) -> None:
        """Note an image that cannot be decoded, with the decoder's reason or with what it is in truth."""
        kind, what_it_is = kind_of_undecodable(name, data)
        self.undecodable.append(f"{printable(name)} ({what_it_is or reason})")
        self.undecodable_kinds.note(kind, self.undecodable[-1])


@dataclass(frozen=True)
class Ending:
    """How a run ended: the exit status, and the line that explains it if it is not 0."""

    status: int
    message: str = ""
    without_result: bool = False  # the message is then everything that the user reads


@contextlib.contextmanager
def noting_errors(report: RunReport) -> Iterator[None]:
    """Note an error that ends the block and go on after it, so that finished images are published."""
    try:
        yield
    except DiskFull as error:
        report.error = f"{error.filename}: the disk is full"
    except UserError as error:
        report.error = str(error)
        report.needs_whole_archive = isinstance(error, DamagedArchive)
    except OSError as error:
        report.error = f"{error.filename or report.source}: {error.strerror or error}"


@contextlib.contextmanager
def discarding_wrong_images(writers: list[StoreWriter]) -> Iterator[None]:
    """Discard all new images if some of them are wrong, or if some of their labels are.

    The first is so if the archive's checksum does not fit, the second if names in a table of labels have two
    meanings.
    """
    try:
        yield
    except (WrongImages, AmbiguousName):
        for writer in writers:
            writer.discard()
        raise


def finish(report: RunReport, writers: list[StoreWriter], skipped: PassedOver | None = None) -> int:
    """Tell the user about a run whose images are published; return the exit status.

    `skipped` counts the files of the archive that are no images, by reason. Raises UserError if the run
    failed before it stored an image.
    """
    _summarise(report, writers)
    ending = decide_ending(report, writers, skipped)
    if ending.without_result:
        raise UserError(ending.message)
    _print_stores(writers)
    _print_notes(report, writers, skipped or {})
    if ending.message:
        fail(PROGRAM, ending.message)
    return ending.status


def _summarise(report: RunReport, writers: list[StoreWriter]) -> None:
    """Count all images that the run has met, and those of them that are new."""
    new = sum(writer.images_new() for writer in writers)
    left_out = len(report.undecodable) + len(report.unreadable)
    counts = {"new": new, "left out": left_out, "without a label": len(report.unlabelled)}
    report.summary.counts = counts
    recovered = sum(writer.images_recovered for writer in writers)  # new, and then met as already stored
    report.summary.images = report.already_stored + sum(counts.values()) - recovered
    report.summary.outputs = [writer.path for writer in writers]


def decide_ending(report: RunReport, writers: list[StoreWriter], skipped: PassedOver | None = None) -> Ending:
    """Decide how a run ended. If several of these cases are true, the first one counts."""
    if report.error and not any(writer.images_new() for writer in writers):
        return Ending(FAILED, report.error, without_result=True)
    if report.stop.signum is not None:
        return Ending(report.stop.status, _early_end(f"stopped by {signal.Signals(report.stop.signum).name}"))
    if report.needs_whole_archive:
        return Ending(
            FAILED,
            f"{report.error}; the finished images are stored: "
            "the same command adds more once the archive is whole",
        )
    if report.error:
        return Ending(FAILED, _early_end(report.error))
    if report.unreadable:
        were = "was" if len(report.unreadable) == 1 else "were"
        left_out = f"{counted(len(report.unreadable), 'image')} could not be read and {were} left out"
        return Ending(FAILED, f"{left_out}; all other images are stored")
    if not any(len(writer) for writer in writers):
        return Ending(FAILED, f"{report.source}: holds no image{_why(report, skipped)}", without_result=True)
    return Ending(0)


def _why(report: RunReport, skipped: PassedOver | None) -> str:
    """The end of the message of a run that stored no image."""
    if report.removed:
        count = len(_each_once(report.removed))
        return f" that is left: {counted(count, 'was', 'were')} removed by hand (--again brings them back)"
    if report.unlabelled:
        names = _count_and_first(report.unlabelled, UNLABELLED_SHOWN)
        advice = "; --label-key names what holds the labels" if report.labels == SOURCE else ""
        return f" that has a label: --labels {printable(report.labels)} has none for {names}{advice}"
    reason = " that can be decoded" if report.undecodable else ""
    return reason + (
        "" if skipped is None else why_no_image(report.source, skipped, report.undecodable_kinds)
    )


def _early_end(reason: str) -> str:
    return f"{reason}; the finished images are stored: run the same command again to go on"


def _print_stores(writers: list[StoreWriter]) -> None:
    """Print on standard output how many images each store has now."""
    for writer in writers:
        images, labels = counted(len(writer), "image"), counted(writer.label_count(), "label")
        print(f"{writer.path.name}: {images} under {labels} ({writer.images_new():,} new)")


def _print_notes(report: RunReport, writers: list[StoreWriter], skipped: Mapping[str, int]) -> None:
    """Print on standard error which images are not new, and which are missing."""
    if recovered := sum(writer.images_recovered for writer in writers):
        note(f"taken over from an interrupted run: {counted(recovered, 'image')}")
    if report.already_stored:
        note(f"already stored: {counted(report.already_stored, 'image')}")
    if reasons := [f"{reason} ({n:,})" for reason, n in skipped.items() if n and reason != "folders"]:
        note(f"passed over: {', '.join(reasons)}")
    if report.undecodable:
        note(f"skipped because they cannot be decoded: {_count_and_first(report.undecodable)}")
    if report.unlabelled:
        note(f"left out because they have no label: {_count_and_first(report.unlabelled, UNLABELLED_SHOWN)}")
    if report.not_in_split:
        note(f"not named by --split, so FRACTION decides for them: {_count_and_first(report.not_in_split)}")
    if report.removed:
        note(
            f"left out because they were removed by hand: {_count_and_first(_each_once(report.removed))} "
            "(--again brings them back)"
        )
    if report.corrected:
        note(f"labelled as somebody corrected them by hand: {counted(report.corrected, 'image')}")
    if report.disputed:
        shown = _count_and_first(report.disputed, DISPUTED_SHOWN)
        note(f"corrected by hand in two ways, the later one counts: {shown}")
    if report.first_of_several:
        images = counted(report.first_of_several, "image")
        note(f"only the first of several frames or pages is labelled: {images}")
    if report.incomplete:
        note(
            f"incomplete, because only the end of the file is missing: {_count_and_first(report.incomplete)}"
        )
    if report.unreadable:
        note(f"left out because they cannot be read: {_count_and_first(report.unreadable)}")


def _each_once(names: list[str]) -> list[str]:
    """Without repetitions: several stores of a merge may hold the same image."""
    return list(dict.fromkeys(names))


def _count_and_first(lines: list[str], shown: int = NAMES_SHOWN) -> str:
    """The number of lines, and the first of them."""
    text = f"{counted(len(lines), 'image')}: {'; '.join(lines[:shown])}"
    more = len(lines) - shown
    return f"{text}; and {more:,} more" if more > 0 else text
