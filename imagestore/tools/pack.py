"""A folder of files made into one HDF5 file, laid out as the C++ H5VFS's `toHDF5` does.

Folders are groups, files contiguous one-dimensional uint8 datasets, with the attributes `Modified`, `Created`
(seconds) and `Permissions` (st_mode); symbolic links are soft links, hard links hard links. Files get their
CRC-32 as well. Names are kept byte for byte: HDF5 holds every name that a file system can. Used by h5vfs.py;
the other way is unpacking. Files are copied in pieces, and the result is published whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5s, h5t
from isal.isal_zlib import crc32

from imagestore.console import Progress, UserError, progress
from imagestore.files import DiskRoom, whole
from imagestore.hdf5.datasets import contiguous_layout
from imagestore.tools.copy_report import CopyReport, NotCopied
from imagestore.tools.globs import Globs

FORMAT = "imagestore 1"


PIECE = 4 << 20  # bytes copied at once


METADATA_BLOCK = 1 << 16  # bytes; HDF5's own data in blocks of this size, not scattered between the files


Identity = tuple[int, int]


@dataclass(frozen=True)
class Found:
    """Something in the folder: its path from the top, what lstat says, and whether it is wanted."""

    path: bytes
    state: os.stat_result
    included: bool


def pack(folder: Path, output: Path, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> int:
    """Make the HDF5 file `output` of all that `folder` holds; returns the exit status.

    What is no file, folder or link within the folder is passed over and counted; what cannot be read is
    named, and makes the exit status 1. Raises UserError.
    """
    top = _top(folder)
    report = CopyReport()
    with whole(output) as temporary, progress(None, "pack", "files") as bar, Packer(temporary, top) as packer:
        own = {_identity(os.stat(path)) for path in (output, temporary) if path.exists()}
        for found in walk(top, Globs(include, exclude), report):
            if _identity(found.state) not in own:
                packer.pack(found, report, bar)
    return report.close("packed", output)


def _top(folder: Path) -> Found:
    if not folder.exists():
        raise UserError(f"{folder}: no such folder")
    if not folder.is_dir():
        raise UserError(f"{folder}: is no folder; expected the folder to pack, then the file to make")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UserError(f"{folder}: no permission to read it")
    return Found(os.fsencode(folder.resolve()), folder.stat(), True)


def _identity(state: os.stat_result) -> Identity:
    return state.st_dev, state.st_ino


def walk(top: Found, globs: Globs, report: CopyReport) -> Iterator[Found]:
    """All that is wanted in a folder, sorted by name; a folder comes before what it holds."""
    waiting = [Found(b"", top.state, not globs.include)]
    while waiting:
        folder = waiting.pop()
        if folder.path and folder.included:
            yield folder
        below = []
        for found in _inside(top.path, folder, globs, report):
            if stat.S_ISDIR(found.state.st_mode):
                below.append(found)
            elif found.included:
                yield found
        waiting += reversed(below)


def _inside(top: bytes, folder: Found, globs: Globs, report: CopyReport) -> Iterator[Found]:
    try:
        names = sorted(os.listdir(os.path.join(top, folder.path)))
    except OSError as error:
        report.fail(folder.path or top, error.strerror)
        return
    for name in names:
        path = os.path.join(folder.path, name)
        if globs.excludes(path):
            continue
        try:
            state = os.lstat(os.path.join(top, path))
        except OSError as error:
            report.fail(path, error.strerror)
            continue
        yield Found(path, state, folder.included or globs.includes(path))


class Packer:
    """The HDF5 file in the making; a context manager that leaves it complete."""

    def __init__(self, path: Path, top: Found) -> None:
        self.path, self.top = path, top
        self._file = h5py.File(path, "w", libver="earliest", locking=False, meta_block_size=METADATA_BLOCK)
        self._bytes: BinaryIO = path.open("r+b")
        self._room = DiskRoom(self._bytes.fileno(), path.parent)
        self._linked: dict[Identity, bytes] = {}
        self._layout = contiguous_layout()

    def __enter__(self) -> Packer:
        self._file.attrs["H5VFS"] = FORMAT
        describe(self._file.id, self.top.state)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._bytes.close()
        try:
            self._file.close()
        except (OSError, RuntimeError) as error:
            if kind is None:  # else there is a reason already, and the file is not wanted
                code = getattr(error, "errno", None) or errno.EIO
                raise OSError(code, os.strerror(code), str(self.path.parent)) from error

    def pack(self, found: Found, report: CopyReport, bar: Progress) -> None:
        """Store one file, folder or link. Raises OSError where the output cannot be written."""
        kind = stat.S_IFMT(found.state.st_mode)
        try:
            if kind == stat.S_IFDIR:
                self._folder(found.path)
            elif kind == stat.S_IFREG:
                self._file_or_hard_link(found)
                report.done["files"] += 1
                bar.update()
            elif kind == stat.S_IFLNK:
                self._symlink(found.path, report)
            else:
                report.passed_over["special files"] += 1
        except NotCopied as error:
            report.fail(found.path, error)

    def _folder(self, path: bytes) -> h5g.GroupID:
        """The group of a folder; made, with those above it, when first needed."""
        group, above = self._file.id, b""
        for name in filter(None, path.split(b"/")):
            above = os.path.join(above, name)
            if group.links.exists(name):
                group = h5g.open(group, name)
            else:
                group = h5g.create(group, name)
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                    describe(group, os.lstat(os.path.join(self.top.path, above)))
        return group

    def _file_or_hard_link(self, found: Found) -> None:
        identity = _identity(found.state)
        first = self._linked.get(identity)
        folder, _, name = found.path.rpartition(b"/")
        if first is not None:
            group = self._folder(folder)
            group.links.create_hard(name, self._file.id, first)
            return
        with _readable(os.path.join(self.top.path, found.path)) as source:
            self._copy(source, folder, name)
        if found.state.st_nlink > 1:
            self._linked[identity] = found.path

    def _copy(self, source: BinaryIO, folder: bytes, name: bytes) -> None:
        before = os.fstat(source.fileno())
        self._room.claim(before.st_size)
        group = self._folder(folder)
        space = h5s.create_simple((before.st_size,))
        dataset = h5d.create(group, name, h5t.STD_U8LE, space, self._layout)
        try:
            checksum = self._copy_bytes(source, dataset.get_offset() or 0, before.st_size)
            after = os.fstat(source.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise NotCopied("changed while it was read")
        except NotCopied:
            group.unlink(name)
            raise
        describe(dataset, before)
        number(dataset, b"crc32", h5t.STD_U32LE, checksum)

    def _copy_bytes(self, source: BinaryIO, offset: int, size: int) -> int:
        checksum = 0
        self._bytes.seek(offset)
        while size:
            try:
                piece = source.read(min(size, PIECE))
            except OSError as error:
                raise NotCopied(error.strerror) from error
            if not piece:
                raise NotCopied("became shorter while it was read")
            checksum = crc32(piece, checksum)
            self._bytes.write(piece)
            size -= len(piece)
        self._bytes.flush()
        return checksum

    def _symlink(self, path: bytes, report: CopyReport) -> None:
        try:
            text = os.readlink(os.path.join(self.top.path, path))
        except OSError as error:
            raise NotCopied(error.strerror) from error
        target = within(self.top.path, os.path.dirname(path), text)
        if target is None:
            report.passed_over["links out of the folder"] += 1
            return
        folder, _, name = path.rpartition(b"/")
        # From the root: HDF5 knows no '..', and the C++ H5VFS expects it so.
        group = self._folder(folder)
        group.links.create_soft(name, b"/" + target)
        report.done["links"] += 1


@contextlib.contextmanager
def _readable(path: bytes) -> Iterator[BinaryIO]:
    """Open a regular file, whatever its name leads to by now. Raises NotCopied."""
    try:
        # A pipe put in its place would block without O_NONBLOCK.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NotCopied(error.strerror) from error
    with open(fd, "rb", buffering=0) as source:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise NotCopied("is no file any more")
        yield source


def within(top: bytes, folder: bytes, text: bytes) -> bytes | None:
    """Where a link in `folder` leads, as a path from `top`; None where it leaves, or cannot be known."""
    if text.startswith(b"/"):
        return None
    path = [part for part in folder.split(b"/") if part]
    for part in text.split(b"/"):
        if part == b"..":
            if not path or os.path.islink(os.path.join(top, *path)):
                return None
            path.pop()
        elif part not in (b"", b"."):
            path.append(part)
    return b"/".join(path)


def describe(thing: h5g.GroupID | h5d.DatasetID, state: os.stat_result) -> None:
    """Keep a file's times and permissions as attributes."""
    number(thing, b"Created", h5t.STD_I64LE, int(state.st_ctime))
    number(thing, b"Modified", h5t.STD_I64LE, state.st_mtime_ns // 10**9)
    number(thing, b"Permissions", h5t.STD_U32LE, state.st_mode)


def number(thing: h5g.GroupID | h5d.DatasetID, name: bytes, kind: h5t.TypeID, value: int) -> None:
    """Write an integer attribute."""
    h5a.create(thing, name, kind, h5s.create(h5s.SCALAR)).write(np.array(value, kind.dtype))
