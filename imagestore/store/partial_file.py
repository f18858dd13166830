"""The HDF5 file that a writer adds images to, before anybody else sees it.

HDF5 makes the datasets (contiguous, allocated at once, never filled). The bytes of an image are written
straight to their place in the file. HDF5 makes the datasets of several images in a row: between the copies of
two images' bytes, which push its data out of the processor's caches, each would take half as long again.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
from h5py import h5d, h5g, h5o, h5s, h5t

from imagestore.files.disk_room import NO_ROOM, DiskFull, DiskRoom
from imagestore.files.write_and_copy import write_all
from imagestore.hdf5.datasets import FILE_FORMAT, contiguous_layout, data_offset, places_of_bytes
from imagestore.hdf5.entry import NO_OFFSET
from imagestore.hdf5.superblock import end_of_file_address
from imagestore.store import journal
from imagestore.store.corrections import ATTRIBUTE, Corrections, from_json, to_json
from imagestore.store.hdf5_cache_size import MetadataCache
from imagestore.store.image_attributes import AttributeWriter
from imagestore.store.index_builder import IndexBuilder
from imagestore.store.label_groups import LabelGroups
from imagestore.store.reader import ImageStore
from imagestore.store.record import PALETTE_COLUMNS, ImageRecord
from imagestore.store.trailer import write_trailer

METADATA_BLOCK = 1 << 20  # HDF5 metadata in blocks of this size, not scattered between the images
SMALL_BLOCK = 4 << 10  # for few changes: each run may leave most of a block unused
# Images are written together as soon as there are so many, or they have so many bytes, or so long has passed.
WAITING_IMAGES = 32
WAITING_BYTES = 2 << 20
WAITING_SECONDS = 0.5


@dataclass(frozen=True)
class Place:
    """Where an image of the base is: its position in the index, its path, and the offset of its bytes."""

    position: int
    path: bytes
    offset: int
    lacks_identity: bool  # another tool made it, without the member's name or without a checksum


@dataclass(frozen=True)
class _Waiting:
    """An image that is not in the file yet."""

    image: ImageRecord
    data: bytes
    is_recovered: bool


@dataclass(frozen=True)
class _Made:
    """A dataset whose bytes are not written yet."""

    group: h5g.GroupID
    name: bytes
    offset: int


class PartialFile:
    """A new store file that is not finished, and its journal.

    A StoreWriter makes one for its first image, adds its images to it, and after `finish` renames it to the
    store's name. Added images wait for a moment, until `write_waiting` writes them to the file, then a record
    of each to the journal. If the process is killed, HDF5 cannot read the file any more, but the journal
    tells where in the file each image is: the next StoreWriter reads both and adds these images to a
    PartialFile of its own.
    """

    def __init__(
        self, path: Path, journal_path: Path, base: ImageStore | None, metadata_block: int = METADATA_BLOCK
    ) -> None:
        """Create both files. The new file starts as a copy of the store `base`, or empty.

        HDF5 takes room for metadata in blocks of `metadata_block` bytes. Raises OSError, UserError; DiskFull
        if there is no room for the copy.
        """
        self.path, self.journal_path = path, journal_path
        self._journal = journal_path.open("xb", buffering=0)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._index = IndexBuilder()
        self._room = DiskRoom(self._fd, path, 0 if base is None else len(base))
        if base is not None:
            self._index.extend(base.index)
            self._copy_base(base)
        mode = "w" if base is None else "r+"
        self._file = h5py.File(path, mode, locking=False, meta_block_size=metadata_block)
        self._groups = LabelGroups(self._file, path if base is None else base.path)
        self._metadata_cache = MetadataCache(self._file, None if base is None else base.index)
        self._layout = contiguous_layout()
        self._space = h5s.create_simple((0,))  # of the dataset that is made: a new one takes a tenth of `add`
        self._attributes = AttributeWriter()
        self._waiting: list[_Waiting] = []
        self._waiting_bytes, self._waiting_since = 0, 0.0
        self.dropped: list[ImageRecord] = []  # images that were added, and could not be written
        self._left_out: list[int] = []  # positions in the base of images that were moved or removed
        self._left_folders: set[bytes] = set()  # the groups that they left
        self._moved: list[tuple[ImageRecord, int, bytes]] = []  # moved images, their offsets and new names

    def _copy_base(self, base: ImageStore) -> None:
        try:
            base.copy_to(self._fd)
        except BaseException as error:  # signals too: the part that was copied may be large
            os.close(self._fd)
            self._journal.close()
            self.remove()
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise DiskFull(self.path) from None
            raise

    def __len__(self) -> int:
        return len(self._index) + len(self._waiting)

    def add(
        self,
        image: ImageRecord,
        data: bytes,
        copy_of: h5d.DatasetID | None = None,
        *,
        is_recovered: bool = True,
    ) -> None:
        """Store an image under its label; a name that is taken gets a number. Raises DiskFull, OSError.

        An error may be that of images that waited: `dropped` has those that are not in the file. `copy_of` is
        the dataset of the same image in another store, with all attributes that are written here. HDF5 copies
        it, which takes a third of the time of making a new dataset. `is_recovered`: the next writer takes the
        image over if this process is killed.
        """
        self._room.claim(len(data) + self._waiting_bytes)
        self._groups.check(image.label)
        if copy_of is not None:
            self.write_waiting()
            group, name = self._groups.place_for(image.label, image.name)
            if self._copy_dataset(group, name, copy_of):
                offset = data_offset(h5d.open(group, name))
                self._note(_Waiting(image, data, is_recovered), _Made(group, name, offset))
                self._metadata_cache.add(image.label, name)
                return
        if not self._waiting:
            self._waiting_since = time.monotonic()
        self._waiting.append(_Waiting(image, data, is_recovered))
        self._waiting_bytes += len(data)
        if self._have_waited():
            self.write_waiting()

    def _have_waited(self) -> bool:
        return (
            len(self._waiting) >= WAITING_IMAGES
            or self._waiting_bytes >= WAITING_BYTES
            or time.monotonic() - self._waiting_since > WAITING_SECONDS
        )

    def write_waiting(self) -> None:
        """Write the images that wait. Raises DiskFull, OSError: `dropped` then has those not written."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        made: list[_Made] = []
        written = 0
        try:
            for image in waiting:
                made.append(self._make_dataset(image.image, len(image.data)))
            for image, dataset in zip(waiting, made, strict=True):
                write_all(self._fd, image.data, dataset.offset)
                self._note(image, dataset)
                written += 1
        except BaseException as error:  # signals too: no dataset without its bytes may stay
            self.dropped += [image.image for image in waiting[written:]]
            for dataset in made[written:]:
                dataset.group.unlink(dataset.name)
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise DiskFull(self.path) from None
            raise

    def _note(self, image: _Waiting, dataset: _Made) -> None:
        """Note an image in the journal and in the index, once its bytes are written."""
        if image.is_recovered:
            journal.append(self._journal, image.image, dataset.offset)
        self._index.add(image.image, dataset.offset, dataset.name)

    def _make_dataset(self, image: ImageRecord, size: int) -> _Made:
        """Make a dataset with its attributes."""
        group, name = self._groups.place_for(image.label, image.name)
        self._space.set_extent_simple((size,))
        dataset = h5d.create(group, name, h5t.STD_U8LE, self._space, self._layout)
        self._attributes.write(dataset, image)
        self._metadata_cache.add(image.label, name)
        return _Made(group, name, data_offset(dataset) if size else NO_OFFSET)

    def _copy_dataset(self, group: h5g.GroupID, name: bytes, source: h5d.DatasetID) -> bool:
        """Let HDF5 copy a dataset; return False, without a copy, if attributes of the source are damaged."""
        try:
            h5o.copy(source, b".", group, name)
        except (OSError, RuntimeError) as error:
            if any(f"errno = {number}," in str(error) for number in NO_ROOM):  # only HDF5's message tells
                raise DiskFull(self.path) from None
            if group.links.exists(name):
                group.unlink(name)
            return False
        return True

    def take_back(self, count: int) -> list[ImageRecord]:
        """Remove the last `count` images that were added here; return their records. Raises OSError.

        Their bytes stay in the file, where nothing leads to them.
        """
        self.write_waiting()
        journal.take_back(self.journal_path, self._journal, count)
        images = self._index.take_back(count)
        for image in images:
            self._groups[image.label].unlink(image.name)
        self._groups.remove_unused(self.labels())
        return images

    def labels(self) -> set[bytes]:
        """The labels that have an image. Raises OSError."""
        self.write_waiting()
        return self._index.labels()

    def move(self, place: Place, image: ImageRecord) -> None:
        """Move an image of the base to the label of `image`. Raises OSError, UserError.

        The bytes stay where they are in the file. A name that is taken gets a number.
        """
        self.write_waiting()
        group, name = self._groups.place_for(image.label, image.name)
        self._file.id.links.move(place.path, group, name)
        if place.lacks_identity and isinstance(dataset := h5o.open(group, name), h5d.DatasetID):
            self._attributes.write_identity(dataset, image)
        self._metadata_cache.add(image.label, name)
        self._forget(place)
        self._moved.append((image, place.offset, name))

    def remove_image(self, place: Place) -> None:
        """Remove an image of the base, and write zeros over its bytes. Raises OSError."""
        self.write_waiting()
        dataset = h5o.open(self._file.id, place.path)
        if isinstance(dataset, h5d.DatasetID) and h5o.get_info(dataset).rc == 1:
            for offset, size in places_of_bytes(dataset):
                write_all(self._fd, bytes(size), offset)
        self._file.id.unlink(place.path)
        self._forget(place)

    def _forget(self, place: Place) -> None:
        """Note that an image has left its place."""
        self._left_out.append(place.position)
        self._left_folders.add(place.path.rpartition(b"/")[0])

    def finish_moving(self) -> None:
        """Remove the groups that are empty after images were moved or removed; bring the index up to date."""
        for folder in sorted(self._left_folders, key=len, reverse=True):
            self._groups.remove_if_empty(folder)
        self._index.leave_out(self._left_out)
        for image, offset, name in self._moved:
            self._index.add(image, offset, name)
        self._left_out, self._moved, self._left_folders = [], [], set()

    def sync(self) -> None:
        """Write to the disk what the system still holds in memory, so that `finish` has less to wait for."""
        with contextlib.suppress(OSError):  # the file is closed by now, or the next write gets the same error
            os.fdatasync(self._fd)

    def finish(self, heuristics: Sequence[dict], corrections: Corrections | None = None) -> None:
        """Complete the file: the attributes of the root group, then the index. Raises OSError.

        Without `corrections`, the file keeps those of the base.
        """
        self.write_waiting()
        attributes = {
            "H5VFS": FILE_FORMAT,
            "palette_columns": " ".join(PALETTE_COLUMNS),
            "heuristic": json.dumps(list(heuristics)),
        }
        for key, text in attributes.items():
            self._file.attrs[key] = text
        before = from_json(self._file.attrs.get(ATTRIBUTE))
        if corrections not in (None, before):  # a large text is not written in vain
            self._file.attrs[ATTRIBUTE] = to_json(corrections)
        self._groups.close()
        self._file.close()
        self._journal.close()
        end_of_file = end_of_file_address(self._fd)
        with contextlib.suppress(OSError):  # a store without its index is complete too, only slower to open
            if end_of_file is not None and not self._index.remarks.uses_other_files:
                write_trailer(self._fd, end_of_file, self._index.build())
        os.close(self._fd)

    def close(self) -> None:
        """Close the file unfinished. Its journal tells the next writer which images are in it."""
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            self.write_waiting()
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            self._groups.close()
            self._file.close()
        self._journal.close()
        with contextlib.suppress(OSError):
            os.close(self._fd)

    def remove(self) -> None:
        """Remove the file and its journal from the disk, if they are still there."""
        self.path.unlink(missing_ok=True)
        self.journal_path.unlink(missing_ok=True)
