"""The HDF5 file that pack writes, laid out as the C++ H5VFS's `toHDF5` lays it out.

Folders are groups. Files are contiguous one-dimensional uint8 datasets. Symbolic links are soft links, hard
links are hard links. Folders and files have the attributes `Modified`, `Created` (seconds since the epoch)
and `Permissions` (st_mode). Files have `crc32` as well. Names stay as they are, byte for byte: HDF5 can hold
each name that a file system can hold.

HDF5 runs in a process of its own (packing_process.py). It makes the objects of one batch while the bytes of
the batch before are written, and the files of the next are read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from isal.isal_zlib import crc32

from imagestore.files.disk_room import DiskRoom
from imagestore.files.early_sync import EarlySync
from imagestore.files.write_and_copy import write_all
from imagestore.tools.copy_report import NotCopied
from imagestore.tools.packed_facts import facts_of
from imagestore.tools.packing_process import Call, PackingProcess

PIECE = 4 << 20  # bytes copied at once; a larger file is no part of a batch
BATCH_CALLS = 64
BATCH_BYTES = 4 << 20


class PackedFile:
    """A new HDF5 file; a context manager that completes it.

    Paths are relative to the packed folder. The groups above an entry are made when they are needed.
    """

    def __init__(self, path: Path, top: bytes, top_state: os.stat_result) -> None:
        """Create the file at `path` for the contents of the folder `top`. Raises OSError."""
        self._bytes = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._process = PackingProcess(path, top, facts_of(top_state))
        self._room = DiskRoom(self._bytes, path.parent, trusted_room=0)
        self._writer = EarlySync(self._bytes)
        self._next, self._next_bytes = _Batch(), 0
        self._sent: _Batch | None = None  # whose results are still to come
        self._unwritten = 0  # bytes of both batches

    def __enter__(self) -> PackedFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._ask("close")
        finally:
            self._process.end()
            self._writer.close()
            os.close(self._bytes)

    def add_folder(self, path: bytes) -> None:
        """Make the group of a folder if it is missing, with the groups above it. Raises OSError."""
        self._add("add_folder", path)

    def add_file(self, path: bytes, source: int) -> None:
        """Copy an open file. Raises NotCopied if `source` fails, OSError if the output cannot be written."""
        state = os.fstat(source)
        self._room.claim(state.st_size + self._unwritten)
        if state.st_size > PIECE:
            self._copy_large(path, source, state)
            return
        data = _read(source, state.st_size)
        _check_unchanged(state, os.fstat(source))
        self._add("add_file", path, len(data), facts_of(state), crc32(data), data=data)

    def add_hard_link(self, path: bytes, first_path: bytes) -> None:
        """Give the file at `first_path` a second path. Raises OSError."""
        self._add("add_hard_link", path, first_path)

    def add_symlink(self, path: bytes, target: bytes) -> None:
        """Add a soft link to `target`, a path from the packed folder. Raises OSError."""
        self._add("add_symlink", path, target)

    def _add(self, *call: object, data: bytes = b"") -> None:
        """Ask for a call, together with the next ones; `data` belong to where its result says."""
        self._next.calls.append(call)
        self._next.data.append(data)
        self._unwritten += len(data)
        self._next_bytes += len(data)
        if len(self._next.calls) == BATCH_CALLS or self._next_bytes >= BATCH_BYTES:
            self._send()

    def _send(self) -> None:
        """Send the next batch, and write the bytes of the one before."""
        before = self._sent
        offsets = self._process.receive() if before else []
        self._process.send(self._next.calls)
        self._sent, self._next, self._next_bytes = self._next, _Batch(), 0
        if before:
            self._write(before, offsets)

    def _write(self, batch: _Batch, offsets: list[int]) -> None:
        for data, offset in zip(batch.data, offsets, strict=True):
            write_all(self._bytes, data, offset)
            self._writer.count(len(data))
            self._unwritten -= len(data)

    def _ask(self, *call: object) -> Any:  # noqa: ANN401
        """The result of a call, after all that were asked for before."""
        if self._next.calls:
            self._send()
        if self._sent:
            batch, self._sent = self._sent, None
            self._write(batch, self._process.receive())
        self._process.send([call])
        return self._process.receive()[0]

    def _copy_large(self, path: bytes, source: int, state: os.stat_result) -> None:
        offset, checksum, end = self._ask("begin_file", path, state.st_size), 0, 0
        try:
            while end < state.st_size:
                piece = _read(source, min(state.st_size - end, PIECE))
                checksum = crc32(piece, checksum)
                write_all(self._bytes, piece, offset + end)
                self._writer.count(len(piece))
                end += len(piece)
            _check_unchanged(state, os.fstat(source))
        except NotCopied:
            self._ask("drop_file", path)
            raise
        self._ask("finish_file", facts_of(state), checksum)


class _Batch:
    """Calls that are sent together, and the bytes that belong to each of them."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.data: list[bytes] = []


def _read(source: int, size: int) -> bytes:
    """The next `size` bytes of an open file. Raises NotCopied if they cannot be read."""
    try:
        data = os.read(source, size)
        while len(data) < size and (more := os.read(source, size - len(data))):
            data += more
    except OSError as error:
        raise NotCopied(error.strerror) from error
    if len(data) < size:
        raise NotCopied("became shorter while it was read")
    return data


def _check_unchanged(before: os.stat_result, after: os.stat_result) -> None:
    """Raise NotCopied if a file was written to in the meantime."""
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise NotCopied("changed while it was read")
