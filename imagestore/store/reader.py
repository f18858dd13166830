"""Read an image store: which images it holds, and their bytes.

`/<label>/<name>` is one image: a 1-D uint8 dataset whose bytes are those of the archive member. Any HDF5 file
with such datasets is a store. Images are read with `pread` at their place in the file. HDF5 is only asked if
an image has no such place (chunked, compressed), and for attributes.

An ImageStore may be pickled, and used after a fork. Several threads may read images that have a place in
the file, because the descriptor has no position. Only one thread may use HDF5. Each process opens the file
in HDF5 by itself.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np
from h5py import h5d
from isal.isal_zlib import crc32

from imagestore import stored_names
from imagestore.console import UserError, first_line
from imagestore.files.write_and_copy import copy_start
from imagestore.hdf5.datasets import check_readable
from imagestore.hdf5.element_files import element_number
from imagestore.hdf5.entry import ELEMENTS
from imagestore.hdf5.held_files import OTHER_FILE, held_files, read_element, read_file
from imagestore.hdf5.links import LinkFollower, LinkNotFollowed, Place
from imagestore.hdf5.open_descriptor import open_descriptor
from imagestore.hdf5.open_hdf5 import ERRORS_OF_H5PY, open_hdf5
from imagestore.hdf5.superblock import end_of_file_address
from imagestore.hdf5.why_not_opened import DAMAGED_OR_UNFINISHED
from imagestore.open_files import MostRecent
from imagestore.progress import progress
from imagestore.store import index_cache
from imagestore.store.hdf5_cache_size import MetadataCache
from imagestore.store.image_attributes import read_palette
from imagestore.store.index import StoreIndex
from imagestore.store.trailer import read_trailer
from imagestore.store.walk import walk


class StoreError(OSError):
    """An image's bytes cannot be read, or are not the bytes that were stored."""


