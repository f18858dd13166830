"""Write files so that nobody ever sees half of one: beside the final name, synced, then renamed.

`write_whole` is for results that one `with` block can write. The other functions are for larger files:
stores, packed folders and unpacked files.
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

LONGEST_STEM = 200  # bytes of a file's name in the name of its temporary file
RESERVE = 4 << 20  # bytes of the disk that stay free, so that HDF5 can finish a file
RESERVE_PER_OBJECT = 1 << 10  # and these bytes for each object in the file
TRUSTED_ROOM = 64 << 20  # bytes that are written before the file system is asked again
NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
FICLONE = 0x40049409  # ioctl_ficlone(2)
COPY_PIECE = 1 << 27  # bytes that the kernel copies in one call
MEMORY_PIECE = 1 << 22  # bytes that are copied through memory at once
CANNOT_CLONE = {  # errors that mean: these two files have to be copied in another way
    errno.EXDEV,
    errno.EOPNOTSUPP,
    errno.EINVAL,
    errno.ENOTTY,
    errno.ENOSYS,
    errno.EPERM,
    errno.EBADF,
}


@contextlib.contextmanager
def write_whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; at the end of the block, put the file written there at `path`.

    If the block raises, the temporary file is removed and `path` stays as it was. Raises UserError if no file
    can be put at `path`, and OSError.
    """
    path = Path(path)
    check_writable(path)
    stem = os.fsdecode(os.fsencode(path.name)[:LONGEST_STEM])
    temporary = path.with_name(f".{stem}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raise UserError if no file can be put at `path`: a folder is there, or nobody may write beside it."""
    folder = path.parent
    check_replaceable(path)
    if not folder.is_dir():
        raise UserError(f"{path}: there is no folder {folder}; make it first")
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise UserError(f"{path}: {folder} is on a read-only file system; write elsewhere")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{path}: no permission to write in {folder}; write elsewhere")


def check_replaceable(path: Path) -> None:
    """Raise UserError if `path` is a folder, a device or a pipe: no file may take its place."""
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give the name of a file to write")
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: is a device or a pipe; give the name of a file to write")


def replace(temporary: Path, path: Path) -> None:
    """Put a finished file at `path`, with the mode of the file that was there. Raises OSError.

    The file is there after a power failure too.
    """
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
    """Write all of `data` at `offset` of an open file: one call may write only a part. Raises OSError."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


class DiskFull(OSError):
    """The disk has no room for more."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


class DiskRoom:
    """Guards the room on the disk that HDF5 needs to finish an open file: it cannot on a full disk.

    RESERVE bytes stay free, and RESERVE_PER_OBJECT for each object in the file.
    """

    def __init__(self, descriptor: int, path: Path, objects: int = 0) -> None:
        """`path` is named in errors; `objects` is the number of objects that the file holds already."""
        self._descriptor, self._path, self._objects = descriptor, path, objects
        self._room = 0  # bytes that may be written before the file system is asked again

    def claim(self, size: int) -> None:
        """Count one more object of `size` bytes, before it is written. Raises DiskFull."""
        self._objects += 1
        self._room -= size + RESERVE_PER_OBJECT
        if self._room < 0:
            self._room = min(self._room_after(size), TRUSTED_ROOM)

    def _room_after(self, size: int) -> int:
        state = os.fstatvfs(self._descriptor)
        reserve = RESERVE + RESERVE_PER_OBJECT * self._objects
        room = state.f_bavail * state.f_frsize - reserve - size
        if room < 0:
            raise DiskFull(self._path)
        return room


def copy_start(source: int, target: int, size: int) -> None:
    """Copy the first `size` bytes of an open file to an empty open file. Raises OSError.

    The cheapest way that works is taken: a reflink (XFS, Btrfs) moves no bytes, `copy_file_range` lets the
    server of a network file system copy, and at last the bytes go through memory.
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
            copied = os.pwrite(target, os.pread(source, min(MEMORY_PIECE, size - done), done), done)
        if not copied:
            raise OSError(errno.EIO, f"ends after {done} of {size} bytes")
        done += copied
