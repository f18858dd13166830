"""Give images of a store other labels, or remove them: what `mv`, `rm` and `rename-label` have in common."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from isal.isal_zlib import crc32

from imagestore import stored_names
from imagestore.colour.colour_names import all_labels
from imagestore.console import UserError, printable
from imagestore.mending.mend_report import MendReport
from imagestore.progress import progress
from imagestore.store.corrections import ADDED, RELABELLED, REMOVED, Correction, Corrections
from imagestore.store.label_names import label_of_group
from imagestore.store.labels import StoreLabels, find_labels
from imagestore.store.movable_images import group_of_label, moved_record, why_not_movable
from imagestore.store.reader import ImageStore, StoreError
from imagestore.store.record import ImageRecord
from imagestore.store.writer import Change, StoreWriter


def labels_to_mend(store: ImageStore) -> StoreLabels:
    """The labels of a store. Raises UserError if they stand below train/, val/ and test/."""
    labels = find_labels(store)
    if labels.split is not None:
        raise UserError(
            f"{store.path}: its labels stand below {labels.parts_text()}, where they cannot be changed; "
            f"this makes a store that can be: ./colourHeuristic.py merge NEW.h5 {store.path}"
        )
    return labels


def change_images(
    store: ImageStore, writer: StoreWriter | None, wanted: Mapping[int, str | None], report: MendReport
) -> None:
    """Give the images at these positions the wanted labels; None removes one. Then publish the store.

    Without a writer, only tell what would be done. What cannot be changed is noted in the report. Raises
    OSError, UserError.
    """
    if not wanted:
        return
    labels = labels_to_mend(store)
    changer = _Changer(store, labels, {} if writer is None else writer.corrections, report)
    with progress(len(wanted), "mending") as bar:
        for i, label in wanted.items():
            if label is None:
                changer.remove(i)
            else:
                changer.relabel(i, label)
            bar.update()
    if writer is not None and changer.changes:
        writer.mend(changer.changes)
        writer.corrections |= changer.corrections
        by_hand = are_by_hand(changer.corrections)
        writer.publish([{"labels": "hand", "since": int(time.time())}] if by_hand else [])


def are_by_hand(corrections: Corrections) -> bool:
    """Whether some labels by hand are no names of colours: then the labels do not come from colours alone."""
    return bool({correction.label for correction in corrections.values()} - {None, *all_labels()})


class _Changer:
    """Collects the changes of a run, and the corrections that the store will keep."""

    def __init__(
        self, store: ImageStore, labels: StoreLabels, earlier: Corrections, report: MendReport
    ) -> None:
        self.changes: list[Change] = []
        self.corrections: Corrections = {}
        self._store, self._labels, self._earlier, self._report = store, labels, earlier, report
        self._now = round(time.time(), 6)

    def relabel(self, i: int, label: str) -> None:
        """Move an image to a label, unless it is there already, or damaged."""
        group, path = group_of_label(self._store, label), self._store.path_of(i)
        if stored_names.encode(path).rpartition(b"/")[0] == group:
            self._report.unchanged += 1
            return
        if not self._is_movable(i):
            return
        try:
            image = moved_record(self._store, i, group)
        except StoreError as error:
            self._report.refused.append(str(error))
            return
        self._report.tell(path, stored_names.decode(group) + "/")
        self._keep(i, image, RELABELLED, label_of_group(stored_names.decode(group)))
        self.changes.append(Change(i, image))

    def remove(self, i: int) -> None:
        """Remove an image."""
        if self._is_movable(i):
            self._report.tell(self._store.path_of(i), "")
            self._keep(i, self._store.index.record(i), REMOVED, None)
            self.changes.append(Change(i, None))

    def _is_movable(self, i: int) -> bool:
        reason = why_not_movable(self._store, i)
        if reason:
            path = printable(self._store.path_of(i))
            self._report.refused.append(f"{path}: {reason}: `merge` makes a store where it does not")
        return not reason

    def _keep(self, i: int, image: ImageRecord, did: str, label: str | None) -> None:
        """Note the correction of an image."""
        checksum = self._checksum(i) if image.crc32 is None else image.crc32
        member = image.member or image.name.rpartition(b"/")[2]
        correction = Correction(
            member=member, size=image.size, crc32=checksum, did=did, label=label,
            was=self._labels.name_of(i), when=self._now,
        )  # fmt: skip
        earlier = self._earlier.get(correction.identity)
        if did == RELABELLED and earlier is not None and earlier.did == ADDED:
            correction = replace(correction, did=ADDED)
        self.corrections[correction.identity] = correction

    def _checksum(self, i: int) -> int:
        """The CRC-32 of an image that another tool stored; 0 if it is damaged, as in image_identity.py."""
        try:
            return crc32(self._store.read(i))
        except StoreError:
            return 0
