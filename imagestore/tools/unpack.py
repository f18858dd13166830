"""Stores copied to plain files: what a mount shows, with all the permissions and names that were packed.

Used by h5vfs.py; the other way is packing. Nothing is ever written outside the folder, and no symbolic link
is followed on the way to a file: every folder is opened from the one above it. A file that is there already,
of the right size and time, is left alone, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from imagestore.console import UserError, progress
from imagestore.files import write_all
from imagestore.tools.copy_report import CopyReport, NotCopied
from imagestore.tools.globs import Globs
from imagestore.vfs import names
from imagestore.vfs.node import Node
from imagestore.vfs.open import open_tree
from imagestore.vfs.tree import Tree

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


PERMISSIONS = 0o777  # never set-user-ID and the like, whatever a store says


STOPS_ALL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


class Found(NamedTuple):
    """Something in a tree: the path it is unpacked to, what it is, whether it is wanted, its path there."""

    path: bytes
    node: Node
    included: bool
    shown: bytes


def unpack(
    paths: Sequence[str | Path], folder: Path, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> int:
    """Copy what stores hold into `folder`, which is made where it is missing; returns the exit status.

    Damaged files are named, the others unpacked, and the exit status is 1. Raises UserError; OSError where
    the folder cannot be written to any more.
    """
    report = CopyReport()
    with open_tree(paths) as tree, Unpacker(tree, folder) as unpacker:
        with progress(tree.usage().images or None, "unpack", "files") as bar:
            for found in walk(tree, Globs(include, exclude), report):
                unpacker.unpack(found, report)
                bar.update(found.node.is_file)
        unpacker.finish_folders(report)
    return report.close("unpacked", folder)


def walk(tree: Tree, globs: Globs, report: CopyReport) -> Iterator[Found]:
    """All that is wanted of a tree; a folder comes before what it holds."""
    waiting = [Found(b"", tree.root, not globs.include, b"/")]
    while waiting:
        folder = waiting.pop()
        if folder.included:
            yield folder
        below = []
        for found in _inside(tree, folder, globs, report):
            if found.node.is_folder:
                below.append(found)
            elif found.included:
                yield found
        waiting += reversed(below)


def _inside(tree: Tree, folder: Found, globs: Globs, report: CopyReport) -> Iterator[Found]:
    try:
        children = tree.children(folder.node)
    except OSError as error:
        report.fail(folder.path or b"/", error.strerror)
        return
    for shown, node in children:
        path = os.path.join(folder.path, file_name(tree, folder.node, shown))
        if not globs.excludes(path):
            wanted = folder.included or globs.includes(path)
            yield Found(path, node, wanted, os.path.join(folder.shown, shown))


def file_name(tree: Tree, folder: Node, shown: bytes) -> bytes:
    """The name of a file for what is shown as `shown`; no two in a folder are the same."""
    name, number = plain(shown), 2
    if name != shown or names.escape(name) == shown:
        return name  # the link's own name: no other link has it
    while _is_in(tree, folder, names.escape(name)) or (name != shown and _is_in(tree, folder, name)):
        name, number = names.numbered(shown, number), number + 1
    return name


def _is_in(tree: Tree, folder: Node, shown: bytes) -> bool:
    try:
        tree.child(folder, shown)
    except KeyError:
        return False
    except OSError:
        return True
    return True


def plain(shown: bytes) -> bytes:
    """The link's own name where a file may have it; else what is shown in its place."""
    name = names.unescape(shown)
    possible = name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name
    return name if possible and len(name) <= names.LONGEST and names.escape(name) == shown else shown


