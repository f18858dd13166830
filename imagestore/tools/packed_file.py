"""The HDF5 file that pack writes, laid out as the C++ H5VFS's `toHDF5` lays it out.

Folders are groups. Files are contiguous one-dimensional uint8 datasets. Symbolic links are soft links, hard
links are hard links. Folders and files have the attributes `Modified`, `Created` (seconds since the epoch)
and `Permissions` (st_mode). Files have `crc32` as well. Names stay as they are, byte for byte: HDF5 can hold
each name that a file system can hold.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import BinaryIO

import h5py
from h5py import h5d, h5g, h5s, h5t
from isal.isal_zlib import crc32

from imagestore.files.disk_room import DiskRoom
from imagestore.files.early_sync import EarlySync
from imagestore.files.write_and_copy import write_all
from imagestore.hdf5.datasets import FILE_FORMAT, contiguous_layout, write_integer_attribute
from imagestore.tools.copy_report import NotCopied

PIECE = 4 << 20  # bytes copied at once
METADATA_BLOCK = 1 << 16  # bytes; HDF5 keeps its metadata in blocks of this size, not scattered between files


class PackedFile:
    """A new HDF5 file; a context manager that completes it.

    Paths are relative to the packed folder. The groups above an entry are made when they are needed.
    """

    def __init__(self, path: Path, top: bytes, top_state: os.stat_result) -> None:
        """Create the file at `path` for the contents of the folder `top`. Raises OSError."""
        self._path, self._top, self._top_state = path, top, top_state
        self._file = h5py.File(path, "w", libver="earliest", locking=False, meta_block_size=METADATA_BLOCK)
        self._bytes = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._room = DiskRoom(self._bytes, path.parent, trusted_room=0)
        self._layout, self._scalar = contiguous_layout(), h5s.create(h5s.SCALAR)
        self._space = h5s.create_simple((0,))  # of the dataset that is made
        self._group, self._group_path = self._file.id, b""  # of the last file
        self._writer = EarlySync(self._bytes)

    def __enter__(self) -> PackedFile:
        self._file.attrs["H5VFS"] = FILE_FORMAT
        self._write_attributes(self._file.id, self._top_state)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.close()
        os.close(self._bytes)
        try:
            self._file.close()
        except (OSError, RuntimeError) as error:
            if kind is None:  # an earlier error says more, and the file is thrown away
                code = getattr(error, "errno", None) or errno.EIO
                raise OSError(code, os.strerror(code), str(self._path.parent)) from error

    def add_folder(self, path: bytes) -> h5g.GroupID:
        """The group of a folder; made if it is missing, with the groups above it."""
        group, group_path = self._file.id, b""
        for name in filter(None, path.split(b"/")):
            group_path = os.path.join(group_path, name)
            if group.links.exists(name):
                group = h5g.open(group, name)
            else:
                group = h5g.create(group, name)
                with contextlib.suppress(FileNotFoundError):  # the folder was removed in the meantime
                    self._write_attributes(group, os.stat(os.path.join(self._top, group_path)))
        return group

    def add_file(self, path: bytes, source: BinaryIO) -> None:
        """Copy an open file. Raises NotCopied if `source` fails, OSError if the output cannot be written."""
        state = os.fstat(source.fileno())
        self._room.claim(state.st_size)
        group, name = self._group_and_name(path)
        self._space.set_extent_simple((state.st_size,))
        dataset = h5d.create(group, name, h5t.STD_U8LE, self._space, self._layout)
        try:
            checksum = self._copy_bytes(source, dataset.get_offset() or 0, state.st_size)
            _check_unchanged(state, os.fstat(source.fileno()))
        except NotCopied:
            group.unlink(name)
            raise
        self._write_attributes(dataset, state)
        write_integer_attribute(dataset, b"crc32", checksum, "<u4", self._scalar)

    def add_hard_link(self, path: bytes, first_path: bytes) -> None:
        """Give the file at `first_path` a second path."""
        group, name = self._group_and_name(path)
        group.links.create_hard(name, self._file.id, first_path)

    def add_symlink(self, path: bytes, target: bytes) -> None:
        """Add a soft link to `target`, a path from the packed folder."""
        group, name = self._group_and_name(path)
        # Absolute, since HDF5 does not understand '..', and the C++ H5VFS expects absolute targets.
        group.links.create_soft(name, b"/" + target)

    def _group_and_name(self, path: bytes) -> tuple[h5g.GroupID, bytes]:
        folder, _, name = path.rpartition(b"/")
        if folder != self._group_path:
            self._group, self._group_path = self.add_folder(folder), folder
        return self._group, name

    def _copy_bytes(self, source: BinaryIO, offset: int, size: int) -> int:
        """Copy `size` bytes to `offset` of the HDF5 file; return their CRC-32."""
        checksum, end = 0, offset + size
        while offset < end:
            try:
                piece = os.read(source.fileno(), min(end - offset, PIECE))
            except OSError as error:
                raise NotCopied(error.strerror) from error
            if not piece:
                raise NotCopied("became shorter while it was read")
            checksum = crc32(piece, checksum)
            write_all(self._bytes, piece, offset)
            offset += len(piece)
        self._writer.count(size)
        return checksum

    def _write_attributes(self, owner: h5g.GroupID | h5d.DatasetID, state: os.stat_result) -> None:
        write_integer_attribute(owner, b"Created", int(state.st_ctime), "<i8", self._scalar)
        write_integer_attribute(owner, b"Modified", state.st_mtime_ns // 10**9, "<i8", self._scalar)
        write_integer_attribute(owner, b"Permissions", state.st_mode, "<u4", self._scalar)


def _check_unchanged(before: os.stat_result, after: os.stat_result) -> None:
    """Raise NotCopied if a file was written to in the meantime."""
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise NotCopied("changed while it was read")
