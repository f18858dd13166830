"""FUSE requests, answered from a tree: translation, nothing else.

What a store looks like as a file system is defined in tree; here paths become nodes and nodes become the
structures of libfuse. The callbacks are registered with libfuse as they are, by way of the structures that
fusepy (libfuse 2) or mfusepy (libfuse 3) declare: their own FUSE class would translate every request once
more, and register callbacks that nobody needs. Used by mount. One thread serves all requests: more of them
only wait for Python's interpreter lock.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from functools import wraps
from itertools import chain, islice
from typing import Any

from imagestore.console import UserError
from imagestore.mount.fuse_library import Answer, Library
from imagestore.vfs import names
from imagestore.vfs.node import Node
from imagestore.vfs.tree import Tree

PREFIX = b"user."


LONGEST_ATTRIBUTE = 65536  # bytes, XATTR_SIZE_MAX of Linux


LONGEST_NAME = 255


BLOCK_SIZE = 4096


CAN_LIST_FULLY, LISTS_FULLY_BY_ITSELF = 1 << 13, 1 << 14  # FUSE_CAP_READDIRPLUS, FUSE_CAP_READDIRPLUS_AUTO


FULL_LISTING = 1  # FUSE_READDIR_PLUS, of libfuse 3


FULL_ENTRY = 2  # FUSE_FILL_DIR_PLUS


def answered(function: Callable[..., int | None]) -> Answer:
    """Turn what a callback raises into the error number that FUSE wants; no exception may reach libfuse."""

    @wraps(function)
    def answer(self: Requests, *arguments: Any) -> int:  # noqa: ANN401
        self.count += 1
        try:
            return function(self, *arguments) or 0
        except KeyError:
            return -errno.ENOENT
        except OSError as error:
            return -(error.errno or errno.EIO)
        except Exception:
            return -errno.EIO

    return answer


class Requests:
    """The callbacks over a tree that does not change: the kernel may remember every answer."""

    kernel_remembers = True
    callbacks: tuple[str, ...] = (
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

    def __init__(self, tree: Tree, library: Library, ready: Callable[[], None]) -> None:
        """`ready` is called once, when the kernel begins to ask."""
        self.tree, self.library, self.ready = tree, library, ready
        self.owners = tree.owners()
        self.count = 0
        self._asked = self._listed = 0  # attributes asked for since the last listing, and its length
        self._questions_follow = False
        self._known: set[bytes] = set()
        self._listing: tuple[bytes, int, Iterator[tuple[bytes, Node]]] = (
            b"",
            0,
            iter(()),
        )  # interrupted there
        self._attributes: tuple[int, dict[bytes, bytes]] = (-1, {})

    def find(self, path: bytes) -> Node:
        """The node at a path. Raises KeyError, OSError."""
        return self.tree.find(path)

    def handlers(self) -> dict[str, Answer]:
        """The callbacks by libfuse's names."""
        return {name: getattr(self, name) for name in self.callbacks}

    @answered
    def init(self, connection: Any, config: Any = None) -> None:  # noqa: ANN401
        """Connected: libfuse 3 takes here what are mount options with libfuse 2."""
        if self.library.generation == 3:
            config.contents.use_ino = config.contents.readdir_ino = 1
            connection.contents.want &= ~(CAN_LIST_FULLY | LISTS_FULLY_BY_ITSELF)
            if self.kernel_remembers:
                connection.contents.want |= connection.contents.capable & CAN_LIST_FULLY
        self.ready()

    @answered
    def getattr(self, path: bytes, buffer: Any, *info: object) -> None:  # noqa: ANN401
        """Fill a zeroed struct stat."""
        self._asked += 1
        self.fill(buffer.contents, self.find(path))

    def fill(self, status: Any, node: Node) -> None:  # noqa: ANN401
        """The attributes of a node as struct stat."""
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
        """A folder, with the type of each entry: that spares `find` every other request."""
        if not offset:
            self._questions_follow = self._questions_follow or self._asked > self._listed // 2 > 0
        if offset or (
            flags and flags[0] & FULL_LISTING and self._questions_follow and path not in self._known
        ):
            self._list_fully(path, buffer, fill, offset)
        else:
            self._list(path, buffer, fill)

    def _list(self, path: bytes, buffer: int, fill: Callable) -> None:
        status = self.library.module.c_stat()
        reference = ctypes.byref(status)
        more = (0, 0) if self.library.generation == 3 else (0,)
        fill(buffer, b".", None, *more)
        fill(buffer, b"..", None, *more)
        self._asked = self._listed = 0
        for name, status.st_mode, status.st_ino in self.tree.entries(self.find(path)):
            self._listed += 1
            if fill(buffer, name, reference, *more):
                raise MemoryError
        if self._questions_follow and path not in self._known:
            self._known.add(path)
            self.tree.remember(path)

    def _list_fully(self, path: bytes, buffer: int, fill: Callable, offset: int) -> None:
        """As many entries from `offset` on as the buffer takes, with their attributes (libfuse 3).

        That saves a request for each file, but costs a plain `find` more than it needs. So it is only done
        where a folder's listing was followed by a question for most of its files, as by `ls -l` and `tar`;
        and once, since the kernel remembers the answers.
        """
        known_path, place, entries = self._listing
        if (known_path, place) != (path, offset):
            folder = self.find(path)
            everything = chain([(b".", folder), (b"..", folder)], self.tree.children(folder))
            entries = islice(everything, offset, None)
            self._known.add(path)
        for place, (name, node) in enumerate(entries, offset):
            status = self.library.module.c_stat()
            self.fill(status, node)
            full = FULL_ENTRY if node.nlink else 0  # of a damaged one the kernel must ask, and hear EIO
            if fill(buffer, name, ctypes.byref(status), place + 1, full):
                self._listing = path, place, chain([(name, node)], entries)
                return
        self._listing = b"", 0, iter(())

    @answered
    def open(self, path: bytes, info: Any) -> int:  # noqa: ANN401
        """Never needed: the kernel asks once, then opens and releases files by itself."""
        return -errno.ENOSYS

    @answered
    def read(self, path: bytes, buffer: Any, size: int, offset: int, info: Any) -> int:  # noqa: ANN401
        """Bytes of a file, into libfuse's buffer."""
        data = self.tree.read(self.find(path), offset, size)
        ctypes.memmove(buffer, data, len(data))
        return len(data)

    @answered
    def readlink(self, path: bytes, buffer: Any, size: int) -> None:  # noqa: ANN401
        """A symbolic link's text and a NUL."""
        text = self.tree.target(self.find(path), path)[: size - 1] + b"\0"
        ctypes.memmove(buffer, text, len(text))

    @answered
    def statfs(self, path: bytes, buffer: Any) -> None:  # noqa: ANN401
        """For `df`: the store's size, all of it used, and its images."""
        usage, status = self.tree.usage(), buffer.contents
        status.f_bsize = status.f_frsize = BLOCK_SIZE
        status.f_blocks = -(-usage.bytes // BLOCK_SIZE)
        status.f_files = usage.images
        status.f_namemax = names.LONGEST

    @answered
    def getxattr(self, path: bytes, name: bytes, buffer: Any, size: int) -> int:  # noqa: ANN401
        """One attribute of the HDF5 object."""
        if not name.startswith(PREFIX):
            return -errno.ENOTSUP  # `ls -l` asks for ACLs and labels, and after this answer no more
        attributes = self.attributes(path)
        return _hand_over(attributes[name], buffer, size) if name in attributes else -errno.ENODATA

    @answered
    def listxattr(self, path: bytes, buffer: Any, size: int) -> int:  # noqa: ANN401
        """The names of all attributes of the HDF5 object."""
        return _hand_over(b"".join(name + b"\0" for name in self.attributes(path)), buffer, size)

    def attributes(self, path: bytes) -> dict[bytes, bytes]:
        """The extended attributes of a node; those of the last one asked for are kept."""
        node = self.find(path)
        if self._attributes[0] != node.ino:
            kept = self.tree.attributes(node).items()
            shown = {PREFIX + names.escape(os.fsencode(name)): value for name, value in kept}
            fitting = {
                name: value
                for name, value in shown.items()
                if len(name) <= LONGEST_NAME and len(value) <= LONGEST_ATTRIBUTE
            }
            self._attributes = node.ino, fitting
        return self._attributes[1]


class FollowingRequests(Requests):
    """The callbacks over stores that may be replaced: whoever has a file open goes on with the old one.

    The kernel must remember nothing then, neither attributes (timeouts of 0) nor pages (direct I/O): it
    keeps them by path, and a path's bytes change with its store.
    """

    kernel_remembers = False
    callbacks = (*Requests.callbacks, "release")

    def __init__(
        self, tree: Tree, library: Library, ready: Callable[[], None], reopen: Callable[[], Tree]
    ) -> None:
        """`reopen` opens the stores again under their names; it may raise UserError or OSError."""
        super().__init__(tree, library, ready)
        self.reopen = reopen
        self._handles: dict[int, tuple[Tree, Node]] = {}
        self._next_handle = 1

    def find(self, path: bytes) -> Node:
        """The node at a path, in the stores that have these names now."""
        self.follow()
        return self.tree.find(path)

    def follow(self) -> None:
        """Show the new stores where they were replaced; while they cannot be opened, the old."""
        if not self.tree.replaced():
            return
        try:
            new = self.reopen()
        except (UserError, OSError):
            return
        old, self.tree = self.tree, new
        self.owners = new.owners()
        self._attributes = (-1, {})
        self._close_unless_used(old)

    def _close_unless_used(self, tree: Tree) -> None:
        if tree is not self.tree and all(user is not tree for user, _ in self._handles.values()):
            tree.close()

    @answered
    def open(self, path: bytes, info: Any) -> None:  # noqa: ANN401
        """Bind the open file to the store as it is now."""
        node = self.find(path)
        self._handles[self._next_handle] = self.tree, node
        info.contents.fh = self._next_handle
        info.contents.direct_io = 1
        self._next_handle += 1

    @answered
    def read(self, path: bytes, buffer: Any, size: int, offset: int, info: Any) -> int:  # noqa: ANN401
        """Bytes of an open file, from the store it was opened in."""
        tree, node = self._handles[info.contents.fh]
        data = tree.read(node, offset, size)
        ctypes.memmove(buffer, data, len(data))
        return len(data)

    @answered
    def release(self, path: bytes, info: Any) -> None:  # noqa: ANN401
        """Forget an open file, and with the last one an old store."""
        tree, _ = self._handles.pop(info.contents.fh)
        self._close_unless_used(tree)


def _set_time(spec: Any, nanoseconds: int) -> None:  # noqa: ANN401
    spec.tv_sec, spec.tv_nsec = divmod(nanoseconds, 10**9)


def _hand_over(data: bytes, buffer: Any, size: int) -> int:  # noqa: ANN401
    """The protocol of extended attributes: size 0 asks for the length, a small buffer is an error."""
    if size == 0:
        return len(data)
    if size < len(data):
        return -errno.ERANGE
    ctypes.memmove(buffer, data, len(data))
    return len(data)
