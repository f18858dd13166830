"""Unpack the labelled images of stores as a data set that other tools read: `h5vfs.py unpack --format`.

The data set is written into a hidden folder beside its own, which is renamed when all is there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from imagestore.console import UserError
from imagestore.files.atomic_write import LONGEST_STEM, check_writable
from imagestore.progress import progress
from imagestore.run_summary import RunSummary
from imagestore.sources.no_store import check_are_stores
from imagestore.store.labels import NO_LABEL
from imagestore.store.open_stores import open_stores
from imagestore.tools.copy_report import WITHOUT_LABEL, CopyReport
from imagestore.tools.data_set_formats import IMAGEFOLDER, PARQUET, SHARD_SIZE, WEBDATASET
from imagestore.tools.globs import Globs
from imagestore.tools.image_folder import write_image_folder
from imagestore.tools.labelled_images import ImageList, labels_of, list_images
from imagestore.tools.parquet_shards import write_parquet
from imagestore.tools.webdataset_shards import write_webdataset


def unpack_images(
    stores: Sequence[str | Path],
    folder: Path,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    follow_external: bool = False,
    summary: RunSummary | None = None,
    *,
    kind: str,
    shard_size: int = SHARD_SIZE,
) -> int:
    """Write the images of stores as one of FORMATS into the new `folder`; return the exit status.

    `shard_size` is the most bytes of images in a shard. Images that cannot be read are named, and make the
    exit status 1; all others are written. Raises UserError, or OSError if the disk is full or fails.
    """
    report = CopyReport(summary=summary or RunSummary())
    if kind == PARQUET:
        import pyarrow.parquet  # noqa: F401  (before any work, since it may be missing)
    check_are_stores(stores)
    with contextlib.ExitStack() as opened:
        all_stores = [opened.enter_context(store) for store in open_stores(stores, follow_external)]
        lists = list_images(all_stores, Globs(include, exclude), report)
        if kind == IMAGEFOLDER:
            lists = [_with_labels_only(images, report) for images in lists]
        with _new_folder(folder) as partial, progress(sum(map(len, lists)), "unpack", "images") as bar:
            _write(partial, lists, kind, shard_size, bar.update)
    return report.summarise("unpacked", folder)


def _write(
    folder: Path, lists: Sequence[ImageList], kind: str, shard_size: int, on_image: Callable[[], object]
) -> None:
    labels = labels_of(lists)
    if kind == IMAGEFOLDER:
        write_image_folder(folder, lists, labels, on_image)
    else:
        write_shards = write_webdataset if kind == WEBDATASET else write_parquet
        write_shards(folder, lists, labels, shard_size, on_image)


def _with_labels_only(images: ImageList, report: CopyReport) -> ImageList:
    """The images that have a label; the others are counted."""
    has_label = images.labels.label[images.positions] != NO_LABEL
    if not has_label.all():
        report.skipped[WITHOUT_LABEL] += int(np.count_nonzero(~has_label))
    return ImageList(**vars(images) | {"positions": images.positions[has_label]})


@contextlib.contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Give a hidden folder beside `folder`; at the end of the block, give it that name. Raises UserError.

    If the block raises, the hidden folder is removed.
    """
    final = Path(os.path.realpath(folder))
    if final.exists() and not final.is_dir():
        raise UserError(f"{folder}: is no folder; give a new folder")
    if not final.is_dir():
        check_writable(final)
    elif any(final.iterdir()):
        raise UserError(f"{folder}: is not empty; give a new folder")
    stem = os.fsdecode(os.fsencode(final.name)[:LONGEST_STEM])
    partial = final.with_name(f".{stem}.{secrets.token_hex(4)}.partial")
    partial.mkdir()
    try:
        yield partial
        partial.rename(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
