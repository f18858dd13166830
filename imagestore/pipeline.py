"""From an archive to stores: choose members, label them in worker processes, add them, publish.

`sort`, `partition` and `merge` are the commands of colourHeuristic.py without their arguments. Whatever
ends a run early (a signal, a full disk, an archive that breaks off), what was finished is published and
the report says how to go on. Which images are taken, their labels and their places depend on the archive
and the seed alone, never on the number of workers.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from h5py.h5d import DatasetID

from imagestore import colour
from imagestore.archive import Archive, Member, Unfounded, choose_runs, open_archive
from imagestore.archive_index import encode
from imagestore.console import Progress, Stop, UserError, cpu_count, fail, note, printable, progress, stopping
from imagestore.index import crc32
from imagestore.store import ImageStore, StoreError, open_stores, palette_of
from imagestore.workers import Labelled, Workers
from imagestore.writer import DiskFull, Image, StoreWriter, identity

LONGEST_MEMBER_NAME = 32_000  # bytes; an HDF5 attribute holds 64 KiB
NAMES_SHOWN = 5
DEFAULT_SEED = 0


@dataclass(frozen=True)
class Options:
    """What is optional: `shard` is (k, n) for share k of 1…n; `workers` None for all CPUs one may use."""

    seed: int | None = None
    workers: int | None = None
    shard: tuple[int, int] | None = None
    index: Path | None = None


@dataclass
class Report:
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


Labelling = Iterator[tuple[Member, bytes, Labelled]]
Members = tuple[int | None, Iterator[tuple[Member, bytes]]]  # how many, where known; and the members


def partition(archive: Path, train: Path, test: Path, fraction: float, options: Options) -> int:
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
        mine = _share(len(_listed(source, stop)), options.shard)
        return len(mine), _read(source, mine)

    def part_of(member: Member) -> int:
        return 0 if draw(seed, member.name) < fraction else 1

    return _run(archive, [train, test], options, members, part_of)


def sort(archive: Path, output: Path, count: int, chunk: int, options: Options) -> int:
    """Add `count` new images from random places, in runs of `chunk` neighbours.

    Returns the exit status. Raises UserError.
    """
    seed = DEFAULT_SEED if options.seed is None and options.shard is not None else options.seed

    def members(source: Archive, writers: list[StoreWriter], stop: Stop) -> Members:
        every = _listed(source, stop)
        if options.shard is not None:
            # Of all, stored or not: what other shards have cannot be known, and together they are one run.
            mine = _share(len(every), options.shard)
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


def merge(output: Path, patterns: list[str]) -> int:
    """Add all images of other stores to `output`, without decoding any of them.

    Returns the exit status. Raises UserError.
    """
    with contextlib.ExitStack() as opened:
        stores = [opened.enter_context(store) for store in open_stores(patterns)]
        if any(os.path.realpath(store.path) == os.path.realpath(output) for store in stores):
            raise UserError(f"{output}: is the output, so it cannot be one of the stores to merge")
        writer = opened.enter_context(StoreWriter(output))
        report = Report()
        with stopping() as report.stop, progress(sum(map(len, stores)), "merging") as bar:
            with _noting_problems(report, output):
                for store in stores:
                    if not (report.stop.requested or _begun_as(store, writer, report, bar)):
                        _copy(store, writer, report, bar)
            writer.publish([record for store in stores for record in store.heuristics()])
        _tell([writer], report)
    return report.status


def _run(
    archive: Path,
    outputs: list[Path],
    options: Options,
    members: Callable[[Archive, list[StoreWriter], Stop], Members],
    part_of: Callable[[Member], int],
) -> int:
    report, started = Report(), int(time.time())
    with contextlib.ExitStack() as opened:
        # The workers are forked first: threads and HDF5 files must not be there yet.
        workers = opened.enter_context(Workers(options.workers or cpu_count()))
        report.stop = opened.enter_context(stopping())
        source = opened.enter_context(open_archive(archive, options.index))
        writers = [opened.enter_context(StoreWriter(output)) for output in outputs]
        with _noting_problems(report, archive):
            total, images = members(source, writers, report.stop)
            with progress(total, "labelling") as bar, _discarding_what_is_unfounded(writers):
                new = _unknown(images, writers, report, bar)
                _add_all(workers.label(new), writers, part_of, report, bar, started)
        heuristic = {"version": colour.VERSION, "settings": colour.settings(), "since": started}
        for writer in writers:
            writer.publish([heuristic])
        if not any(map(len, writers)) and not report.problem and not report.stop.requested:
            report.problem = f"{archive}: holds no image" + (
                " that can be decoded" if report.undecodable else ""
            )
        _tell(writers, report, source.skipped)
    return report.status


def _add_all(
    labelling: Labelling,
    writers: list[StoreWriter],
    part_of: Callable[[Member], int],
    report: Report,
    bar: Progress,
    now: int,
) -> None:
    for member, data, found in labelling:
        bar.update()
        if found.reason:
            report.undecodable.append(f"{printable(member.name)} ({found.reason})")
        else:
            writers[part_of(member)].add(_image(member, data, found, now), data)


def _image(member: Member, data: bytes, found: Labelled, now: int) -> Image:
    name = encode(member.name)
    return Image(found.label.encode(), name, name, len(data), member.crc32, member.mtime, now, found.palette)


def _unknown(
    images: Iterator[tuple[Member, bytes]], writers: list[StoreWriter], report: Report, bar: Progress
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


def _share(count: int, shard: tuple[int, int]) -> range:
    """The positions in share k of n: neighbours in the archive, so that each reads its own part of it."""
    k, n = shard
    return range(count * (k - 1) // n, count * k // n)


def draw(seed: int, name: str) -> float:
    """A number in [0, 1) that depends on the seed and the member's name alone."""
    digest = hashlib.blake2b(b"%d\0" % seed + encode(name), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _begun_as(store: ImageStore, writer: StoreWriter, report: Report, bar: Progress) -> bool:
    """Whether a new store could begin as a copy of this one, all of whose images have their checksums."""
    if not writer.begin_as(store):
        return False
    with contextlib.suppress(StoreError):  # met again, and told of, when the images are copied one by one
        for i in store.in_file_order():
            if report.stop.requested or crc32(store.read(i)) != store.index.crc32[i]:
                break
            bar.update()
        else:
            return True
    writer.discard()
    return False


def _copy(store: ImageStore, writer: StoreWriter, report: Report, bar: Progress) -> None:
    complete = store.complete()
    for i in store.in_file_order():
        if report.stop.requested:
            return
        try:
            data, dataset = store.read(i), store.dataset(i)
        except StoreError as error:
            report.damaged.append(str(error))
        else:
            image = _image_in(store, i, data, dataset)
            as_it_is = complete[i] and image.crc32 == store.index.crc32[i]
            report.present += not writer.add(image, data, dataset if as_it_is else None)
        bar.update()


def _image_in(store: ImageStore, i: int, data: bytes, dataset: DatasetID) -> Image:
    row = store.index.row(i)
    name = row.name.rpartition(b"/")[2]
    created = row.created or int(store.path.stat().st_mtime)
    return Image(
        row.label, name, row.member or name, row.size, crc32(data), row.mtime, created, palette_of(dataset)
    )


@contextlib.contextmanager
def _noting_problems(report: Report, source: Path) -> Iterator[None]:
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
def _discarding_what_is_unfounded(writers: list[StoreWriter]) -> Iterator[None]:
    """Store nothing of an archive whose checksum says that some images are wrong."""
    try:
        yield
    except Unfounded:
        for writer in writers:
            writer.discard()
        raise


def _tell(writers: list[StoreWriter], report: Report, passed_over: Mapping[str, int] | None = None) -> None:
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
