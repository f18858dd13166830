"""From an archive to stores: choose members, label them in worker processes, add them, publish.

`sort`, `partition` and `merge` are the commands of colourHeuristic.py without their arguments. Whatever
ends a run early (a signal, a full disk, an archive that breaks off), what was finished is published and
the report says how to go on. Which images are taken, their labels and their places depend on the archive
and the seed alone, never on the number of workers.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imagestore.archive.members import Member, encode
from imagestore.archive.open import open_archive
from imagestore.archive.protocol import Archive
from imagestore.colour.palette import HEURISTIC_VERSION, heuristic_settings
from imagestore.console import Progress, UserError, note, printable, progress
from imagestore.labelling.run_report import RunReport, discarding_what_is_unfounded, noting_problems, tell
from imagestore.labelling.sampling import choose_runs, draw, share
from imagestore.labelling.workers import Labelled, Workers
from imagestore.processes import Stop, cpu_count, stopping
from imagestore.store.record import ImageRecord
from imagestore.store.writer import StoreWriter, identity

LONGEST_MEMBER_NAME = 32_000  # bytes; an HDF5 attribute holds 64 KiB


DEFAULT_SEED = 0


@dataclass(frozen=True)
class RunOptions:
    """What is optional: `shard` is (k, n) for share k of 1…n; `workers` None for all CPUs one may use."""

    seed: int | None = None
    workers: int | None = None
    shard: tuple[int, int] | None = None
    index: Path | None = None


Labelling = Iterator[tuple[Member, bytes, Labelled]]


Members = tuple[int | None, Iterator[tuple[Member, bytes]]]  # how many, where known; and the members


def partition(archive: Path, train: Path, test: Path, fraction: float, options: RunOptions) -> int:
    """Put every image into `train`, with probability `fraction`, or else into `test`.

    The seed and the member's name decide, so that another run never moves an image. Returns the exit
    status. Raises UserError.
    """
    if os.path.realpath(train) == os.path.realpath(test):
        raise UserError(f"{train}: is given twice; the two parts need a file each")
    seed = DEFAULT_SEED if options.seed is None else options.seed

    def members(source: Archive, writers: list[StoreWriter], stop: Stop) -> Members:
        if options.shard is None:
            return None, source.stream()
        mine = share(len(_listed(source, stop)), options.shard)
        return len(mine), _read(source, mine)

    def part_of(member: Member) -> int:
        return 0 if draw(seed, member.name) < fraction else 1

    return _run(archive, [train, test], options, members, part_of)


def sort(archive: Path, output: Path, count: int, chunk: int, options: RunOptions) -> int:
    """Add `count` new images from random places, in runs of `chunk` neighbours.

    Returns the exit status. Raises UserError.
    """
    seed = DEFAULT_SEED if options.seed is None and options.shard is not None else options.seed

    def members(source: Archive, writers: list[StoreWriter], stop: Stop) -> Members:
        every = _listed(source, stop)
        if options.shard is not None:
            # Of all, stored or not: what other shards have cannot be known, and together they are one run.
            mine = share(len(every), options.shard)
            chosen = choose_runs(range(len(every)), count, chunk, random.Random(seed))
            chosen = [position for position in chosen if position in mine]
            return len(chosen), _read(source, chosen)
        # Positions, not members: of a million, those would take a third of a gigabyte.
        new = array("q", (member.position for member in every if _identity(member) not in writers[0]))
        if every and len(new) < count:
            note(f"{archive}: {len(new):,} of its images are not in {output} yet; taking all of them")
        chosen = choose_runs(new, count, chunk, random.Random(seed))
        return len(chosen), _read(source, chosen)

    return _run(archive, [output], options, members, lambda member: 0)


def _run(
    archive: Path,
    outputs: list[Path],
    options: RunOptions,
    members: Callable[[Archive, list[StoreWriter], Stop], Members],
    part_of: Callable[[Member], int],
) -> int:
    report, started = RunReport(), int(time.time())
    with contextlib.ExitStack() as opened:
        # The workers are forked first: threads and HDF5 files must not be there yet.
        workers = opened.enter_context(Workers(options.workers or cpu_count()))
        report.stop = opened.enter_context(stopping())
        source = opened.enter_context(open_archive(archive, options.index))
        writers = [opened.enter_context(StoreWriter(output)) for output in outputs]
        with noting_problems(report, archive):
            total, images = members(source, writers, report.stop)
            with progress(total, "labelling") as bar, discarding_what_is_unfounded(writers):
                new = _unknown(images, writers, report, bar)
                _add_all(workers.label(new), writers, part_of, report, bar, started)
        heuristic = {"version": HEURISTIC_VERSION, "settings": heuristic_settings(), "since": started}
        for writer in writers:
            writer.publish([heuristic])
        if not any(map(len, writers)) and not report.problem and not report.stop.requested:
            report.problem = f"{archive}: holds no image" + (
                " that can be decoded" if report.undecodable else ""
            )
        tell(writers, report, source.skipped)
    return report.status


def _add_all(
    labelling: Labelling,
    writers: list[StoreWriter],
    part_of: Callable[[Member], int],
    report: RunReport,
    bar: Progress,
    now: int,
) -> None:
    for member, data, found in labelling:
        bar.update()
        if found.reason:
            report.undecodable.append(f"{printable(member.name)} ({found.reason})")
        else:
            writers[part_of(member)].add(_image(member, data, found, now), data)


def _image(member: Member, data: bytes, found: Labelled, now: int) -> ImageRecord:
    name = encode(member.name)
    return ImageRecord(
        label=found.label.encode(),
        name=name,
        size=len(data),
        member=name,
        crc32=member.crc32,
        mtime=member.mtime,
        created=now,
        palette=found.palette,
    )


def _unknown(
    images: Iterator[tuple[Member, bytes]], writers: list[StoreWriter], report: RunReport, bar: Progress
) -> Iterator[tuple[Member, bytes]]:
    """The images that no store has yet, until a signal asks for the end."""
    with contextlib.closing(images):
        for member, data in images:
            if report.stop.requested:
                return
            if len(encode(member.name)) > LONGEST_MEMBER_NAME:
                report.undecodable.append(
                    f"{printable(member.name[:80])}… (a name of {len(member.name):,} characters)"
                )
            elif any(_identity(member) in writer for writer in writers):
                report.present += 1
            else:
                yield member, data
                continue
            bar.update()


def _listed(source: Archive, stop: Stop) -> Sequence[Member]:
    """Every member; none where a signal ends the first pass over the archive."""
    if not source.indexed:
        with contextlib.closing(source.stream()) as first_pass:
            for _ in first_pass:
                if stop.requested:
                    return []
    return source.members()


def _identity(member: Member) -> int:
    return identity(encode(member.name), member.size, member.crc32)


def _read(source: Archive, positions: Iterable[int]) -> Iterator[tuple[Member, bytes]]:
    for position in positions:
        member = source.members()[position]
        yield member, source.read(member)
