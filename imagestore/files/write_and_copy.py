"""Write bytes to open files, and copy them between open files."""

from __future__ import annotations

import errno
import fcntl
import os

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


def write_all(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at `offset` of an open file: one call may write only a part. Raises OSError."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def copy_start(source: int, target: int, size: int) -> None:
    """Copy the first `size` bytes of an open file to an empty open file. Raises OSError.

    The cheapest way that works is taken: a reflink (XFS, Btrfs) moves no bytes, `copy_file_range` lets the
    server of a network file system copy, and if both fail, the bytes go through memory.
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
