"""The HDF5 image store, read: what is in it, and the images' bytes.

`/<label>/<name>` is one image: a one-dimensional uint8 dataset whose bytes are the archive member's. Any
HDF5 file with such datasets is a store, whoever wrote it. Images are read with `pread` at their place in
the file; HDF5 itself is only asked where that place cannot be known (chunked, compressed) and for what
is stored beside the bytes. Used by tree, dataset, pipeline, examine and the commands.

An ImageStore may be pickled, used after a fork, and its images read from several threads: the file
descriptor has no position, and HDF5 is opened anew in each process.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np
from h5py import h5a, h5d, h5t
from isal.isal_zlib import crc32

from imagestore import files
from imagestore.console import UserError, first_line, progress
from imagestore.hdf5 import datasets
from imagestore.hdf5.open import open_descriptor, open_hdf5
from imagestore.hdf5.superblock import end_of_file_address
from imagestore.store import index_cache
from imagestore.store.index import StoreIndex
from imagestore.store.metadata_cache import MetadataCache
from imagestore.store.trailer import read_trailer
from imagestore.store.walk import walk


class StoreError(OSError):
    """An image's bytes cannot be had, or are not the bytes that were stored."""


class ImageStore:
    """The images of one file, in the order of their labels, then of their names.

    Raises UserError where there is no such file, it cannot be read, is not HDF5, or (unless
    `require_images` is False) holds no image.
    """

    def __init__(self, path: str | Path, require_images: bool = True) -> None:
        self.path = Path(path)
        self._fd = open_descriptor(self.path)
        self._opened = self._state()
        self._hdf5: tuple[int, h5py.File] | None = None
        try:
            self.index = read_trailer(self._fd, end_of_file_address(self._fd)) or self._walked()
            self.check_not_empty(require_images)
        except BaseException:
            self.close()
            raise

    def check_not_empty(self, require_images: bool = True) -> None:
        """Raise UserError where the store holds no image."""
        if require_images and not len(self):
            raise UserError(
                f"{self.path}: holds no image (a store keeps each as a one-dimensional uint8 dataset "
                "in a group that is its label)"
            )

    def _walked(self) -> StoreIndex:
        """What a walk finds, now or when the file was walked before."""
        stamp = index_cache.stamp(self._fd)
        index = index_cache.load(self.path, stamp)
        if index is None:
            index = self._walk()
            if not self.changed():
                index_cache.save(self.path, stamp, index)
        return index

    def _walk(self) -> StoreIndex:
        try:
            # Closed again at once, else this process could not open it by other means, with locks.
            with (
                self._open_hdf5() as file,
                progress(None, f"{self.path.name} has no index, looking at") as bar,
            ):
                return walk(file, bar.update)
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise UserError(f"{self.path}: damaged HDF5 file ({first_line(error)}): make it anew") from error

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
        return {"path": self.path.absolute(), "index": self.index, "opened": self._opened}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.path, self.index = state["path"], state["index"]
        self._fd, self._hdf5 = open_descriptor(self.path), None
        self._opened = state["opened"]
        if self.changed():
            raise StoreError(f"{self.path}: the file was replaced or changed while it was in use")

    @property
    def labels(self) -> list[str]:
        """The names of the top-level groups that hold images, sorted as bytes."""
        return self.index.labels

    def close(self) -> None:
        """Close the file; images cannot be read afterwards."""
        self._close_hdf5()
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _close_hdf5(self) -> None:
        if self._hdf5 is not None and self._hdf5[0] == os.getpid():
            self._hdf5[1].close()
        self._hdf5 = None

    def _state(self) -> tuple[int, int, int, int]:
        state = os.fstat(self._fd)
        return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns

    def changed(self) -> bool:
        """Whether the file was written to since it was opened (a file put in its place does not count)."""
        return self._state() != self._opened

    def is_file(self, status: os.stat_result) -> bool:
        """Whether that is the status of the file that is open here."""
        return os.path.samestat(os.fstat(self._fd), status)

    def hdf5(self) -> h5py.File:
        """The file as h5py's; opened when first needed, once in each process, without locks."""
        if self._hdf5 is None or self._hdf5[0] != os.getpid():
            self._hdf5 = (os.getpid(), self._open_hdf5())
            MetadataCache(self._hdf5[1], self.index)
        return self._hdf5[1]

    def _open_hdf5(self) -> h5py.File:
        opened = Path(f"/proc/self/fd/{self._fd}")  # not whatever has its name by now
        return open_hdf5(opened if opened.exists() else self.path, self.path)

    def path_of(self, i: int) -> str:
        """The path of image `i` in the file, 'red/image_0001.jpg'."""
        return f"{self.labels[self.index.label_of(i)]}/{os.fsdecode(self.index.name(i))}"

    def find(self, path: str) -> int:
        """The position of the image with this path. Raises KeyError where there is none."""
        label, _, name = path.strip("/").partition("/")
        position = self.index.find(label, name)
        if position < 0:
            raise KeyError(path)
        return position

    def read(self, i: int) -> bytes:
        """The bytes of image `i`, compared with their checksum where the index vouches for one.

        Raises StoreError where they cannot be read or are not what was stored.
        """
        offset, size = int(self.index.offset[i]), int(self.index.size[i])
        data = os.pread(self._fd, size, offset) if offset >= 0 else self._read_through_hdf5(i)
        if len(data) != size:
            raise StoreError(
                f"{self.path}: cut short: {self.path_of(i)} ends after {len(data)} of {size} bytes"
            )
        if self.index.fresh and self.index.has_crc[i] and crc32(data) != self.index.crc32[i]:
            raise StoreError(
                f"{self.path}: damaged: {self.path_of(i)} does not have the checksum it was stored with"
            )
        return data

    def _read_through_hdf5(self, i: int) -> bytes:
        dataset = self.dataset(i)
        try:
            datasets.check(dataset)
            return h5py.Dataset(dataset)[()].tobytes()
        except (OSError, RuntimeError, ValueError) as error:
            raise StoreError(f"{self.path}: cannot read {self.path_of(i)}: {first_line(error)}") from error

    def dataset(self, i: int) -> h5d.DatasetID:
        """Image `i` as HDF5 sees it, with its attributes. Raises StoreError."""
        try:
            label = self.index.label_bytes[self.index.label_of(i)]
            return h5d.open(self.hdf5().id, label + b"/" + self.index.name(i))
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise StoreError(f"{self.path}: cannot read {self.path_of(i)} ({first_line(error)})") from error

    def palette(self, i: int) -> np.ndarray | None:
        """float32 (k, 7): share, L, a, b, R, G, B of image `i`, largest share first, where kept."""
        return palette_of(self.dataset(i))

    def complete(self) -> np.ndarray:
        """bool (N,): whether an image's dataset says all that one made here would, and nothing else is known.

        Then a copy of the dataset is all it takes to have the image in another store.
        """
        index = self.index
        named = np.diff(index.column("member_end"), prepend=0) > 0
        kept = (index.offset >= 0) & (index.has_crc != 0) & (index.created > 0) & named
        return kept & index.whole

    def copy_to(self, target: int) -> None:
        """Copy the HDF5 data, without the index, to an empty open file. Raises OSError, UserError."""
        files.copy_start(self._fd, target, end_of_file_address(self._fd) or os.fstat(self._fd).st_size)
        if self.changed():
            raise UserError(f"{self.path}: another tool is writing to this file; wait until it has finished")

    def heuristics(self) -> list[dict[str, object]]:
        """The versions and settings of the heuristic that labelled the images, oldest first."""
        kept = self.hdf5().attrs.get("heuristic", "[]")
        with contextlib.suppress(TypeError, ValueError):
            return [record for record in json.loads(kept) if isinstance(record, dict)]
        return []

    def in_file_order(self) -> list[int]:
        """The positions of all images, in the order of their places in the file."""
        return np.argsort(self.index.offset, kind="stable").tolist()


def palette_of(dataset: h5d.DatasetID) -> np.ndarray | None:
    """The palette that is kept with an image, if it can be read; see ImageStore.palette."""
    try:
        if not h5a.exists(dataset, b"palette"):
            return None
        kept = h5a.open(dataset, b"palette")
        shape = kept.shape
        if len(shape) != 2 or shape[1] != 7 or not isinstance(kept.get_type(), h5t.TypeFloatID):
            return None
        table = np.empty(shape, np.float32)
        kept.read(table, mtype=h5t.NATIVE_FLOAT)
        return table
    except (OSError, RuntimeError, KeyError, ValueError):
        return None
