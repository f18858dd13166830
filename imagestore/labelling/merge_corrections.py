"""What people corrected by hand in the stores of a merge, and how the merged store gets it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imagestore import stored_names
from imagestore.console import printable
from imagestore.labelling.run_report import RunReport
from imagestore.store.corrections import Corrections, disputes, join
from imagestore.store.image_identity import identities, identity
from imagestore.store.label_names import group_name
from imagestore.store.movable_images import moved_record, why_not_movable
from imagestore.store.reader import ImageStore, StoreError
from imagestore.store.record import ImageRecord
from imagestore.store.writer import Change, StoreWriter


class AllCorrections:
    """The corrections of several stores, of which one counts for each image: see corrections.py.

    With `again`, no removal counts.
    """

    def __init__(self, parts: Sequence[Corrections], again: bool) -> None:
        self._kept = join(parts)
        self._parts = [
            {key: correction for key, correction in part.items() if not (again and correction.is_removal)}
            for part in parts
        ]
        self._counting = join(self._parts)

    def __bool__(self) -> bool:
        """Whether anything was corrected."""
        return bool(self._counting)

    def disputed(self) -> list[str]:
        """A line for each image that has different labels by hand in several stores."""
        return [
            f"{printable(winner.member)} ({printable(str(winner.label))}, not {printable(str(loser.label))})"
            for winner, loser in disputes(self._parts)
        ]

    def apply(self, image: ImageRecord) -> ImageRecord | None:
        """The image under the label that it got by hand; None if it was removed."""
        key = identity(image.member, image.size, image.crc32 or 0)
        return replace(image, label=label) if (label := self.group_of(key, image.label)) else None

    def group_of(self, key: int, group: bytes) -> bytes | None:
        """The group of the image with this `identity`, which stands in `group`; None if it is removed."""
        correction = self._counting.get(key)
        if correction is None:
            return group
        return None if correction.label is None else stored_names.encode(group_name(correction.label))

    def to_keep(self, writer: StoreWriter) -> Corrections:
        """The corrections that the merged store keeps."""
        return self._kept | {key: found for key, found in self._counting.items() if key in writer}


def correct_copied(writer: StoreWriter, corrections: AllCorrections, report: RunReport) -> None:
    """Correct the images that were in the merged store from the beginning, because it is a copy.

    Raises OSError, UserError; then the writer has discarded all changes.
    """
    try:
        if corrections and writer.origin is not None:
            writer.mend(_changes(writer.origin, corrections, report))
        writer.corrections = corrections.to_keep(writer)
    except BaseException:
        writer.discard()
        raise


def _changes(store: ImageStore, corrections: AllCorrections, report: RunReport) -> list[Change]:
    changes = []
    for i, key in enumerate(identities(store)):
        group = store.index.label_bytes[store.index.label_of(i)]
        wanted = corrections.group_of(key, group)
        if wanted == group:
            continue
        if reason := why_not_movable(store, i):
            report.unreadable.append(f"{store.path}: {printable(store.path_of(i))}: {reason}")
        elif wanted is None:
            report.removed.append(printable(store.index.member(i) or store.path_of(i)))
            changes.append(Change(i, None))
        else:
            _move(store, i, wanted, changes, report)
    return changes


def _move(store: ImageStore, i: int, group: bytes, changes: list[Change], report: RunReport) -> None:
    try:
        changes.append(Change(i, moved_record(store, i, group)))
        report.corrected += 1
    except StoreError as error:
        report.unreadable.append(str(error))
