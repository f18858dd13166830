"""Join stores into one, without decoding an image."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path

from h5py.h5d import DatasetID
from isal.isal_zlib import crc32

from imagestore.console import Progress, UserError, progress
from imagestore.labelling.run_report import RunReport, noting_problems, tell
from imagestore.processes import stopping
from imagestore.store.open import open_stores
from imagestore.store.reader import ImageStore, StoreError, palette_of
from imagestore.store.record import ImageRecord
from imagestore.store.writer import StoreWriter


def merge(output: Path, patterns: list[str]) -> int:
    """Add all images of other stores to `output`, without decoding any of them.

    Returns the exit status. Raises UserError.
    """
    with contextlib.ExitStack() as opened:
        stores = [opened.enter_context(store) for store in open_stores(patterns)]
        if any(os.path.realpath(store.path) == os.path.realpath(output) for store in stores):
            raise UserError(f"{output}: is the output, so it cannot be one of the stores to merge")
        writer = opened.enter_context(StoreWriter(output))
        report = RunReport()
        with stopping() as report.stop, progress(sum(map(len, stores)), "merging") as bar:
            with noting_problems(report, output):
                for store in stores:
                    if not (report.stop.requested or _begun_as(store, writer, report, bar)):
                        _copy(store, writer, report, bar)
            writer.publish([record for store in stores for record in store.heuristics()])
        tell([writer], report)
    return report.status


def _begun_as(store: ImageStore, writer: StoreWriter, report: RunReport, bar: Progress) -> bool:
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


def _copy(store: ImageStore, writer: StoreWriter, report: RunReport, bar: Progress) -> None:
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


def _image_in(store: ImageStore, i: int, data: bytes, dataset: DatasetID) -> ImageRecord:
    known = store.index.record(i)
    name = known.name.rpartition(b"/")[2]
    return replace(
        known,
        name=name,
        member=known.member or name,
        crc32=crc32(data),
        created=known.created or int(store.path.stat().st_mtime),
        palette=palette_of(dataset),
    )
