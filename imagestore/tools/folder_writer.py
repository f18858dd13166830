"""Write files, folders and links below one folder, and nowhere else.

This holds for hostile stores too, and while others change the folder:
- Each folder is opened from the open folder above it, and a symbolic link in its place is not followed.
- A file or link is made under a temporary name, then renamed. An existing file or link is replaced, never
  written to.
- No file or folder gets the permissions set-user-ID, set-group-ID or sticky from a store.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from imagestore.console import UserError
from imagestore.files.write_and_copy import write_all
from imagestore.tools.copy_report import CopyReport, NotCopied

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
PERMISSIONS = 0o777
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}  # further files would fail as well


@dataclass(frozen=True)
class Metadata:
    """What a file or folder gets besides its contents; without `permissions`, the umask sets them."""

    mtime_ns: int
    permissions: int | None


@dataclass(frozen=True)
class _UnfinishedFolder:
    """A folder whose mode and time are set at the end, since each file that is written changes its time."""

    path: bytes
    mode: int
    mtime_ns: int


class FolderWriter:
    """The folder that is written to; a context manager. Paths are relative to it."""

    def __init__(self, folder: Path) -> None:
        """Make the folder if it is missing. Raises UserError if it cannot be made or written to."""
        self.folder = folder
        self._is_new = _make_folder_or_check(folder)
        self._top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open_path, self._open_fd = b"", self._top  # of the folder that is open now
        self._unfinished: list[_UnfinishedFolder] = []

    def __enter__(self) -> FolderWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_folder()
        os.close(self._top)

    def make_folder(self, path: bytes, metadata: Metadata) -> None:
        """Make a folder if it is missing; `finish_folders` sets its metadata.

        The top folder keeps its metadata if it existed before. Raises NotCopied, OSError.
        """
        if not path and not self._is_new:
            return
        fd = self._open_folder(path)
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        if mode & stat.S_IRWXU != stat.S_IRWXU:  # an earlier run has set its final permissions
            os.fchmod(fd, mode | stat.S_IRWXU)
        if metadata.permissions is not None:
            mode = metadata.permissions & PERMISSIONS
        self._unfinished.append(_UnfinishedFolder(path, mode, metadata.mtime_ns))

    def finish_folders(self, report: CopyReport) -> None:
        """Set the permissions and times of all folders, from the innermost to the top. Raises OSError."""
        for folder in reversed(self._unfinished):
            try:
                _set_mode_and_time(self._open_folder(folder.path), folder.mode, folder.mtime_ns)
            except NotCopied:
                continue  # reported when the folder was made
            except PermissionError as error:
                report.add_failure(
                    folder.path or b"/", f"its time and permissions cannot be set ({error.strerror})"
                )

    def has_file(self, path: bytes, *, size: int, mtime_ns: int) -> bool:
        """Whether a regular file of this size and time exists. Raises NotCopied, OSError."""
        folder, name = self._folder_and_name(path)
        try:
            state = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return stat.S_ISREG(state.st_mode) and (state.st_size, state.st_mtime_ns) == (size, mtime_ns)

    def write_file(self, path: bytes, pieces: Iterable[bytes], metadata: Metadata) -> None:
        """Write a file. Raises NotCopied, OSError."""
        folder, name = self._folder_and_name(path)
        mode = None if metadata.permissions is None else metadata.permissions & PERMISSIONS
        with _replacing(folder, name) as temporary:
            fd = os.open(temporary, NEW_FILE, 0o666 if mode is None else 0o600, dir_fd=folder)
            with open(fd, "wb", buffering=0):
                offset = 0
                for piece in pieces:
                    write_all(fd, piece, offset)
                    offset += len(piece)
                _set_mode_and_time(fd, mode, metadata.mtime_ns)

    def add_hard_link(self, path: bytes, first_path: bytes) -> bool:
        """Give the file at `first_path` a second path; return whether the file system could do this.

        Raises NotCopied; OSError if it is one of DISK_ERRORS.
        """
        try:
            self._link(path, first_path)
        except OSError as error:
            if error.errno in DISK_ERRORS:
                raise
            return False
        return True

    def _link(self, path: bytes, first_path: bytes) -> None:
        folder, first_name = self._folder_and_name(first_path)
        first_folder = os.dup(folder)
        try:
            folder, name = self._folder_and_name(path)
            with _replacing(folder, name) as temporary:
                os.link(
                    first_name, temporary, src_dir_fd=first_folder, dst_dir_fd=folder, follow_symlinks=False
                )
            _remove(folder, temporary)  # if both names led to one file, the renaming did nothing
        finally:
            os.close(first_folder)

    def add_symlink(self, path: bytes, text: bytes) -> None:
        """Make a symbolic link. Raises NotCopied, OSError."""
        folder, name = self._folder_and_name(path)
        if _link_text(folder, name) != text:
            with _replacing(folder, name) as temporary:
                os.symlink(text, temporary, dir_fd=folder)

    def _folder_and_name(self, path: bytes) -> tuple[int, bytes]:
        folder, _, name = path.rpartition(b"/")
        return self._open_folder(folder), name

    def _open_folder(self, path: bytes) -> int:
        """A descriptor of a folder, valid until the next call; folders that are missing are made."""
        if self._open_path != path:
            self._close_folder()
            fd, fd_path = self._top, b""
            for name in filter(None, path.split(b"/")):
                fd, fd_path = _open_subfolder(fd, name), os.path.join(fd_path, name)
                self._close_folder()
                self._open_path, self._open_fd = fd_path, fd
        return self._open_fd

    def _close_folder(self) -> None:
        if self._open_fd != self._top:
            os.close(self._open_fd)
        self._open_path, self._open_fd = b"", self._top


def _make_folder_or_check(folder: Path) -> bool:
    """Make the folder and return True; return False if it exists and can be written to."""
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise UserError(f"{folder}: is no folder; give the folder to unpack into") from None
    except OSError as error:
        if not folder.parent.exists():
            raise UserError(f"{folder}: there is no folder {folder.parent}; make it first") from None
        raise UserError(f"{folder}: cannot be made ({error.strerror}); unpack elsewhere") from None
    else:
        return True
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{folder}: no permission to write there; unpack elsewhere")
    return False


def _open_subfolder(folder: int, name: bytes) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, dir_fd=folder)
    try:
        return os.open(name, OPEN_FOLDER, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise NotCopied("a file or link is in the place of a folder") from None
        raise


@contextlib.contextmanager
def _replacing(folder: int, name: bytes) -> Iterator[bytes]:
    """Give a temporary name in an open folder; at the end, rename what the block made there to `name`."""
    temporary = b".unpack.%s.tmp" % secrets.token_hex(8).encode()
    try:
        yield temporary
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException as error:
        _remove(folder, temporary)
        if isinstance(error, IsADirectoryError):
            raise NotCopied("a folder is in its place") from None
        raise


def _remove(folder: int, name: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _set_mode_and_time(fd: int, mode: int | None, mtime_ns: int) -> None:
    if mode is not None:
        os.fchmod(fd, mode)
    set_time(fd, mtime_ns)


def set_time(file: int | bytes, mtime_ns: int) -> None:
    """Set the time of an open file or a path, if the file system can hold it. Raises OSError."""
    with contextlib.suppress(OverflowError):
        os.utime(file, ns=(mtime_ns, mtime_ns))


def _link_text(folder: int, name: bytes) -> bytes | None:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return None
