"""Open a store to correct it: all changes are published at once, or the store stays as it was."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path

from imagestore.console import UserError, first_line
from imagestore.sources.no_store import check_is_hdf5
from imagestore.store.reader import ImageStore
from imagestore.store.writer import StoreWriter

HDF5_ERRORS = (RuntimeError, KeyError, ValueError)  # of h5py, where a file is damaged


@contextlib.contextmanager
def open_to_mend(path: Path, dry_run: bool) -> Iterator[tuple[ImageStore, StoreWriter | None]]:
    """The store at `path`, and the writer that changes it; no writer in a dry run, which writes nothing.

    If the block raises, the store stays as it was. Raises UserError if there is no such store, if it is
    write-protected, or if another process is writing it.
    """
    check_is_hdf5(path)
    if dry_run:
        with ImageStore(path, require_images=False) as store:
            yield store, None
        return
    _check_writable(path)
    with StoreWriter(path, mends=True) as writer:
        try:
            yield writer.origin, writer
        except BaseException as error:
            writer.discard()
            if isinstance(error, HDF5_ERRORS):
                message = f"{path}: HDF5 cannot change it ({first_line(error)}); it stays as it was"
                raise UserError(message) from error
            raise


def _check_writable(path: Path) -> None:
    """Raise UserError if there is no store, or its owner has protected it (root too would write to it)."""
    if not path.exists():
        raise UserError(f"{path}: no such file; sort and partition make stores")
    if not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise UserError(f"{path}: is write-protected; to change it: chmod u+w {path}")