class ImageStore:
    """The images of one file, in the order of their labels, then of their names (as bytes).

    Raises UserError if there is no such file, or if it cannot be read or is not HDF5. If `require_images` is
    True, a file without images is an error too. Links into other files are followed if these are in the
    store's folder or below it, and all of them with `follow_external`.

    With `recent`, the file does not stay open: each use opens it again. Then replacing the file is an error.
    """

    def __init__(
        self,
        path: str | Path,
        require_images: bool = True,
        follow_external: bool = False,
        recent: MostRecent | None = None,
    ) -> None:
        self.path, self.follow_external, self._recent = Path(path), follow_external, recent
        self._absolute_path = self.path.absolute()  # the folder may change before it is opened again
        self._fd = open_descriptor(self.path)
        self._state_at_open = self._state_of(self._fd)
        self._hdf5_file: h5py.File | None = None
        self._hdf5_pid = 0  # the process that opened _hdf5_file
        self._links = LinkFollower(follow_external)
        try:
            again = None if recent is None else self._open_file
            index = read_trailer(self._fd, end_of_file_address(self._fd), again)
            self.index = index or self._index_by_walking()
            self.check_not_empty(require_images)
            if recent is not None:
                self._close_descriptor()
        except BaseException:
            self.close()
            raise

    def check_not_empty(self, require_images: bool = True) -> None:
        """Raise UserError if the store holds no image."""
        if require_images and not len(self):
            raise UserError(
                f"{self.path}: holds no image (an image is a dataset of an image file's bytes, in a group, "
                f"and the name of the group is its label){self.index.remarks.links_as_text()}"
            )

    def _index_by_walking(self) -> StoreIndex:
        """The index of a file without one: from the user's cache folder, or by visiting every dataset."""
        stamp = index_cache.stamp_of(self._fd)
        index = index_cache.load(self.path, stamp)
        if index is None:
            index = self._walk()
            if not self.changed():
                index_cache.save(self.path, stamp, index)
        return index

    def _walk(self) -> StoreIndex:
        try:
            # The file is closed again at once: else h5py could not open it with locks in this process.
            with (
                open_hdf5(self._fd, self.path) as file,
                progress(None, f"{self.path.name} has no index, visiting its images") as bar,
            ):
                return walk(file, bar.update, self.path, LinkFollower(self.follow_external), self._fd)
        except ERRORS_OF_H5PY as error:
            message = f"{self.path}: {DAMAGED_OR_UNFINISHED} ({first_line(error)}): copy or make it again"
            raise UserError(message) from error

    def __enter__(self) -> ImageStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.index)

    def __getstate__(self) -> dict[str, object]:
        """What another process needs to open the same file again."""
        return {
            "path": self._absolute_path, "index": self.index, "state_at_open": self._state_at_open,
            "follow_external": self.follow_external, "recent": self._recent,
        }  # fmt: skip

    def __setstate__(self, state: dict[str, object]) -> None:
        self.path, self.index = state["path"], state["index"]
        self._absolute_path = self.path
        self.follow_external, self._recent = state["follow_external"], state["recent"]
        self._state_at_open = state["state_at_open"]
        self._hdf5_file, self._hdf5_pid, self._links = None, 0, LinkFollower(self.follow_external)
        self._fd = -1
        with self._open_file() as descriptor:
            self._fd = os.dup(descriptor) if self._recent is None else -1

    @property
    def labels(self) -> list[str]:
        """The names of the top-level groups that hold images, sorted as bytes; "" for images at the root.

        Not every group is a label: see labels.py.
        """
        return self.index.labels

    def close(self) -> None:
        """Close the file; images cannot be read afterwards."""
        self.release()
        if self._recent is not None:
            self._recent.forget(self)
        self._close_descriptor()

    def release(self) -> None:
        """Close the file in HDF5 until its next use there."""
        if self._hdf5_file is not None and self._hdf5_pid == os.getpid():
            self._hdf5_file.close()
        self._hdf5_file, self._links = None, LinkFollower(self.follow_external)

    def _close_descriptor(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    @contextlib.contextmanager
    def _open_file(self) -> Iterator[int]:
        """The file's descriptor: the one that stays open, or a new one.

        Raises StoreError if the file had to be opened again, and is gone or replaced.
        """
        if self._fd >= 0:
            yield self._fd
            return
        try:
            descriptor = open_descriptor(self._absolute_path)
        except UserError as error:
            raise StoreError(str(error)) from error
        try:
            if self._state_of(descriptor) != self._state_at_open:
                raise StoreError(f"{self.path}: the file was replaced or changed while it was in use")
            yield descriptor
        finally:
            os.close(descriptor)

    def _state_of(self, descriptor: int) -> tuple[int, int, int, int]:
        status = os.fstat(descriptor)
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    def changed(self) -> bool:
        """Whether the open file was written to since it was opened. Replacing the file does not change it."""
        try:
            with self._open_file() as descriptor:
                return self._state_of(descriptor) != self._state_at_open
        except StoreError:
            return True

    def is_same_file(self, status: os.stat_result) -> bool:
        """Whether `status` is that of the open file."""
        return (status.st_dev, status.st_ino) == self._state_at_open[:2]

    def hdf5(self) -> h5py.File:
        """The file as h5py's, without locks. It is opened when first needed, once in each process."""
        if self._recent is not None:
            self._recent.use(self)
        if self._hdf5_file is None or self._hdf5_pid != os.getpid():
            with self._open_file() as descriptor:
                self._hdf5_file, self._hdf5_pid = open_hdf5(descriptor, self.path), os.getpid()
            self._links = LinkFollower(self.follow_external)
            MetadataCache(self._hdf5_file, self.index)
        return self._hdf5_file

    def path_of(self, i: int) -> str:
        """The path of image `i` in the file, 'red/image_0001.jpg'."""
        return stored_names.decode(self.path_in_file(i))

    def path_in_file(self, i: int) -> bytes:
        """The same path as HDF5 has it."""
        label = self.index.label_bytes[self.index.label_of(i)]
        return label + b"/" + self.index.name(i) if label else self.index.name(i)

    def find(self, path: str) -> int:
        """The position of the image with this path. Raises KeyError if there is none."""
        label, separator, name = path.strip("/").partition("/")
        position = self.index.find(label, name) if separator else self.index.find("", label)
        if position < 0:
            raise KeyError(path)
        return position

    def read(self, i: int) -> bytes:
        """The bytes of image `i`, compared with their checksum if the index was written with the store.

        Raises StoreError if they cannot be read or are not what was stored.
        """
        offset, size = int(self.index.offset[i]), int(self.index.size[i])
        data = self._pread(size, offset) if offset >= 0 else self._read_through_hdf5(i)
        if len(data) != size:
            raise StoreError(
                f"{self.path}: cut short: {self.path_of(i)} ends after {len(data)} of {size} bytes"
            )
        if self.index.written_with_store and self.index.has_crc[i] and crc32(data) != self.index.crc32[i]:
            raise StoreError(
                f"{self.path}: damaged: {self.path_of(i)} does not have the checksum it was stored with"
            )
        return data

    def read_start(self, i: int, size: int) -> bytes:
        """The first bytes of image `i`, up to `size`, without a look at its checksum. Raises StoreError."""
        offset = int(self.index.offset[i])
        if offset < 0:
            return self.read(i)[:size]
        return self._pread(min(size, int(self.index.size[i])), offset)

    def _pread(self, size: int, offset: int) -> bytes:
        if self._fd >= 0:
            return os.pread(self._fd, size, offset)
        with self._open_file() as descriptor:
            return os.pread(descriptor, size, offset)

    def _read_through_hdf5(self, i: int) -> bytes:
        dataset, size = self.dataset(i), int(self.index.size[i])
        try:
            check_readable(dataset, self.follow_external)
            number = element_number(os.path.basename(self.index.name(i)))
            is_element = held_files(dataset, OTHER_FILE, self.follow_external) == ELEMENTS
            if is_element and number is not None:
                return read_element(dataset, number, size)
            return read_file(dataset, size)
        except (OSError, RuntimeError, ValueError) as error:
            raise StoreError(f"{self.path}: cannot read {self.path_of(i)}: {first_line(error)}") from error

    def dataset(self, i: int) -> h5d.DatasetID:
        """The HDF5 dataset that holds image `i`, with its attributes. Raises StoreError."""
        try:
            file, path = self.hdf5(), self.path_in_file(i)
            if self.index.covers_whole_file:  # it holds no links, and only datasets that are an image each
                return h5d.open(file.id, path)
            return self._find_dataset(self._links.root(file, self._absolute_path), path)
        except ERRORS_OF_H5PY as error:
            raise StoreError(f"{self.path}: cannot read {self.path_of(i)} ({first_line(error)})") from error

    def _find_dataset(self, root: Place, path: bytes) -> h5d.DatasetID:
        """The dataset at a path, or the one of which the path is an element. Raises the errors of h5py."""
        try:
            return self._links.open(root, path).object
        except LinkNotFollowed:
            return self._links.open(root, os.path.dirname(path)).object

    def palette(self, i: int) -> np.ndarray | None:
        """float32 (k, 7): share, L, a, b, R, G, B of image `i`, largest share first; None if not kept."""
        return read_palette(self.dataset(i))

    def copyable(self) -> np.ndarray:
        """bool (N,): whether a copy of an image's dataset is all that another store needs.

        The dataset then has every attribute that a StoreWriter writes, and the index covers the whole file.
        """
        index = self.index
        has_member = np.diff(index.column("member_end"), prepend=0) > 0
        is_complete = (index.offset >= 0) & (index.has_crc != 0) & (index.created > 0) & has_member
        return is_complete & index.covers_whole_file

    def copy_to(self, target: int) -> None:
        """Copy the HDF5 data, without the index, to an empty open file. Raises OSError, UserError."""
        with self._open_file() as descriptor:
            size = end_of_file_address(descriptor) or os.fstat(descriptor).st_size
            copy_start(descriptor, target, size)
        if self.changed():
            raise UserError(f"{self.path}: another tool is writing to this file; wait until it has finished")

    def heuristics(self) -> list[dict[str, object]]:
        """The versions and settings of the heuristic that labelled the images, oldest first."""
        text = self.hdf5().attrs.get("heuristic", "[]")
        with contextlib.suppress(TypeError, ValueError):
            return [record for record in json.loads(text) if isinstance(record, dict)]
        return []

    def positions_by_offset(self) -> list[int]:
        """The positions of all images, in the order of their bytes in the file: the fastest to read."""
        return np.argsort(self.index.offset, kind="stable").tolist()
