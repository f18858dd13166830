"""The images that a run adds: those that no store has, and that get a label."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterator

import numpy as np

from imagestore import stored_names
from imagestore.archive.image_files import LONGEST_NAME
from imagestore.archive.members import Member
from imagestore.console import printable
from imagestore.labelling.label_sources import LabelOf
from imagestore.labelling.labelling_run import Run
from imagestore.progress import Progress
from imagestore.store.image_identity import identity
from imagestore.store.label_names import group_name
from imagestore.store.record import ImageRecord


def label_new(
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


def removed_by_hand(run: Run) -> Container[int]:
    """The `identity` of the images that were removed from a store by hand, and stay so."""
    return {key for writer in run.writers for key in writer.removed() if not run.options.again}


def identity_of(member: Member) -> int:
    """The `identity` of an image of an archive."""
    return identity(stored_names.encode(member.name), member.size, member.crc32)


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
    removed = removed_by_hand(run)

    def is_stored(image: int) -> bool:
        return any(image in writer for writer in run.writers)

    with contextlib.closing(images):
        for member, data in images:
            if run.report.stop.requested:
                return
            if len(stored_names.encode(member.name)) > LONGEST_NAME:
                start, length = printable(member.name[:80]), len(member.name)
                run.report.undecodable.append(f"{start}… (its name is too long: {length:,} characters)")
            elif is_stored(image := identity_of(member)):
                run.report.already_stored += 1
            elif image in removed:
                run.report.removed.append(printable(member.name))
            else:
                yield member, data
                continue  # label_new or _skip_unlabelled counts it
            bar.update()


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
