"""The commands `sort` and `partition`: give images of an archive their labels, and add them to stores.

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
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imagestore import stored_names
from imagestore.archive.image_files import LONGEST_NAME
from imagestore.archive.members import Member
from imagestore.archive.protocol import Archive, DamagedArchive
from imagestore.console import Progress, UserError, counted, note, printable, progress
from imagestore.labelling.added_images import AddedImages
from imagestore.labelling.choose_members import choose_runs, choose_runs_in_shard, is_for_training, share
from imagestore.labelling.label_sources import (
    COLOUR,
    LabelOf,
    LabelOptions,
    describe_source,
    label_source,
    labels_in_source,
)
from imagestore.labelling.run_report import RunReport, discarding_wrong_images, finish, noting_errors
from imagestore.labelling.split_sources import TRAINING, PartOf, split_source
from imagestore.processes import cpu_count, stopping
from imagestore.run_summary import RunSummary
from imagestore.sources.archive_paths import expand_archives
from imagestore.sources.joined_archives import JoinedArchives
from imagestore.sources.open_archives import open_archives
from imagestore.sources.processes_for_archives import processes_for_archives
from imagestore.store.image_identity import identity
from imagestore.store.label_names import group_name
from imagestore.store.record import ImageRecord
from imagestore.store.writer import StoreWriter

if TYPE_CHECKING:
    from imagestore.labelling.workers import Workers

DEFAULT_SEED = 0


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of `sort` and `partition`."""

    seed: int | None = None  # None: `sort` takes other images in each run, unless it runs in shards
    workers: int | None = None  # None: as many as this process may use CPUs
    shard: tuple[int, int] | None = None  # (k, n): only share k of 1…n
    index: Path | None = None  # of the archive; None: in the user's cache folder
    ignore_zeros: bool = False  # read on behind an end mark of the archive
    label_options: LabelOptions = field(default_factory=LabelOptions)
    keeps_palettes: bool = True  # False: no image is decoded
    split: Path | None = None  # the file that says which images `partition` puts into which store
    summary: RunSummary = field(default_factory=RunSummary)  # which the run fills
    again: bool = False  # add images again that somebody removed from a store by hand

    @property
    def fixed_seed(self) -> int:
        """The seed of a run that must choose the same members as another run."""
        return DEFAULT_SEED if self.seed is None else self.seed


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that a run has open, and its report."""

    options: RunOptions
    workers: Workers | None  # None if no image is decoded
    source: Archive
    writers: list[StoreWriter]
    added: AddedImages
    report: RunReport
    started: int  # seconds since 1970


class RunStopped(Exception):
    """A signal came before the run had the list of the archive's members."""


def sort(archives: Sequence[Path], output: Path, count: int, chunk: int, options: RunOptions) -> int:
    """Add `count` new images from random places to the store `output`, in runs of `chunk` neighbours.

    `archives` are paths, globs and brace ranges: all their images together. Returns the exit status. Raises
    UserError.
    """
    with _open_run(archives, [output], options) as run:
        with noting_errors(run.report), contextlib.suppress(RunStopped):
            label_of = label_source(options.label_options, lambda: _list_members(run))
            positions = _choose_positions(run, label_of, count, chunk)
            images = _read_members(run.source, positions)
            with progress(len(positions), "labelling") as bar, discarding_wrong_images(run.writers):
                for member, image, data in _label_new(run, images, label_of, bar):
                    run.added.add(run.writers[0], member, image, data)
                _write_waiting(run)
            _raise_damage(run.source)
        _publish(run)
        return finish(run.report, run.writers, run.source.skipped)


def partition(archives: Sequence[Path], train: Path, test: Path, fraction: float, options: RunOptions) -> int:
    """Put each image into the store `train`, with probability `fraction`, or else into the store `test`.

    The images are those of all `archives`: paths, globs and brace ranges. The seed and the member's name
    decide about each, so that another run moves no image. A split file decides for the
    images that it names. Returns the exit status. Raises UserError.
    """
    if os.path.realpath(train) == os.path.realpath(test):
        raise UserError(f"{train} is given twice: each of the two parts needs its own file")
    with _open_run(archives, [train, test], options) as run:
        with noting_errors(run.report), contextlib.suppress(RunStopped):
            label_of = label_source(options.label_options, lambda: _list_members(run))
            part_of = _split_source(run)
            total, images = _stream_share(run)
            with progress(total, "labelling") as bar, discarding_wrong_images(run.writers):
                for member, image, data in _label_new(run, images, label_of, bar):
                    part = part_of(member)
                    by_name = is_for_training(options.fixed_seed, image.member, fraction)
                    is_training = by_name if part is None else part == TRAINING
                    run.added.add(run.writers[0 if is_training else 1], member, image, data)
                _write_waiting(run)
            _raise_damage(run.source)
        _publish(run)
        return finish(run.report, run.writers, run.source.skipped)


