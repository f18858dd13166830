"""The command `merge`: join stores into one, without decoding an image."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path

from h5py.h5d import DatasetID
from isal.isal_zlib import crc32

from imagestore import stored_names
from imagestore.console import UserError, counted, note, printable
from imagestore.labelling.merge_corrections import AllCorrections, correct_copied
from imagestore.labelling.run_report import RunReport, finish, noting_errors
from imagestore.processes import Stop, stopping
from imagestore.progress import Progress, progress
from imagestore.run_summary import RunSummary
from imagestore.sources.no_store import check_are_stores
from imagestore.store.corrections import corrections_of
from imagestore.store.image_attributes import read_palette
from imagestore.store.label_names import group_name
from imagestore.store.labels import find_labels, note_what_is_left_out
from imagestore.store.open_stores import open_stores
from imagestore.store.reader import ImageStore, StoreError
from imagestore.store.record import ImageRecord
from imagestore.store.writer import StoreWriter


def merge(output: Path, patterns: list[str], again: bool = False, summary: RunSummary | None = None) -> int:
    """Add all images of other stores, given as paths or quoted globs, to the store `output`.

    What people corrected by hand in one of the stores counts in all; see corrections.py. Images that they
    removed come back only if they are taken `again`. Returns the exit status. Raises UserError.
    """
    check_are_stores(patterns)
    with contextlib.ExitStack() as opened:
        stores = [opened.enter_context(store) for store in open_stores(patterns, require_images=False)]
        by_hand = [corrections_of(store) for store in stores]
        for store, found in zip(stores, by_hand, strict=True):
            store.check_not_empty(require_images=not found)  # all may have been removed
        if any(os.path.realpath(store.path) == os.path.realpath(output) for store in stores):
            raise UserError(f"{output} is the output, so it cannot be one of the stores to merge")
        writer = opened.enter_context(StoreWriter(output))
        with stopping() as stop, progress(sum(map(len, stores)), "merging") as bar:
            report = RunReport(output, stop, summary or RunSummary())
            corrections = AllCorrections([writer.corrections, *by_hand], again)
            report.disputed = corrections.disputed()
            with noting_errors(report):
                for store in stores:
                    if not _begin_as_copy(store, writer, stop, bar):
                        _copy_images(store, writer, corrections, report, bar)
                writer.write_waiting()
            correct_copied(writer, corrections, report)
            writer.publish([heuristic for store in stores for heuristic in store.heuristics()])
        return finish(report, [writer])


def _begin_as_copy(store: ImageStore, writer: StoreWriter, stop: Stop, bar: Progress) -> bool:
    """Begin a new store as a copy of this one; return whether it worked and all checksums are right."""
    if stop.requested or not writer.start_as_copy_of(store):
        return False
    if _all_intact(store, stop, bar):
        return True
    writer.discard()
    return False


def _all_intact(store: ImageStore, stop: Stop, bar: Progress) -> bool:
    """Whether all images have their checksums. A signal ends the comparison: the answer is then False."""
    try:
        for i in store.positions_by_offset():
            if stop.requested or crc32(store.read(i)) != store.index.crc32[i]:
                return False
            bar.update()
    except StoreError:  # _copy_images meets the same image again, and reports it
        return False
    return True


def _copy_images(
    store: ImageStore, writer: StoreWriter, corrections: AllCorrections, report: RunReport, bar: Progress
) -> None:
    """Add the images of a store one by one, until a signal asks for the end."""
    copyable, labels = store.copyable(), find_labels(store)
    note_what_is_left_out("colourHeuristic", store, labels)
    if labels.without_label:
        images = counted(labels.without_label, "image")
        note(f"colourHeuristic: {store.path}: left out: {images} under no label")
    for i in store.positions_by_offset():
        if labels.name_of(i) is None:
            bar.update()
            continue
        if report.stop.requested:
            return
        try:
            data, dataset = store.read(i), store.dataset(i)
        except StoreError as error:
            report.unreadable.append(str(error))
        else:
            image = _record_to_merge(store, i, labels.name_of(i), data, dataset)
            can_copy = copyable[i] and image.crc32 == store.index.crc32[i]
            corrected = corrections.apply(image)
            if corrected is None:
                report.removed.append(printable(image.member))
            elif writer.add(corrected, data, dataset if can_copy else None):
                report.corrected += corrected.label != image.label
            else:
                report.already_stored += 1
        bar.update()


def _record_to_merge(store: ImageStore, i: int, label: str, data: bytes, dataset: DatasetID) -> ImageRecord:
    """The record of image `i` for the merged store, with defaults for what older tools do not write."""
    record = store.index.record(i)
    name = record.name.rpartition(b"/")[2]
    time_of_store = int(store.path.stat().st_mtime)  # a mount shows it where a time is unknown
    return replace(
        record,
        label=stored_names.encode(group_name(label)),
        name=name,
        member=record.member or name,
        crc32=crc32(data),
        mtime=time_of_store if record.modified is None else record.modified,
        created=record.created or time_of_store,
        palette=read_palette(dataset),
    )
