"""The commands `sort` and `partition`: label images of an archive, and add them to stores.

If something ends a run early (a signal, a full disk, an archive that breaks off), the images that are
finished are published, and the report says how to go on. The archive and the seed decide which images are
taken, and which labels and places they get. The number of workers does not matter.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imagestore import stored_names
from imagestore.archive.image_files import LONGEST_NAME
from imagestore.archive.members import Member
from imagestore.archive.open_archive import open_archive
from imagestore.archive.protocol import Archive, DamagedArchive
from imagestore.colour.palette import HEURISTIC_VERSION, heuristic_settings
from imagestore.console import Progress, UserError, note, printable, progress
from imagestore.labelling.choose_members import choose_runs, choose_runs_in_shard, is_for_training, share
from imagestore.labelling.run_report import RunReport, discarding_wrong_images, finish, noting_errors
from imagestore.labelling.workers import Labelled, Undecodable, Workers
from imagestore.processes import cpu_count, stopping
from imagestore.store.record import ImageRecord
from imagestore.store.writer import StoreWriter, identity

DEFAULT_SEED = 0


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of `sort` and `partition`."""

    seed: int | None = None  # None: `sort` takes other images in each run, unless it runs in shards
    workers: int | None = None  # None: as many as this process may use CPUs
    shard: tuple[int, int] | None = None  # (k, n): only share k of 1…n
    index: Path | None = None  # of the archive; None: in the user's cache folder
    ignore_zeros: bool = False  # read on behind an end mark of the archive

    @property
    def fixed_seed(self) -> int:
        """The seed of a run that must choose the same members as another run."""
        return DEFAULT_SEED if self.seed is None else self.seed


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that a run has open, and its report."""

    workers: Workers
    source: Archive
    writers: list[StoreWriter]
    report: RunReport
    started: int  # seconds since 1970


def sort(archive: Path, output: Path, count: int, chunk: int, options: RunOptions) -> int:
    """Add `count` new images from random places to the store `output`, in runs of `chunk` neighbours.

    Returns the exit status. Raises UserError.
    """
    with _open_run(archive, [output], options) as run:
        with noting_errors(run.report):
            members = _list_members(run)
            if options.shard is None:
                new = _positions_of_new(members, run.writers[0])
                if members and len(new) < count:
                    note(f"{archive}: {len(new):,} images are not in {output} yet; taking all of them")
                positions = choose_runs(new, count, chunk, random.Random(options.seed))
            else:  # choose from all members: a shard does not know which images the other shards have
                rng = random.Random(options.fixed_seed)
                positions = choose_runs_in_shard(len(members), count, chunk, rng, options.shard)
            with progress(len(positions), "labelling") as bar, discarding_wrong_images(run.writers):
                for image, data in _label_new(run, _read_members(run.source, positions), bar):
                    run.writers[0].add(image, data)
            _raise_damage(run.source)
        _publish(run)
        return finish(run.report, run.writers, run.source.skipped)


def partition(archive: Path, train: Path, test: Path, fraction: float, options: RunOptions) -> int:
    """Put each image into the store `train`, with probability `fraction`, or else into the store `test`.

    The seed and the member's name decide, so that another run moves no image. Returns the exit status.
    Raises UserError.
    """
    if os.path.realpath(train) == os.path.realpath(test):
        raise UserError(f"{train} is given twice: each of the two parts needs its own file")
    with _open_run(archive, [train, test], options) as run:
        with noting_errors(run.report):
            if options.shard is None:
                total, images = None, run.source.stream()
            else:
                positions = share(len(_list_members(run)), options.shard)
                total, images = len(positions), _read_members(run.source, positions)
            with progress(total, "labelling") as bar, discarding_wrong_images(run.writers):
                for image, data in _label_new(run, images, bar):
                    is_training = is_for_training(options.fixed_seed, image.member, fraction)
                    run.writers[0 if is_training else 1].add(image, data)
            _raise_damage(run.source)
        _publish(run)
        return finish(run.report, run.writers, run.source.skipped)


@contextlib.contextmanager
def _open_run(archive: Path, outputs: list[Path], options: RunOptions) -> Iterator[Run]:
    """Open everything that a run needs. Raises UserError."""
    started = int(time.time())
    with contextlib.ExitStack() as opened:
        # The workers come first: they are forked, and neither threads nor HDF5 files may exist then.
        workers = opened.enter_context(Workers(options.workers or cpu_count()))
        report = RunReport(archive, opened.enter_context(stopping()))
        source = opened.enter_context(open_archive(archive, options.index, ignore_zeros=options.ignore_zeros))
        writers = [opened.enter_context(StoreWriter(output)) for output in outputs]
        yield Run(workers=workers, source=source, writers=writers, report=report, started=started)


def _list_members(run: Run) -> Sequence[Member]:
    """All members of the archive, up to its damage if there is one; none if a signal ends the first pass."""
    if not run.source.indexed:
        with contextlib.closing(run.source.stream()) as first_pass, contextlib.suppress(DamagedArchive):
            for _ in first_pass:
                if run.report.stop.requested:
                    return []
    return run.source.members()


def _raise_damage(source: Archive) -> None:
    """Raise the error of an archive that is not whole, after all images before its damage are labelled."""
    if source.damage:
        raise source.damage


def _positions_of_new(members: Sequence[Member], writer: StoreWriter) -> array[int]:
    """The positions of the members that the store does not have.

    Positions take little memory; a million members would take a third of a gigabyte.
    """
    return array("q", (member.position for member in members if _identity(member) not in writer))


def _read_members(source: Archive, positions: Iterable[int]) -> Iterator[tuple[Member, bytes]]:
    """The members at these positions, with their bytes."""
    for position in positions:
        member = source.members()[position]
        yield member, source.read(member)


def _label_new(
    run: Run, images: Iterator[tuple[Member, bytes]], bar: Progress
) -> Iterator[tuple[ImageRecord, bytes]]:
    """Label the images that no store has, until a signal asks for the end; yield each with its bytes.

    Images that cannot be decoded go into the report.
    """
    for member, data, result in run.workers.label(_skip_stored(run, images, bar)):
        bar.update()
        if isinstance(result, Undecodable):
            run.report.undecodable.append(f"{printable(member.name)} ({result.reason})")
        else:
            if result.is_incomplete:
                run.report.incomplete.append(printable(member.name))
            run.report.first_of_several += result.is_first_of_several
            yield _make_record(member, len(data), result, run.started), data


def _skip_stored(
    run: Run, images: Iterator[tuple[Member, bytes]], bar: Progress
) -> Iterator[tuple[Member, bytes]]:
    """The images that no store has, until a signal asks for the end."""
    with contextlib.closing(images):
        for member, data in images:
            if run.report.stop.requested:
                return
            if len(stored_names.encode(member.name)) > LONGEST_NAME:
                start, length = printable(member.name[:80]), len(member.name)
                run.report.undecodable.append(f"{start}… (its name is too long: {length:,} characters)")
            elif any(_identity(member) in writer for writer in run.writers):
                run.report.already_stored += 1
            else:
                yield member, data
                continue  # _label_new counts it
            bar.update()


def _identity(member: Member) -> int:
    return identity(stored_names.encode(member.name), member.size, member.crc32)


def _make_record(member: Member, size: int, labelled: Labelled, created: int) -> ImageRecord:
    name = stored_names.encode(member.name)
    return ImageRecord(
        label=stored_names.encode(labelled.label),
        name=name,
        size=size,
        member=name,
        crc32=member.crc32,
        mtime=member.mtime,
        created=created,
        palette=labelled.palette,
    )


def _publish(run: Run) -> None:
    """Put the stores in their places, with a note on the heuristic that labelled the new images."""
    heuristic = {"version": HEURISTIC_VERSION, "settings": heuristic_settings(), "since": run.started}
    for writer in run.writers:
        writer.publish([heuristic])
