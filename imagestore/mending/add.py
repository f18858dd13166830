"""The command `add`: add image files from the disk to a store."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from isal.isal_zlib import crc32

from imagestore import stored_names
from imagestore.colour.palette import HEURISTIC_VERSION, heuristic_settings
from imagestore.console import UserError, printable
from imagestore.image_formats import is_image_file
from imagestore.labelling.workers import Undecodable, label_image
from imagestore.mending.change_images import are_by_hand, labels_to_mend
from imagestore.mending.find_paths import label_argument
from imagestore.mending.mend_report import MendReport
from imagestore.mending.open_to_mend import open_to_mend
from imagestore.progress import progress
from imagestore.run_summary import RunSummary
from imagestore.store.corrections import ADDED, Correction, corrections_of
from imagestore.store.expand_paths import expand_paths
from imagestore.store.image_identity import checksums
from imagestore.store.movable_images import group_of_label
from imagestore.store.reader import ImageStore
from imagestore.store.record import ImageRecord
from imagestore.store.writer import StoreWriter

IN_STORE = "left out because the store has the same bytes already"
REMOVED_BEFORE = "left out because they were removed by hand (--again brings them back)"


def add(
    path: Path,
    files: Sequence[str],
    label: str,
    summary: RunSummary,
    *,
    again: bool,
    keeps_palettes: bool,
    dry_run: bool,
) -> int:
    """Add files, given as paths or globs, to a store under a label; return the exit status.

    The member's name of an added image is the name of its file, without folders. Bytes that the store has
    already are not added, and those that were removed from it by hand only `again`. Raises UserError.
    """
    wanted_label, paths = label_argument(label, ends_in_slash=True), expand_paths(files)
    report = MendReport(path, ADDED, dry_run, summary)
    with open_to_mend(path, dry_run) as (store, writer), progress(len(paths), "adding") as bar:
        labels_to_mend(store)
        adder = _Adder(store, writer, report, again, keeps_palettes and _has_palettes(store))
        for file in paths:
            adder.add(file, group_of_label(store, wanted_label), wanted_label)
            bar.update()
        if writer is not None:
            writer.publish(adder.heuristics())
        return report.finish(writer)


def _has_palettes(store: ImageStore) -> bool:
    """Whether the store keeps the colours of its images: an empty one does, one of another tool does not."""
    return not len(store) or any("version" in record for record in store.heuristics())


class _Adder:
    """Adds files to a store, and notes what it leaves out."""

    def __init__(
        self,
        store: ImageStore,
        writer: StoreWriter | None,
        report: MendReport,
        again: bool,
        keeps_palettes: bool,
    ) -> None:
        self._store, self._writer, self._report = store, writer, report
        self._again, self._keeps_palettes, self._now = again, keeps_palettes, time.time()
        keys = zip(store.index.size.tolist(), checksums(store), strict=True)
        self._stored = {key: store.path_of(i) for i, key in enumerate(keys)}  # by size and CRC-32
        self._removed = {
            (found.size, found.crc32): found for found in corrections_of(store).values() if found.is_removal
        }
        self._corrections: dict[int, Correction] = {}

    def add(self, file: Path, group: bytes, label: str) -> None:
        """Add a file to the group of a label."""
        data = _read(file)
        key = len(data), crc32(data)
        removed = self._removed.get(key)
        if key in self._stored:
            self._report.note(IN_STORE, f"{file} ({self._stored[key]})")
        elif removed is not None and not self._again:
            self._report.note(REMOVED_BEFORE, str(file))
        else:
            name = stored_names.encode(stored_names.from_path(file.name))
            self._add_image(_record(file, group, name, removed, key), data, label)

    def _add_image(self, image: ImageRecord, data: bytes, label: str) -> None:
        reason, palette = "", None
        if self._keeps_palettes:
            result = label_image(data)
            reason = result.reason if isinstance(result, Undecodable) else ""
            palette = None if isinstance(result, Undecodable) else result.palette
        elif not is_image_file(data, stored_names.decode(image.name)):
            reason = "not an image"
        if reason:
            self._report.refused.append(f"{printable(image.name)} ({reason})")
            return
        self._report.tell(stored_names.decode(image.name), stored_names.decode(image.label) + "/")
        self._stored[image.size, image.crc32] = stored_names.decode(image.name)
        if self._writer is not None:
            self._writer.add(replace(image, palette=palette), data, is_recovered=False)
            self._keep(image, label)

    def _keep(self, image: ImageRecord, label: str) -> None:
        correction = Correction(
            member=image.member, size=image.size, crc32=image.crc32, did=ADDED, label=label, was=None,
            when=round(self._now, 6),
        )  # fmt: skip
        self._corrections[correction.identity] = correction
        self._writer.corrections[correction.identity] = correction

    def heuristics(self) -> list[dict]:
        """What the store keeps of the origin of the labels and palettes of the added images."""
        if not self._corrections:
            return []
        palettes = {"version": HEURISTIC_VERSION, "settings": heuristic_settings()}
        hand = {"labels": "hand"} if are_by_hand(self._corrections) else {}
        record = {**hand, **(palettes if self._keeps_palettes else {})}
        return [record | {"since": int(self._now)}] if record else []


def _read(file: Path) -> bytes:
    """The bytes of a file. Raises UserError."""
    if file.is_dir():
        raise UserError(f"{file}: is a folder; give its files, as in '{file}/*.jpg'")
    if not file.is_file():
        raise UserError(f"{file}: {'is no regular file' if file.exists() else 'no such file'}")
    return file.read_bytes()


def _record(
    file: Path, group: bytes, name: bytes, removed: Correction | None, key: tuple[int, int]
) -> ImageRecord:
    """What the store will know of a file; one that was removed gets the member's name that it had."""
    return ImageRecord(
        label=group,
        name=name,
        member=name if removed is None else removed.member,
        size=key[0],
        crc32=key[1],
        mtime=int(file.stat().st_mtime),
        created=int(time.time()),
    )