@contextlib.contextmanager
def _open_run(archives: Sequence[Path], outputs: list[Path], options: RunOptions) -> Iterator[Run]:
    """Open everything that a run needs. Raises UserError."""
    started = int(time.time())
    with contextlib.ExitStack() as opened:
        # The processes come first: they are forked, and neither threads nor HDF5 files may exist then.
        count = options.workers or cpu_count()
        workers = opened.enter_context(_start_workers(count)) if options.keeps_palettes else None
        options.summary.workers = count if workers else 0
        archives = expand_archives(archives)
        processes = opened.enter_context(processes_for_archives(archives, count))
        stop = opened.enter_context(stopping())
        labels = labels_in_source(options.label_options)
        source = opened.enter_context(
            open_archives(
                archives,
                options.index,
                ignore_zeros=options.ignore_zeros,
                labels=labels,
                processes=processes,
            )
        )
        writers = [opened.enter_context(StoreWriter(output)) for output in outputs]
        report = RunReport(source.path, stop, options.summary, labels=options.label_options.labels)
        yield Run(
            options=options,
            workers=workers,
            source=source,
            writers=writers,
            added=AddedImages(),
            report=report,
            started=started,
        )


def _start_workers(count: int) -> Workers:
    from imagestore.labelling.workers import Workers  # a run without palettes starts sooner without them

    return Workers(count)


# ----- which images -----


def _list_members(run: Run) -> Sequence[Member]:
    """All members of the archive, up to its damage if there is one. Raises RunStopped, UserError."""
    if not run.source.indexed:
        with contextlib.closing(run.source.stream()) as first_pass, contextlib.suppress(DamagedArchive):
            for _ in first_pass:
                if run.report.stop.requested:
                    raise RunStopped
    return run.source.members()


def _choose_positions(run: Run, label_of: LabelOf | None, count: int, chunk: int) -> Sequence[int]:
    """The positions of the members that `sort` adds, or tries to add."""
    members, options = _list_members(run), run.options
    if options.shard is not None:  # choose from all members: a shard does not know what the other shards have
        rng = random.Random(options.fixed_seed)
        return choose_runs_in_shard(len(members), count, chunk, rng, options.shard)
    new = _positions_of_new(members, run, label_of)
    if members and len(new) < count:
        output = run.writers[0].path.name
        are = counted(len(new), "image is", "images are")
        note(f"{run.source.path}: {are} not in {output} yet; taking all of them")
    return choose_runs(new, count, chunk, random.Random(options.seed))


def _positions_of_new(members: Sequence[Member], run: Run, label_of: LabelOf | None) -> Sequence[int]:
    """The positions of the members that the store does not have, and that have a label.

    Positions take little memory; a million members would take a third of a gigabyte.
    """
    writer, removed = run.writers[0], _removed(run)

    def is_new(member: Member) -> bool:
        key = _identity(member)
        if key in removed:
            run.report.removed.append(printable(member.name))
        return key not in writer and key not in removed

    def has_label(member: Member) -> bool:
        if label_of is None or label_of(member) is not None:
            return True
        run.report.unlabelled.append(printable(member.name))
        return False

    return array("q", (member.position for member in members if is_new(member) and has_label(member)))


def _removed(run: Run) -> Container[int]:
    """The `identity` of the images that were removed from a store by hand, and stay so."""
    return {key for writer in run.writers for key in writer.removed() if not run.options.again}


def _stream_share(run: Run) -> tuple[int | None, Iterator[tuple[Member, bytes]]]:
    """The number of images that this run of `partition` reads, if it is known, and these images."""
    if run.options.shard is None:
        if isinstance(run.source, JoinedArchives):
            run.source.on_wrong = run.added.take_back
        return None, run.source.stream()
    positions = share(len(_list_members(run)), run.options.shard)
    return len(positions), _read_members(run.source, positions)


def _split_source(run: Run) -> PartOf:
    """The function that says which part the split file gives to a member. Without a file, it says None."""
    if run.options.split is None:
        return lambda member: None
    part_in_file = split_source(
        run.options.split, run.options.label_options.name_column, lambda: _list_members(run)
    )

    def part_of(member: Member) -> str | None:
        part = part_in_file(member)
        if part is None:
            run.report.not_in_split.append(printable(member.name))
        return part

    return part_of