class Unpacker:
    """The folder that is written to; a context manager."""

    def __init__(self, tree: Tree, folder: Path) -> None:
        """Raises UserError where the folder cannot be made or written to."""
        self.tree, self.folder = tree, folder
        self.made_top = _make_top(folder)
        self._top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open: tuple[bytes, int] = (b"", self._top)
        self._folders: list[tuple[bytes, Node, int]] = []
        self._linked: dict[int, bytes] = {}

    def __enter__(self) -> Unpacker:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()
        os.close(self._top)

    def unpack(self, found: Found, report: CopyReport) -> None:
        """Write one folder, file or link. Raises OSError where nothing more can be written."""
        node = found.node
        try:
            if node.is_folder:
                self._make_folder(found)
            elif node.is_symlink:
                self._symlink(found, report)
            else:
                self._file(found, report)
        except NotCopied as error:
            report.fail(found.path, error)
        except OSError as error:
            if error.errno in STOPS_ALL:
                raise OSError(error.errno, error.strerror, str(self.folder)) from error
            report.fail(found.path, error.strerror)

    def _make_folder(self, found: Found) -> None:
        if not found.path:
            if self.made_top:
                self._folders.append((b"", found.node, stat.S_IMODE(os.fstat(self._top).st_mode)))
            return
        fd = self._enter(found.path)
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        if mode & stat.S_IRWXU != stat.S_IRWXU:  # an earlier run has finished it
            os.fchmod(fd, mode | stat.S_IRWXU)
        self._folders.append((found.path, found.node, mode))

    def _enter(self, path: bytes) -> int:
        """The descriptor of a folder, made where it is missing; open until another is entered."""
        if self._open[0] != path:
            fd, at = self._top, b""
            self._leave()
            for name in filter(None, path.split(b"/")):
                at = os.path.join(at, name)
                fd = _folder_in(fd, name)
                self._leave()
                self._open = (at, fd)
        return self._open[1]

    def _leave(self) -> None:
        if self._open[1] != self._top:
            os.close(self._open[1])
        self._open = (b"", self._top)

    def finish_folders(self, report: CopyReport) -> None:
        """Set the folders' times and permissions, now that nothing more is put into them."""
        for path, node, mode in reversed(self._folders):
            try:
                self._set(self._enter(path), node, mode)
            except NotCopied:
                continue  # said before
            except PermissionError as error:
                report.fail(path, f"its time and permissions cannot be set ({error.strerror})")

    def _set(self, fd: int, node: Node, mode: int | None = None) -> None:
        kept = self.tree.permissions(node)
        if kept is not None:
            mode = kept & PERMISSIONS
        if mode is not None:
            os.fchmod(fd, mode)
        with contextlib.suppress(OverflowError):  # a time that no file can have
            os.utime(fd, ns=(node.mtime_ns, node.mtime_ns))

    def _file(self, found: Found, report: CopyReport) -> None:
        folder, name = self._place(found.path)
        node, first = found.node, self._linked.get(found.node.ino)
        if _is_there(folder, name, node):
            report.done["files that were there"] += 1
        elif first is None or not self._hard_link(first, found.path):
            self._write(folder, name, node)
            report.done["files"] += 1
        else:
            report.done["hard links"] += 1
        if node.nlink > 1:
            self._linked.setdefault(node.ino, found.path)

    def _place(self, path: bytes) -> tuple[int, bytes]:
        folder, _, name = path.rpartition(b"/")
        return self._enter(folder), name

    def _write(self, folder: int, name: bytes, node: Node) -> None:
        with _in_place_of(folder, name) as temporary:
            private = 0o600 if self.tree.permissions(node) is not None else 0o666
            fd = os.open(temporary, NEW_FILE, private, dir_fd=folder)
            with open(fd, "wb", buffering=0):
                at = 0
                for piece in self._pieces(node):
                    write_all(fd, piece, at)
                    at += len(piece)
                self._set(fd, node)

    def _pieces(self, node: Node) -> Iterator[bytes]:
        pieces = self.tree.pieces(node)
        while True:
            try:
                piece = next(pieces, None)
            except OSError as error:
                raise NotCopied(f"damaged in the store ({error.strerror})") from error
            if piece is None:
                return
            yield piece

    def _hard_link(self, first: bytes, path: bytes) -> bool:
        """Link a file to one unpacked before; False where the file system has no hard links."""
        source, first_name = self._place(first)
        source = os.dup(source)
        try:
            folder, name = self._place(path)
            with _in_place_of(folder, name) as temporary:
                os.link(first_name, temporary, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if error.errno in STOPS_ALL:
                raise
            return False
        finally:
            os.close(source)
        return True

    def _symlink(self, found: Found, report: CopyReport) -> None:
        text = b"/".join(plain(part) for part in self.tree.target(found.node, found.shown).split(b"/"))
        if leaves(text, found.path.count(b"/")):
            raise NotCopied("a link that leads out of the folder")
        folder, name = self._place(found.path)
        if _link_text(folder, name) != text:
            with _in_place_of(folder, name) as temporary:
                os.symlink(text, temporary, dir_fd=folder)
        report.done["links"] += 1


def _make_top(folder: Path) -> bool:
    """Make the folder; False where it was there."""
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise UserError(f"{folder}: is no folder; give the folder to unpack into") from None
    except FileNotFoundError:
        raise UserError(f"{folder}: there is no folder {folder.parent}; make it first") from None
    else:
        return True
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{folder}: no permission to write there; unpack elsewhere")
    return False


def _folder_in(above: int, name: bytes) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, dir_fd=above)
    try:
        return os.open(name, OPEN_FOLDER, dir_fd=above)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise NotCopied("something that is no folder is in the way") from None
        raise


@contextlib.contextmanager
def _in_place_of(folder: int, name: bytes) -> Iterator[bytes]:
    """Give a temporary name in an open folder, and put what was made there in its place at the end."""
    temporary = b".unpack.%s.tmp" % secrets.token_hex(8).encode()
    try:
        yield temporary
        try:
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except IsADirectoryError:
            raise NotCopied("a folder is in the way") from None
    finally:
        # Also after renaming: of two links to one file, rename removes neither.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)


def _is_there(folder: int, name: bytes, node: Node) -> bool:
    try:
        state = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    same = (state.st_size, state.st_mtime_ns) == (node.size, node.mtime_ns)
    return same and stat.S_ISREG(state.st_mode) and node.nlink > 0


def _link_text(folder: int, name: bytes) -> bytes | None:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return None


def leaves(text: bytes, depth: int) -> bool:
    """Whether a link `depth` folders below the top leads out of it, or may do so through another link."""
    parts = text.split(b"/")
    up = next((i for i, part in enumerate(parts) if part != b".."), len(parts))
    return text.startswith(b"/") or up > depth or b".." in parts[up:]
