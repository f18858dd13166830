"""An HDF5 file as an archive: images as bytes, or a dataset of pictures as pixels."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import h5py

from imagestore.console import UserError, did_you_mean, first_line, printable
from imagestore.hdf5.datasets_below import FoundDataset, datasets_below, find_object
from imagestore.hdf5.links import OUTSIDE, LinkNotFollowed
from imagestore.hdf5.open_hdf5 import ERRORS_OF_H5PY, open_hdf5
from imagestore.hdf5.why_not_opened import DAMAGED_OR_UNFINISHED
from imagestore.printed_commands import command_line, path_argument
from imagestore.store.labels import find_labels
from imagestore.store.reader import ImageStore
from imagestore.tables.cell_rows import CellRows, CellsInHdf5, holds_images
from imagestore.tables.label_arrays import find_labels_of, links_outside, may_be_labels
from imagestore.tables.matlab_data import HEADER, is_cell_array
from imagestore.tables.picture_datasets import PictureDatasets, is_picture
from imagestore.tables.pixel_arrays import is_flattened, is_pixel_array, shape_if_flattened
from imagestore.tables.pixel_rows import PixelRows
from imagestore.tables.row_archive import RowArchive
from imagestore.tables.store_rows import StoreRows
from imagestore.tables.table_fields import holds_bytes_of_images, image_fields
from imagestore.tables.table_options import TableOptions
from imagestore.tables.table_rows import TableRows

R = TypeVar("R")


def open_hdf5_archive(
    path: Path, file: Path, descriptor: int, inner: str, options: TableOptions
) -> RowArchive:
    """Take over an open HDF5 file. `inner` names a dataset or a group in it; "" is all. Raises UserError.

    `path` is what the user calls the archive: the path of the file, and `inner` behind it if there is one.
    """
    # A part that is named is a table or pixels if it can be. A whole file is a store if it can be.
    find_rows = (_table_rows, _pixel_rows, _store_rows) if inner else (_store_rows, _pixel_rows, _table_rows)
    if _is_mat_file(descriptor):  # the values of its cells would be images of a store
        find_rows = (_cell_rows, _pixel_rows, _store_rows)
    for find in find_rows:
        rows = find(file, descriptor, inner, options)
        if rows is not None:
            return RowArchive(path, descriptor, rows, options)
    raise UserError(
        f"{path}: holds no image, neither as bytes nor as pixels (N x H x W x 3, N x 3 x H x W, N x H x W)"
        f"{_about_others(file, descriptor, options)}"
    )


def _about_others(path: Path, descriptor: int, options: TableOptions) -> str:
    """What to do with links and with a dataset that may hold flattened pictures, to follow a message."""
    with open_hdf5(descriptor, path) as file, contextlib.suppress(*ERRORS_OF_H5PY):
        outside: list[str] = []
        datasets = list(datasets_below(file, path, follow_external=options.follow_external, outside=outside))
        if outside:
            return f"; {links_outside(outside)}"
        for name, dataset in datasets:
            if is_flattened(dataset):
                named = command_line(path_argument(f"{path}:/{name}"))
                return f"; if the rows of {printable(name)} are flattened pictures, name them: {named}"
            if shape := shape_if_flattened(dataset):
                return (
                    f"; if the rows of {printable(name)} are flattened pictures, store them with their "
                    f"shape, such as N x {shape}"
                )
    return ""


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
    """Whether a file is no store, because its only images are arrays of pixels, or in MATLAB's cells."""
    if store.index.written_with_store or find_labels(store).is_counted.any():
        return False
    try:
        datasets = list(datasets_below(store.hdf5(), store.path, follow_external=store.follow_external))
        return (
            bool(_cells_of_images(datasets))
            or bool(_arrays_of_pictures(datasets))
            or any(is_picture(found.dataset) for found in datasets)
            or bool(image_fields(datasets, store.follow_external))
        )
    except ERRORS_OF_H5PY:
        return False


def _store_rows(path: Path, descriptor: int, inner: str, options: TableOptions) -> StoreRows | None:
    """The images that are bytes, at the path `inner` or below it; None if the file holds none at all."""
    store = ImageStore(path, require_images=False, follow_external=options.follow_external)
    try:
        found = find_labels(store)
        if found.is_counted.any():
            return StoreRows(store, found, inner, options.labels)
    except BaseException:
        store.close()
        raise
    store.close()
    return None


def _pixel_rows(
    path: Path, descriptor: int, inner: str, options: TableOptions
) -> PixelRows | PictureDatasets | None:
    """The pictures of the array at the path `inner` or below it; None if there is none there.

    Without an array, they are the datasets that are one picture each.
    """

    def find(file: h5py.File) -> PixelRows | PictureDatasets | None:
        if found := _arrays_at(path, file, inner, options.follow_external):
            return PixelRows(path, file, _only_one(path, found, "arrays of pictures"), options)
        below = datasets_below(file, path, inner, follow_external=options.follow_external)
        pictures = [name for name, dataset in below if is_picture(dataset)]
        return PictureDatasets(path, file, pictures, inner, options) if pictures else None

    return _rows_in(path, descriptor, find)