def _raise_damage(source: Archive) -> None:
    """Raise the error of an archive that is not whole, after all images before its damage are labelled."""
    if source.damage:
        raise source.damage


def _read_members(source: Archive, positions: Iterable[int]) -> Iterator[tuple[Member, bytes]]:
    """The members at these positions, with their bytes."""
    for position in positions:
        member = source.members()[position]
        yield member, source.read(member)


# ----- their labels -----


def _label_new(
    run: Run, images: Iterator[tuple[Member, bytes]], label_of: LabelOf | None, bar: Progress
) -> Iterator[tuple[Member, ImageRecord, bytes]]:
    """Label the images that no store has, until a signal asks for the end; yield each with its bytes.

    `label_of` says the labels; if it is None, the colours do. Images without a label, and images that cannot
    be decoded, go into the report.
    """
    new = _skip_unlabelled(run, _skip_stored(run, images, bar), label_of, bar)
    if run.workers is None:
        for (member, label), data in new:
            bar.update()
            yield member, _make_record(member, label, len(data), None, run.started), data
        return
    from imagestore.labelling.workers import Undecodable

    for (member, label), data, result in run.workers.label(new):
        bar.update()
        if isinstance(result, Undecodable):
            run.report.note_undecodable(member.name, data, result.reason)
            continue
        if result.is_incomplete:
            run.report.incomplete.append(printable(member.name))
        run.report.first_of_several += result.is_first_of_several
        label = result.label if label is None else label
        yield member, _make_record(member, label, len(data), result.palette, run.started), data


def _skip_unlabelled(
    run: Run, images: Iterator[tuple[Member, bytes]], label_of: LabelOf | None, bar: Progress
) -> Iterator[tuple[tuple[Member, str | None], bytes]]:
    """The images that have a label, each with it. The label is None if the colours will decide it."""
    with contextlib.closing(images):
        for member, data in images:
            label = None if label_of is None else label_of(member)
            if label_of is not None and label is None:
                run.report.unlabelled.append(printable(member.name))
                bar.update()
            else:
                yield (member, label), data


def _skip_stored(
    run: Run, images: Iterator[tuple[Member, bytes]], bar: Progress
) -> Iterator[tuple[Member, bytes]]:
    """The images that no store has, and had before they were removed, until a signal asks for the end."""

    removed = _removed(run)

    def is_stored(image: int) -> bool:
        return any(image in writer for writer in run.writers)

    with contextlib.closing(images):
        for member, data in images:
            if run.report.stop.requested:
                return
            if len(stored_names.encode(member.name)) > LONGEST_NAME:
                start, length = printable(member.name[:80]), len(member.name)
                run.report.undecodable.append(f"{start}… (its name is too long: {length:,} characters)")
            elif is_stored(image := _identity(member)):
                run.report.already_stored += 1
            elif image in removed:
                run.report.removed.append(printable(member.name))
            else:
                yield member, data
                continue  # _label_new or _skip_unlabelled counts it
            bar.update()


def _identity(member: Member) -> int:
    return identity(stored_names.encode(member.name), member.size, member.crc32)


def _make_record(
    member: Member, label: str, size: int, palette: np.ndarray | None, created: int
) -> ImageRecord:
    name = stored_names.encode(member.name)
    return ImageRecord(
        label=stored_names.encode(group_name(label)),
        name=name,
        size=size,
        member=name,
        crc32=member.crc32,
        mtime=member.mtime,
        created=created,
        palette=palette,
    )


def _write_waiting(run: Run) -> None:
    """Write the images that wait in the writers. Raises DiskFull, OSError."""
    for writer in run.writers:
        writer.write_waiting()


def _publish(run: Run) -> None:
    """Put the stores in their places, with a note on what labelled the new images."""
    for writer in run.writers:
        if run.options.again:
            writer.forget_removals_of(run.writers)
        writer.publish([_describe_labelling(run)])


def _describe_labelling(run: Run) -> dict[str, object]:
    """What a store keeps of the labelling of its images: the source of the labels, and the heuristic."""
    source, heuristic = {}, {}
    if run.options.label_options.labels != COLOUR:
        source = describe_source(run.options.label_options)
    if run.options.keeps_palettes:
        from imagestore.colour.palette import HEURISTIC_VERSION, heuristic_settings

        heuristic = {"version": HEURISTIC_VERSION, "settings": heuristic_settings()}
    return {**source, **heuristic, "since": run.started}
