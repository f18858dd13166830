"""The images that datasets hold which are no 1-D arrays of unsigned bytes."""

from __future__ import annotations

from collections.abc import Iterator

from h5py import h5d

from imagestore.hdf5.element_files import ElementFiles
from imagestore.hdf5.entry import ELEMENTS, NO_OFFSET
from imagestore.hdf5.global_heap import HeapReader
from imagestore.hdf5.held_files import element_files, held_files, is_vlen_bytes
from imagestore.hdf5.open_hdf5 import ERRORS_OF_H5PY
from imagestore.store.image_attributes import read_record
from imagestore.store.record import ImageRecord


def is_folder_of_images(dataset: h5d.DatasetID, fd: int, follow_external: bool) -> bool:
    """Whether a dataset holds an image for each element. `fd` is that of `held_files`."""
    try:
        return held_files(dataset, fd, follow_external) == ELEMENTS
    except ERRORS_OF_H5PY:  # its bytes cannot be read, or may not be
        return is_vlen_bytes(dataset)


def images_in(
    dataset: h5d.DatasetID, label: bytes, name: bytes, fd: int, follow_external: bool
) -> Iterator[tuple[ImageRecord, int]]:
    """The images in a dataset, each with its offset in the file, or with NO_OFFSET.

    `name` is the name of the dataset below `label`. Empty elements are no images. If the elements cannot be
    read, the dataset counts as one image, so that whoever reads it learns why. `fd` is that of `held_files`.
    """
    try:
        held = held_files(dataset, fd, follow_external)
        if held == ELEMENTS:
            files = element_files(dataset, fd, follow_external)
            if files.suffix:
                yield from _element_images(files, read_record(dataset, label, name, 0), fd)
        elif held and held.is_image:
            yield read_record(dataset, label, name, held.size), held.offset
    except ERRORS_OF_H5PY:
        if is_vlen_bytes(dataset):
            yield read_record(dataset, label, name, 0), NO_OFFSET


def _element_images(files: ElementFiles, record: ImageRecord, fd: int) -> Iterator[tuple[ImageRecord, int]]:
    """The elements that are not empty; `record` is that of their dataset."""
    heap, prefix = HeapReader(fd), record.name + b"/" if record.name else b""
    columns = zip(files.names(), *(column.tolist() for column in files[1:]), strict=True)
    for name, size, offset, heap_number in columns:
        if size:
            image = ImageRecord(
                label=record.label,
                name=prefix + name,
                size=size,
                mtime=record.mtime,
                created=record.created,
            )
            yield image, _place(heap, offset, heap_number, size)


def _place(heap: HeapReader, collection: int, number: int, size: int) -> int:
    if not number:
        return collection
    try:
        return heap.place_of(collection, number, size)
    except OSError:  # HDF5 will say what is wrong, to whoever reads the image
        return NO_OFFSET
