"""Files that are there whole or not at all: written beside their final name, synced, renamed.

Used wherever a result is written: stores, packed folders, weights, labels, pictures, indexes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from imagestore.console import UserError

FICLONE = 0x40049409  # ioctl_ficlone(2)


COPY_PIECE = 1 << 27  # bytes
RESERVE = 4 << 20  # bytes of the disk that stay free, so that a file can be finished; and for each object:
RESERVE_FOR_EACH = 1 << 10
TRUSTED_ROOM = 64 << 20  # bytes
NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


CANNOT_CLONE = {
    errno.EXDEV,
    errno.EOPNOTSUPP,
    errno.EINVAL,
    errno.ENOTTY,
    errno.ENOSYS,
    errno.EPERM,
    errno.EBADF,
}


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, and put what was written there in its place at the end.

    Where the block raises, the temporary file is removed and what was at `path` stays. Raises UserError
    where the folder cannot be written to.
    """
    path = Path(path)
    check_writable(path)
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raise UserError where no file can be put at `path`: a folder is there, or it cannot be written to."""
    folder = path.parent
    check_replaceable(path)
    if not folder.is_dir():
        raise UserError(f"{path}: there is no folder {folder}; make it first")
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise UserError(f"{path}: {folder} is on a read-only file system; write elsewhere")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{path}: no permission to write in {folder}; write elsewhere")


def check_replaceable(path: Path) -> None:
    """Raise UserError where something is at `path` that no file may take the place of."""
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give the name of a file to write")
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: is a device or a pipe; give the name of a file to write")


def replace(temporary: Path, path: Path) -> None:
    """Put a finished file in its place, so that it is there after a power failure too. Raises OSError."""
    if path.exists():
        temporary.chmod(path.stat().st_mode & 0o7777)
    _sync(temporary, os.O_RDONLY)
    temporary.replace(path)
    with contextlib.suppress(OSError):  # some network file systems cannot sync a folder
        _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    fd = os.open(path, flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at `offset` of an open file: one call may take only a part. Raises OSError."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


class DiskFull(OSError):
    """There is no room on the disk for more."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


class DiskRoom:
    """How much may still be written to an open file so that there is room to finish it.

    HDF5 cannot finish a file on a full disk, so some room is kept free: RESERVE, and RESERVE_FOR_EACH for
    each object in the file. The file system is asked again after TRUSTED_ROOM bytes.
    """

    def __init__(self, descriptor: int, path: Path, objects: int = 0) -> None:
        """`path` is named in errors; `objects` says how many the file holds already."""
        self._descriptor, self._path, self._objects = descriptor, path, objects
        self._room = 0  # bytes

    def claim(self, size: int) -> None:
        """Count one more object of `size` bytes. Raises DiskFull."""
        self._objects += 1
        self._room -= size + RESERVE_FOR_EACH
        if self._room < 0:
            self._room = min(self._ask(size), TRUSTED_ROOM)

    def _ask(self, size: int) -> int:
        state = os.fstatvfs(self._descriptor)
        reserve = RESERVE + RESERVE_FOR_EACH * self._objects
        room = state.f_bavail * state.f_frsize - reserve - size
        if room < 0:
            raise DiskFull(self._path)
        return room


def copy_start(source: int, target: int, size: int) -> None:
    """Copy the first `size` bytes between open files, as cheaply as the file system can. Raises OSError.

    A reflink where there are any (XFS, Btrfs): no bytes move. Else `copy_file_range`, which network file
    systems run on the server; else through memory.
    """
    try:
        fcntl.ioctl(target, FICLONE, source)
        os.ftruncate(target, size)
    except OSError as error:
        if error.errno not in CANNOT_CLONE:
            raise
        _copy_range(source, target, size)


def _copy_range(source: int, target: int, size: int) -> None:
    done = 0
    while done < size:
        try:
            copied = os.copy_file_range(source, target, min(COPY_PIECE, size - done), done, done)
        except OSError as error:
            if error.errno not in CANNOT_CLONE:
                raise
            copied = os.pwrite(target, os.pread(source, min(COPY_PIECE >> 5, size - done), done), done)
        if not copied:
            raise OSError(errno.EIO, f"ends after {done} of {size} bytes")
        done += copied
