"""FUSE requests by libfuse's high-level interface, answered from a tree: paths become nodes.

Nothing here decides what a store looks like as a file system; that is the tree's. This is the way with
libfuse 2, and with a libfuse 3 whose structures low_level_library.py does not know. libfuse calls these
callbacks directly, with the structures that fusepy or mfusepy declare. The FUSE class of these packages would
translate each request once more, and register callbacks that nobody needs. One thread answers all requests:
more threads would only wait for Python's interpreter lock.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

from imagestore.mount.bugs import note_bug
from imagestore.mount.extended_attributes import (
    PREFIX,
    XATTR_SIZE_MAX,
    extended_attributes,
    listed_names,
)
from imagestore.mount.fuse_library import Library
from imagestore.mount.high_level_session import Callback
from imagestore.mount.replaced_stores import tree_of_now
from imagestore.vfs import shown_names
from imagestore.vfs.node import Node
from imagestore.vfs.source import NoSuchName
from imagestore.vfs.tree import Tree

BLOCK_SIZE = 4096  # bytes
NO_XATTRS = (-1, {})  # in place of the inode number and the extended attributes of the last node


def answered(callback: Callable[..., int | None]) -> Callback:
    """Wrap a callback, so that it returns 0 for None, and a negative errno if it raises an exception.

    No exception may reach libfuse. An unexpected one is a bug: the answer is EIO.
    """

    @wraps(callback)
    def answer(self: Requests, *arguments: Any) -> int:  # noqa: ANN401
        self.count += 1
        try:
            return callback(self, *arguments) or 0
        except NoSuchName:
            return -errno.ENOENT
        except OSError as error:
            return -(error.errno or errno.EIO)
        except Exception:
            note_bug()
            return -errno.EIO

    return answer


class Requests:
    """The callbacks over a tree that does not change: the kernel may keep all answers.

    The tree is closed by `close`.
    """

    callback_names: tuple[str, ...] = (
        "init",
        "getattr",
        "readdir",
        "open",
        "read",
        "readlink",
        "statfs",
        "getxattr",
        "listxattr",
    )

    def __init__(self, tree: Tree, library: Library, on_mounted: Callable[[], None]) -> None:
        """`on_mounted` is called once, when the kernel sends its first request."""
        self.tree, self.library, self.on_mounted = tree, library, on_mounted
        self.owners = tree.owners()
        self.count = 0
        self.is_mounted = False
        self._last_listing_length = 0
        self._getattr_count = 0  # since the last listing
        self._expects_getattr = False  # whether a getattr for most entries follows a listing
        self._prepared_folders: set[bytes] = set()  # the tree's cache has all nodes in them
        self._xattrs: tuple[int, dict[bytes, bytes]] = NO_XATTRS

    def close(self) -> None:
        """Close the stores. No callback may be called afterwards."""
        self.tree.close()

    def callbacks(self) -> dict[str, Callback]:
        """The callbacks by libfuse's names."""
        return {name: getattr(self, name) for name in self.callback_names}

    def find(self, path: bytes) -> Node:
        """The node at a path. Raises NoSuchName, OSError."""
        return self.tree.find(path)

    # ----- the file system -----

    @answered
    def init(self, connection: Any, config: Any = None) -> None:  # noqa: ANN401
        """The tree is mounted. libfuse 3 takes options here that are mount options with libfuse 2."""
        try:
            if self.library.generation == 3:
                config.contents.use_ino = config.contents.readdir_ino = 1
        finally:  # also after a bug: a process waits for this call, which gives standard error back too
            self.is_mounted = True
            self.on_mounted()

    @answered
    def statfs(self, path: bytes, buffer: Any) -> None:  # noqa: ANN401
        """For `df`: the size of the stores, all of it used, and the number of their images."""
        usage, status = self.tree.usage(), buffer.contents
        status.f_bsize = status.f_frsize = BLOCK_SIZE
        status.f_blocks = -(-usage.bytes // BLOCK_SIZE)
        status.f_files = usage.images
        status.f_namemax = shown_names.LONGEST

    # ----- attributes and listings -----

    @answered
    def getattr(self, path: bytes, buffer: Any, *info: object) -> None:  # noqa: ANN401
        """Fill a struct stat that is all zeros."""
        self._getattr_count += 1
        self._fill_stat(buffer.contents, self.find(path))

    def _fill_stat(self, status: Any, node: Node) -> None:  # noqa: ANN401
        status.st_mode = node.mode
        status.st_ino = node.ino
        status.st_nlink = node.nlink
        status.st_uid, status.st_gid = self.owners[node.source]
        status.st_size = node.size
        status.st_blksize = BLOCK_SIZE
        status.st_blocks = node.blocks
        _set_time(status.st_mtimespec, node.mtime_ns)
        _set_time(status.st_atimespec, node.mtime_ns)
        _set_time(status.st_ctimespec, node.ctime_ns)

    @answered
    def readdir(self, path: bytes, buffer: int, fill: Callable, offset: int, info: Any, *flags: int) -> None:  # noqa: ANN401
        """List a folder: all entries at once, with their types, which save `find` a request for each entry.

        If a getattr for most entries followed the last listing, as with `ls -l`, all nodes are prepared.
        """
        length = self._last_listing_length
        self._expects_getattr = self._expects_getattr or self._getattr_count > length // 2 > 0
        status = self.library.module.c_stat()
        reference = ctypes.byref(status)
        offset_and_flags = (0, 0) if self.library.generation == 3 else (0,)
        fill(buffer, b".", None, *offset_and_flags)
        fill(buffer, b"..", None, *offset_and_flags)
        self._getattr_count = self._last_listing_length = 0
        for name, status.st_mode, status.st_ino in self.tree.entries(self.find(path)):
            self._last_listing_length += 1
            if fill(buffer, name, reference, *offset_and_flags):
                raise OSError(errno.EIO, "libfuse has no memory for the listing")
        if self._expects_getattr and path not in self._prepared_folders:
            self._prepared_folders.add(path)
            self.tree.cache_children(path)

    # ----- files and links -----

    @answered
    def open(self, path: bytes, info: Any) -> int:  # noqa: ANN401
        """Not needed: after this answer, the kernel opens and closes files without a request."""
        return -errno.ENOSYS

    @answered
    def read(self, path: bytes, buffer: Any, size: int, offset: int, info: Any) -> int:  # noqa: ANN401
        """Copy bytes of a file into libfuse's buffer; returns how many."""
        return _copy(self.tree.read(self.find(path), offset, size), buffer)

    @answered
    def readlink(self, path: bytes, buffer: Any, size: int) -> None:  # noqa: ANN401
        """Copy a symbolic link's text and a NUL into libfuse's buffer."""
        _copy(self.tree.target(self.find(path), path)[: size - 1] + b"\0", buffer)

    # ----- extended attributes -----

    @answered
    def getxattr(self, path: bytes, name: bytes, buffer: Any, size: int) -> int:  # noqa: ANN401
        """One attribute of the HDF5 object."""
        if not name.startswith(PREFIX):
            return -errno.ENOTSUP  # `ls -l` asks for ACLs and security labels, and does not ask again now
        value = self._find_xattrs(path).get(name)
        if value is None:
            return -errno.ENODATA
        return _copy_xattr(value, buffer, size) if len(value) <= XATTR_SIZE_MAX else -errno.E2BIG

    @answered
    def listxattr(self, path: bytes, buffer: Any, size: int) -> int:  # noqa: ANN401
        """The names of the attributes of the HDF5 object that Linux can list."""
        return _copy_xattr(listed_names(self._find_xattrs(path)), buffer, size)

    def _find_xattrs(self, path: bytes) -> dict[bytes, bytes]:
        """The extended attributes at a path."""
        node = self.find(path)
        if self._xattrs[0] != node.ino:
            self._xattrs = node.ino, extended_attributes(self.tree, node)
        return self._xattrs[1]


class _OpenFile(NamedTuple):
    """A file that is open, as it was when it was opened."""

    tree: Tree
    node: Node
    path: bytes


class ReopeningRequests(Requests):
    """The callbacks over stores that may be replaced: if a store is, it is opened again.

    An open file keeps its bytes. The kernel keeps bytes and attributes by path, and the node at a path
    changes with its store. So it keeps no attributes (timeouts of 0), and forgets the bytes of a file
    whenever somebody opens it. Programs can map files into memory, which direct I/O would not allow. Only a
    file that is still open from a replaced store is read by direct I/O when it is opened again: so the old
    bytes and the new ones stay apart.
    """

    callback_names = (*Requests.callback_names, "release", "fgetattr")  # libfuse 3 has no fgetattr

    def __init__(
        self, tree: Tree, library: Library, on_mounted: Callable[[], None], reopen: Callable[[], Tree]
    ) -> None:
        """`reopen` opens the files that have the stores' paths now. It may raise UserError or OSError."""
        super().__init__(tree, library, on_mounted)
        self.reopen = reopen
        self._open_files: dict[int, _OpenFile] = {}  # by file handle
        self._next_handle = 1

    def close(self) -> None:
        """Close the stores, also those that were replaced and still have open files."""
        for tree in {self.tree, *(file.tree for file in self._open_files.values())}:
            tree.close()

    def find(self, path: bytes) -> Node:
        """The node at a path in the stores as they are now. Raises NoSuchName, OSError."""
        self._reopen_if_replaced()
        return self.tree.find(path)

    def _reopen_if_replaced(self) -> None:
        """Show the new stores if some were replaced, but not before they can be opened."""
        new = tree_of_now(self.tree, self.reopen)
        if new is self.tree:
            return
        old, self.tree = self.tree, new
        self.owners = new.owners()
        self._xattrs = NO_XATTRS
        self._prepared_folders.clear()
        self._close_if_unused(old)

    def _close_if_unused(self, tree: Tree) -> None:
        if tree is not self.tree and all(file.tree is not tree for file in self._open_files.values()):
            tree.close()

    @answered
    def open(self, path: bytes, info: Any) -> None:  # noqa: ANN401
        """Remember which node this open file is, in the stores as they are now."""
        node = self.find(path)
        others = (file for file in self._open_files.values() if file.path == path)
        info.contents.direct_io = any(file.tree is not self.tree for file in others)
        self._open_files[self._next_handle] = _OpenFile(self.tree, node, path)
        info.contents.fh = self._next_handle
        self._next_handle += 1

    @answered
    def getattr(self, path: bytes, buffer: Any, info: Any = None) -> None:  # noqa: ANN401
        """Fill a struct stat. For an open file, the kernel asks where it ends: in its own store."""
        self._getattr_count += 1
        file = self._open_files.get(info.contents.fh) if info else None
        self._fill_stat(buffer.contents, file.node if file else self.find(path))

    fgetattr = getattr

    @answered
    def read(self, path: bytes, buffer: Any, size: int, offset: int, info: Any) -> int:  # noqa: ANN401
        """Copy bytes of an open file into libfuse's buffer, from the store in which it was opened."""
        file = self._open_files[info.contents.fh]
        return _copy(file.tree.read(file.node, offset, size), buffer)

    @answered
    def release(self, path: bytes, info: Any) -> None:  # noqa: ANN401
        """Forget an open file, and close a replaced store with its last open file."""
        self._close_if_unused(self._open_files.pop(info.contents.fh).tree)


def _set_time(timespec: Any, nanoseconds: int) -> None:  # noqa: ANN401
    timespec.tv_sec, timespec.tv_nsec = divmod(nanoseconds, 10**9)


def _copy_xattr(data: bytes, buffer: Any, size: int) -> int:  # noqa: ANN401
    """Answer getxattr or listxattr: size 0 asks for the length, and a small buffer is an error."""
    if size == 0:
        return len(data)
    if size < len(data):
        return -errno.ERANGE
    return _copy(data, buffer)


def _copy(data: bytes, buffer: Any) -> int:  # noqa: ANN401
    """Copy data into libfuse's buffer; returns how many bytes."""
    ctypes.memmove(buffer, data, len(data))
    return len(data)
