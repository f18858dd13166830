"""The commands `sort` and `partition`: give images of an archive their labels, and add them to stores.

If something ends a run early (a signal, a full disk, an archive that breaks off), the images that are
finished are published, and the report says how to go on. The archive and the seed decide which images are
taken, and which labels and places they get. The number of workers does not matter.
"""

from __future__ import annotations

import contextlib
import os
import random
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from imagestore.archive.members import Member
from imagestore.archive.protocol import Archive, DamagedArchive
from imagestore.console import UserError, counted, note, printable
from imagestore.labelling.choose_members import choose_runs, choose_runs_in_shard, is_for_training, share
from imagestore.labelling.label_sources import COLOUR, LabelOf, describe_source, label_source
from imagestore.labelling.labelling_run import Run, RunOptions, open_run
from imagestore.labelling.new_images import identity_of, label_new, removed_by_hand
from imagestore.labelling.run_report import discarding_wrong_images, finish, noting_errors
from imagestore.labelling.split_sources import TRAINING, PartOf, split_source
from imagestore.progress import progress
from imagestore.sources.joined_archives import JoinedArchives


class RunStopped(Exception):
    """A signal came before the run had the list of the archive's members."""


def sort(archives: Sequence[Path], output: Path, count: int, chunk: int, options: RunOptions) -> int:
    """Add `count` new images from random places to the store `output`, in runs of `chunk` neighbours.

    `archives` are paths, globs and brace ranges: all their images together. Returns the exit status. Raises
    UserError.
    """
    with open_run(archives, [output], options) as run:
        with noting_errors(run.report), contextlib.suppress(RunStopped):
            label_of = label_source(options.label_options, lambda: _list_members(run))
            positions = _choose_positions(run, label_of, count, chunk)
            images = _read_members(run.source, positions)
            with progress(len(positions), "labelling") as bar, discarding_wrong_images(run.writers):
                for member, image, data in label_new(run, images, label_of, bar):
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
    with open_run(archives, [train, test], options) as run:
        with noting_errors(run.report), contextlib.suppress(RunStopped):
            label_of = label_source(options.label_options, lambda: _list_members(run))
            part_of = _split_source(run)
            total, images = _stream_share(run)
            with progress(total, "labelling") as bar, discarding_wrong_images(run.writers):
                for member, image, data in label_new(run, images, label_of, bar):
                    part = part_of(member)
                    by_name = is_for_training(options.fixed_seed, image.member, fraction)
                    is_training = by_name if part is None else part == TRAINING
                    run.added.add(run.writers[0 if is_training else 1], member, image, data)
                _write_waiting(run)
            _raise_damage(run.source)
        _publish(run)
        return finish(run.report, run.writers, run.source.skipped)


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
    writer, removed = run.writers[0], removed_by_hand(run)

    def is_new(member: Member) -> bool:
        key = identity_of(member)
        if key in removed:
            run.report.removed.append(printable(member.name))
        return key not in writer and key not in removed

    def has_label(member: Member) -> bool:
        if label_of is None or label_of(member) is not None:
            return True
        run.report.unlabelled.append(printable(member.name))
        return False

    return array("q", (member.position for member in members if is_new(member) and has_label(member)))


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