def _rows_in(path: Path, descriptor: int, find: Callable[[h5py.File], R | None]) -> R | None:
    """What `find` makes of the open file, which it takes over; None if it finds nothing. Raises UserError."""
    file, rows = open_hdf5(descriptor, path), None
    try:
        rows = find(file)
    except ERRORS_OF_H5PY as error:
        raise UserError(
            f"{path}: {DAMAGED_OR_UNFINISHED} ({first_line(error)}): copy or make it again"
        ) from error
    finally:
        if rows is None:
            file.close()
    return rows


def _is_mat_file(descriptor: int) -> bool:
    return os.pread(descriptor, len(HEADER), 0) == HEADER


def _cell_rows(path: Path, descriptor: int, inner: str, options: TableOptions) -> CellRows | None:
    """The images in a cell array of MATLAB at the path `inner` or below it; None if there is none there."""

    def find(file: h5py.File) -> CellRows | None:
        found = _cells_of_images(_datasets_on_path(path, file, inner, options.follow_external))
        if not found:
            return None
        name, dataset = _only_one(path, found, "cell arrays of images")
        cells = CellsInHdf5(dataset)
        labels = find_labels_of(file, path, name, len(cells), options.labels, options.follow_external)
        return CellRows(path, name, cells, labels, file.close)

    return _rows_in(path, descriptor, find)


def _cells_of_images(datasets: Iterable[FoundDataset]) -> list[FoundDataset]:
    """The cell arrays whose cells hold images. Those in other cells do not count."""
    return [
        found
        for found in datasets
        if not found.path.startswith("#")
        and is_cell_array(found.dataset)
        and holds_images(CellsInHdf5(found.dataset))
    ]


def _table_rows(
    path: Path, descriptor: int, inner: str, options: TableOptions
) -> TableRows | PixelRows | None:
    """The images in a field of a table at the path `inner` or below it; None if there is none there."""

    def find(file: h5py.File) -> TableRows | PixelRows | None:
        datasets = _datasets_on_path(path, file, inner, options.follow_external)
        found = [
            field
            for field in image_fields(datasets, options.follow_external)
            if not inner or f"{field.path}/".startswith(f"{inner}/")
        ]
        if not found:
            return None
        field = _only_one(path, found, "fields of images")
        kind = TableRows if holds_bytes_of_images(field.dataset) else PixelRows
        return kind(path, file, field, options)

    return _rows_in(path, descriptor, find)


def _datasets_on_path(path: Path, file: h5py.File, inner: str, follow_external: bool) -> list[FoundDataset]:
    """The datasets below `inner`; or the one at the beginning of this path, whose field the rest names."""
    name = inner
    while name:
        with contextlib.suppress(LinkNotFollowed):
            item = find_object(file, path, name, follow_external)
            if isinstance(item, h5py.Dataset):
                return [FoundDataset(name, item)]
            if name != inner:
                return []
            break
        name = name.rpartition("/")[0]
    if inner and not name:
        return []
    return list(datasets_below(file, path, inner, follow_external=follow_external))


def _only_one(path: Path, found: Sequence[FoundDataset], what: str) -> FoundDataset:
    """The only one of these. Raises UserError if they are more."""
    if len(found) > 1:
        choices = " or ".join(command_line(path_argument(f"{path}:/{item.path}")) for item in found)
        raise UserError(f"{path} holds {len(found)} {what}: give one of them, as {choices}")
    return found[0]


def _arrays_at(path: Path, file: h5py.File, inner: str, follow_external: bool) -> list[FoundDataset]:
    """The arrays of pictures at the path `inner`, or below it. Raises UserError."""
    try:
        item = find_object(file, path, inner, follow_external) if inner else file
    except LinkNotFollowed as error:
        if error.reason == OUTSIDE:
            raise UserError(
                f"{path}: {printable(inner)!r} leads into a file outside the folder of this one: "
                "give that file itself, or add --follow-external"
            ) from None
        item = None
    if item is None:
        names = [found.path for found in datasets_below(file, path, follow_external=follow_external)]
        raise UserError(f"{path} has no {printable(inner)!r}{did_you_mean(inner, names)}")
    if isinstance(item, h5py.Dataset):
        is_picture = is_pixel_array(item) or is_flattened(item)
        return [FoundDataset(inner, item)] if is_picture else []
    return _arrays_of_pictures(list(datasets_below(file, path, inner, follow_external=follow_external)))


def _arrays_of_pictures(datasets: list[FoundDataset]) -> list[FoundDataset]:
    """Those datasets whose rows are pictures.

    Flattened pictures are only taken if there are no others, and if labels for them are beside them: else
    they may be features or weights.
    """
    arrays = [found for found in datasets if is_pixel_array(found.dataset)]
    if arrays:
        return arrays
    flattened = [found for found in datasets if is_flattened(found.dataset)]
    others = [found.dataset for found in datasets if found not in flattened]
    return [
        found for found in flattened if any(may_be_labels(other, found.dataset.shape[0]) for other in others)
    ]
