"""The HDF5 file in the making: images are added to it, then it is finished; nobody else sees it yet.

The datasets are made by HDF5 (contiguous, allocated at once, never filled), the bytes written straight to
their place. Used by writer, which decides what is added and when the file takes the store's place.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5o, h5s, h5t

from imagestore.console import UserError
from imagestore.files import NO_ROOM, DiskFull, DiskRoom, write_all
from imagestore.hdf5.datasets import contiguous_layout
from imagestore.hdf5.superblock import end_of_file_address
from imagestore.store import journal
from imagestore.store.image_names import numbered, safe_name
from imagestore.store.index import READ_ONLY_THROUGH_HDF5, IndexBuilder
from imagestore.store.metadata_cache import MetadataCache
from imagestore.store.reader import ImageStore
from imagestore.store.record import PALETTE_COLUMNS, ImageRecord
from imagestore.store.trailer import write_trailer

METADATA_BLOCK = 1 << 20  # HDF5 metadata in blocks of this size, not scattered between the images


FORMAT = "imagestore 1"


class PartialFile:
    """A new file at `path` with its journal: empty, or beginning as a copy of the store `base`."""

    def __init__(self, path: Path, journal_path: Path, base: ImageStore | None) -> None:
        self.path, self.journal_path = path, journal_path
        self._journal = journal_path.open("xb", buffering=0)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._index = IndexBuilder()
        self._shown = path if base is None else base.path
        self._room = DiskRoom(self._fd, path, 0 if base is None else len(base))
        if base is not None:
            self._index.extend(base.index)
            self._begin_as(base)
        self._file = h5py.File(
            path, "w" if base is None else "r+", locking=False, meta_block_size=METADATA_BLOCK
        )
        self._groups: dict[bytes, h5g.GroupID] = {}
        self._names = MetadataCache(self._file, None if base is None else base.index)
        self._next_number: dict[tuple[bytes, bytes], int] = {}
        self._types = _Types()

    def _begin_as(self, base: ImageStore) -> None:
        try:
            base.copy_to(self._fd)
        except BaseException as error:  # a signal's too: what is there of the copy may be large
            os.close(self._fd)
            self._journal.close()
            self.remove()
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise DiskFull(self.path) from None
            raise

    def add(self, image: ImageRecord, data: bytes, copy_of: h5d.DatasetID | None = None) -> None:
        """Store an image under its label; a name that is taken gets a number. Raises DiskFull, OSError.

        `copy_of` is the same image in another store, all that is known of it included: it is copied as it is,
        which takes a third of the time of making it.
        """
        self._room.claim(len(data))
        group = self._group(image.label)
        name = self._free_name(group, image.label, safe_name(image.name))
        if copy_of is not None and self._copy(group, name, copy_of):
            offset = h5d.open(group, name).get_offset()
        else:
            offset = self._make(group, name, image, data)
        at = READ_ONLY_THROUGH_HDF5 if offset is None else offset
        journal.append(self._journal, image, at)
        self._index.add(replace(image, name=name), at)
        self._names.add(image.label, name)

    def _make(self, group: h5g.GroupID, name: bytes, image: ImageRecord, data: bytes) -> int | None:
        dataset = h5d.create(group, name, h5t.STD_U8LE, h5s.create_simple((len(data),)), self._types.layout)
        offset = dataset.get_offset() if data else None
        try:
            if offset is not None:
                write_all(self._fd, data, offset)
        except OSError as error:
            group.unlink(name)
            raise DiskFull(self.path) if error.errno in NO_ROOM else error from None
        self._types.describe(dataset, image)
        return offset

    def _copy(self, group: h5g.GroupID, name: bytes, copy_of: h5d.DatasetID) -> bool:
        """Whether HDF5 could copy a dataset; else, where its attributes are damaged, nothing is there."""
        try:
            h5o.copy(copy_of, b".", group, name)
        except (OSError, RuntimeError) as error:
            if any(f"errno = {number}," in str(error) for number in NO_ROOM):  # only HDF5's message says so
                raise DiskFull(self.path) from None
            if group.links.exists(name):
                group.unlink(name)
            return False
        return True

    def __len__(self) -> int:
        return len(self._index)

    def _group(self, label: bytes) -> h5g.GroupID:
        if label not in self._groups:
            self._groups[label] = self._own_group(label) or h5g.create(self._file.id, label)
        return self._groups[label]

    def _own_group(self, label: bytes) -> h5g.GroupID | None:
        root = self._file.id
        if not root.links.exists(label):
            return None
        # Through an external link, the image would be made in another file, its bytes written over this one.
        group = h5o.open(root, label) if root.links.get_info(label).type == h5l.TYPE_HARD else None
        if not isinstance(group, h5g.GroupID):
            raise UserError(
                f"{self._shown}: {os.fsdecode(label)!r} is a link or a dataset there, no group: "
                "no image can go under this label; write to another store"
            )
        return group

    def _free_name(self, group: h5g.GroupID, label: bytes, name: bytes) -> bytes:
        candidate, key = name, (label, name)
        while group.links.exists(candidate):
            number = self._next_number[key] = self._next_number.get(key, 1) + 1
            candidate = numbered(name, number)
        return candidate

    def sync(self) -> None:
        """Have the disk take what was written so far, so that little is left to wait for at the end."""
        with contextlib.suppress(OSError):  # closed meanwhile, or an error that the next write meets too
            os.fdatasync(self._fd)

    def finish(self, heuristics: Sequence[dict]) -> None:
        """Complete the file: what it says of itself, then the index. Raises OSError."""
        about = {
            "H5VFS": FORMAT,
            "palette_columns": " ".join(PALETTE_COLUMNS),
            "heuristic": json.dumps(list(heuristics)),
        }
        for key, text in about.items():
            self._file.attrs[key] = text
        self._groups.clear()
        self._file.close()
        self._journal.close()
        end_of_file = end_of_file_address(self._fd)
        with contextlib.suppress(OSError):  # without its index the file is whole too, only slower to open
            if end_of_file is not None:
                write_trailer(self._fd, end_of_file, self._index.build())
        os.close(self._fd)

    def close(self) -> None:
        """Let go of the file as it is; its journal says what can be taken from it."""
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            self._groups.clear()
            self._file.close()
        self._journal.close()
        with contextlib.suppress(OSError):
            os.close(self._fd)

    def remove(self) -> None:
        """Remove what is left of it on disk."""
        self.path.unlink(missing_ok=True)
        self.journal_path.unlink(missing_ok=True)


class _Types:
    """The HDF5 types and spaces that every dataset shares: making them anew would be a sixth of `add`."""

    def __init__(self) -> None:
        self.layout = contiguous_layout()
        self.scalar = h5s.create(h5s.SCALAR)
        self.text: dict[int, h5t.TypeStringID] = {}
        self.tables: dict[tuple[int, ...], h5s.SpaceID] = {}

    def describe(self, dataset: h5d.DatasetID, image: ImageRecord) -> None:
        """Write what is known of an image as attributes of its dataset."""
        if image.palette is not None:
            table = np.ascontiguousarray(image.palette, "<f4")
            space = self.tables.get(table.shape) or self.tables.setdefault(
                table.shape, h5s.create_simple(table.shape)
            )
            h5a.create(dataset, b"palette", h5t.IEEE_F32LE, space).write(table, mtype=h5t.IEEE_F32LE)
        self._number(dataset, b"crc32", h5t.STD_U32LE, np.array(image.crc32, "<u4"))
        self._number(dataset, b"Modified", h5t.STD_I64LE, np.array(image.mtime, "<i8"))
        self._number(dataset, b"Created", h5t.STD_I64LE, np.array(image.created, "<i8"))
        if image.member:
            self._member(dataset, image.member)

    def _number(self, dataset: h5d.DatasetID, name: bytes, kind: h5t.TypeID, value: np.ndarray) -> None:
        h5a.create(dataset, name, kind, self.scalar).write(value, mtype=kind)

    def _member(self, dataset: h5d.DatasetID, member: bytes) -> None:
        kind = self.text.get(len(member)) or self.text.setdefault(len(member), _text_type(len(member)))
        h5a.create(dataset, b"member", kind, self.scalar).write(np.array(member), mtype=kind)


def _text_type(length: int) -> h5t.TypeStringID:
    kind = h5t.C_S1.copy()
    kind.set_size(length)
    kind.set_strpad(h5t.STR_NULLPAD)
    kind.set_cset(h5t.CSET_UTF8)
    return kind
