"""An HDF5 file as an archive: images as bytes, or a dataset of pictures as pixels."""

from __future__ import annotations

from pathlib import Path

import h5py

from imagestore import stored_names
from imagestore.archive.members import SourceLabels
from imagestore.archive.pixel_arrays import datasets_below, is_pixel_array
from imagestore.archive.pixel_rows import PixelRows
from imagestore.archive.row_archive import RowArchive
from imagestore.archive.store_rows import StoreRows
from imagestore.console import UserError, did_you_mean, first_line, printable
from imagestore.hdf5.open_hdf5 import ERRORS_OF_H5PY, open_hdf5
from imagestore.hdf5.why_not_opened import DAMAGED_OR_UNFINISHED
from imagestore.printed_commands import command_line, path_argument
from imagestore.store.labels import find_labels
from imagestore.store.reader import ImageStore


def open_hdf5_archive(
    path: Path, file: Path, descriptor: int, inner: str, index: Path | None, labels: SourceLabels | None
) -> RowArchive:
    """Take over an open HDF5 file. `inner` names a dataset or a group in it; "" is all. Raises UserError.

    `path` is what the user calls the archive: the path of the file, and `inner` behind it if there is one.
    """
    # A part that is named is pixels if it can be. A whole file is a store if it can be.
    find_rows = (_pixel_rows, _store_rows) if inner else (_store_rows, _pixel_rows)
    for find in find_rows:
        rows = find(file, descriptor, inner, labels)
        if rows is not None:
            return RowArchive(path, descriptor, rows, index, labels)
    raise UserError(
        f"{path}: holds no image, neither as bytes nor as pixels (N x H x W x 3, N x 3 x H x W, N x H x W)"
    )


def open_as_store(path: Path, follow_external: bool) -> ImageStore | None:
    """An HDF5 file as a store; None if it holds images as pixels only. Raises UserError if it has none."""
    store = ImageStore(path, require_images=False, follow_external=follow_external)
    try:
        if not holds_arrays_only(store):
            store.check_not_empty()
            return store
    except BaseException:
        store.close()
        raise
    store.close()
    return None


def is_archive_of_arrays(path: Path) -> bool:
    """Whether an HDF5 file holds images as pixels only. Raises UserError."""
    with ImageStore(path, require_images=False) as store:
        return holds_arrays_only(store)


def holds_arrays_only(store: ImageStore) -> bool:
    """Whether a file is no store, because its only images are arrays of pixels."""
    if store.index.written_with_store or find_labels(store).is_counted.any():
        return False
    try:
        return any(map(is_pixel_array, datasets_below(store.hdf5())))
    except ERRORS_OF_H5PY:
        return False


def _store_rows(path: Path, descriptor: int, inner: str, labels: SourceLabels | None) -> StoreRows | None:
    """The images that are bytes, at the path `inner` or below it; None if the file holds none at all."""
    store = ImageStore(path, require_images=False)
    try:
        found = find_labels(store)
        if found.is_counted.any():
            return StoreRows(store, found, inner, labels)
    except BaseException:
        store.close()
        raise
    store.close()
    return None


def _pixel_rows(path: Path, descriptor: int, inner: str, labels: SourceLabels | None) -> PixelRows | None:
    """The pictures of the array at the path `inner` or below it; None if there is none there."""
    file = open_hdf5(descriptor, path)
    try:
        found = _arrays_at(path, file, inner)
        if len(found) > 1:
            choices = " or ".join(command_line(path_argument(f"{path}:{array.name}")) for array in found)
            raise UserError(f"{path} holds {len(found)} arrays of pictures: give one of them, as {choices}")
        if found:
            return PixelRows(path, file, found[0], labels)
    except ERRORS_OF_H5PY as error:
        raise UserError(
            f"{path}: {DAMAGED_OR_UNFINISHED} ({first_line(error)}): copy or make it again"
        ) from error
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def _arrays_at(path: Path, file: h5py.File, inner: str) -> list[h5py.Dataset]:
    item = file.get(stored_names.encode(inner)) if inner else file
    if item is None:
        names = [dataset.name.strip("/") for dataset in datasets_below(file)]
        raise UserError(f"{path} has no {printable(inner)!r}{did_you_mean(inner, names)}")
    datasets = [item] if isinstance(item, h5py.Dataset) else list(datasets_below(item))
    return [dataset for dataset in datasets if is_pixel_array(dataset)]
