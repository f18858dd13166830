"""FUSE requests by libfuse 3's low-level interface, answered from a tree: numbers become nodes.

Nothing here decides what a store looks like as a file system; that is the tree's. The kernel names a file by
its number, which for an image is its place in the index (see NumberedNodes). So no path is built or parsed,
and forked processes can answer alike. Each callback answers its request once, as its last step.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import stat
from collections.abc import Callable, Iterator
from functools import wraps
from itertools import chain, islice
from typing import NamedTuple

from imagestore.mount.bugs import note_bug
from imagestore.mount.extended_attributes import (
    PREFIX,
    XATTR_SIZE_MAX,
    extended_attributes,
    listed_names,
)
from imagestore.mount.fuse_options import ShownOptions
from imagestore.mount.low_level_library import (
    FUSE_CAP_NO_OPENDIR_SUPPORT,
    ConnectionInfo,
    FileSystemStatus,
    LowLevelLibrary,
)
from imagestore.vfs import shown_names
from imagestore.vfs.node import Node
from imagestore.vfs.numbered_nodes import NumberedNodes
from imagestore.vfs.source import NoSuchName
from imagestore.vfs.tree import Tree

BLOCK_SIZE = 4096  # bytes
NO_NUMBER = 0  # of an entry about which the kernel has to ask, or which does not exist
NO_XATTRS = (NO_NUMBER, {})  # in place of the number and the extended attributes of the last node
MOST_PROCESSES = 64


def answered(callback: Callable[..., None]) -> Callable[..., None]:
    """Wrap a callback, so that it answers with an errno if it raises an exception.

    No exception may reach libfuse. An unexpected one is a bug: the answer is EIO.
    """

    @wraps(callback)
    def answer(self: LowLevelRequests, request: int, *arguments: object) -> None:
        self.counts[self.process] += 1
        try:
            callback(self, request, *arguments)
        except NoSuchName:
            self.library.fuse_reply_err(request, errno.ENOENT)
        except OSError as error:
            self.library.fuse_reply_err(request, error.errno or errno.EIO)
        except Exception:
            note_bug()
            self.library.fuse_reply_err(request, errno.EIO)

    return answer


class _Listing(NamedTuple):
    """A listing that was interrupted since the kernel's buffer was full."""

    folder: int
    offset: int  # of the next entry
    entries: Iterator[tuple[bytes, Node]]


NO_LISTING = _Listing(0, 0, iter(()))


class LowLevelRequests:
    """The callbacks over a tree that does not change: the kernel may keep all answers.

    The tree is closed by `close`.
    """

    callback_names: tuple[str, ...] = (
        "init",
        "lookup",
        "getattr",
        "readlink",
        "open",
        "read",
        "opendir",
        "readdirplus",
        "statfs",
        "getxattr",
        "listxattr",
    )

    def __init__(self, tree: Tree, library: LowLevelLibrary, options: ShownOptions) -> None:
        """Nothing is listed yet."""
        self.tree, self.library, self.options = tree, library, options
        self.is_mounted = False
        self.connection_options: int | None = None  # those of the user, as libfuse keeps them
        self.process = 0  # the number of this process among those that serve the tree
        # How many requests each process has answered; forked processes share this memory.
        self.counts = memoryview(mmap.mmap(-1, 8 * MOST_PROCESSES)).cast("Q")
        self.nodes = NumberedNodes(tree)
        self._owners = self._shown_owners()
        self._entry = library.Entry()
        self._address = ctypes.addressof(self._entry)
        self._status_address = self._address + library.Entry.st_dev.offset
        self._buffer = ctypes.create_string_buffer(0)  # of listings
        self._interrupted = NO_LISTING
        self._opendir_is_needed = True
        self._xattrs: tuple[int, dict[bytes, bytes]] = NO_XATTRS

    @property
    def count(self) -> int:
        """How many requests were answered, by all processes."""
        return sum(self.counts)

    def close(self) -> None:
        """Close the stores. No callback may be called afterwards."""
        self.tree.close()

    def callbacks(self) -> dict[str, Callable[..., None]]:
        """The callbacks by libfuse's names."""
        return {name: getattr(self, name) for name in self.callback_names}

    def find(self, number: int) -> tuple[Tree, Node]:
        """The node with a number, and its tree. Raises NoSuchName, OSError."""
        return self.tree, self.nodes.node(number)

    # ----- the file system -----

    def init(self, user_data: int, connection: int) -> None:
        """The tree is mounted. Nobody has asked for an answer."""
        if self.connection_options:
            self.library.fuse_apply_conn_info_opts(self.connection_options, connection)
        capable = ConnectionInfo.from_address(connection).capable
        self._opendir_is_needed = not capable & FUSE_CAP_NO_OPENDIR_SUPPORT
        self.is_mounted = True

    @answered
    def statfs(self, request: int, number: int) -> None:
        """For `df`: the size of the stores, all of it used, and the number of their images."""
        usage, status = self.tree.usage(), FileSystemStatus()
        status.f_bsize = status.f_frsize = BLOCK_SIZE
        status.f_blocks = -(-usage.bytes // BLOCK_SIZE)
        status.f_files = usage.images
        status.f_namemax = shown_names.LONGEST
        self.library.fuse_reply_statfs(request, ctypes.byref(status))

    # ----- attributes and listings -----

    @answered
    def lookup(self, request: int, folder: int, name: bytes) -> None:
        """The number and the attributes of a name in a folder. The kernel keeps it if there is none, too."""
        try:
            node = self.tree.child(self.nodes.node(folder), name)
        except NoSuchName:
            self._entry.ino, self._entry.entry_timeout = NO_NUMBER, self.options.negative_timeout
        else:
            self._fill(node, self.nodes.number(folder, name, node))
        self.library.fuse_reply_entry(request, self._address)

    @answered
    def getattr(self, request: int, number: int, info: int | None) -> None:
        """The attributes of a node."""
        _, node = self.find(number)
        self._fill(node, number)
        self.library.fuse_reply_attr(request, self._status_address, self.options.attr_timeout)

    def _fill(self, node: Node, number: int) -> None:
        """Fill the structure for an entry."""
        entry = self._entry
        entry.ino = number
        entry.attr_timeout, entry.entry_timeout = self.options.attr_timeout, self.options.entry_timeout
        entry.st_ino, entry.st_nlink, entry.st_mode = node.ino, node.nlink, self._shown_mode(node)
        entry.st_uid, entry.st_gid = self._owners[node.source]
        entry.st_size, entry.st_blksize, entry.st_blocks = node.size, BLOCK_SIZE, node.blocks
        seconds, nanoseconds = divmod(node.mtime_ns, 10**9)
        entry.st_atime = entry.st_mtime = seconds
        entry.st_atime_nsec = entry.st_mtime_nsec = nanoseconds
        entry.st_ctime, entry.st_ctime_nsec = divmod(node.ctime_ns, 10**9)

    def _shown_mode(self, node: Node) -> int:
        mask = self.options.umask
        return node.mode if mask is None else stat.S_IFMT(node.mode) | 0o777 & ~mask

    def _shown_owners(self) -> list[tuple[int, int]]:
        """(uid, gid) of each store, or those that the user chose."""
        uid, gid = self.options.uid, self.options.gid
        return [(u if uid is None else uid, g if gid is None else gid) for u, g in self.tree.owners()]

    @answered
    def opendir(self, request: int, number: int, info: int) -> None:
        """Not needed, if the kernel is not very old: it opens folders without a request, and keeps lists."""
        if self._opendir_is_needed:
            self.library.fuse_reply_open(request, info)
        else:
            self.library.fuse_reply_err(request, errno.ENOSYS)

    @answered
    def readdirplus(self, request: int, folder: int, size: int, offset: int, info: int | None) -> None:
        """As many entries from `offset` on as the buffer takes, with their attributes.

        Nobody has to ask for these afterwards: `ls -l` and `tar` would, for each file.
        """
        self._list(request, folder, size, offset, self._add_with_attributes)

    def _list(self, request: int, folder: int, size: int, offset: int, add: Callable[..., int]) -> None:
        if len(self._buffer) < size:
            self._buffer = ctypes.create_string_buffer(size)
        start, used = ctypes.addressof(self._buffer), 0
        entries = self._entries(folder, offset)
        for position, (name, node) in enumerate(entries, offset):
            length = add(request, folder, start + used, size - used, name, node, position + 1)
            if length > size - used:
                self._interrupted = _Listing(folder, position, chain([(name, node)], entries))
                break
            used += length
        self.library.fuse_reply_buf(request, start, used)

    def _entries(self, folder: int, offset: int) -> Iterator[tuple[bytes, Node]]:
        """(name, node) of the entries in a folder from `offset` on; the first two are `.` and `..`."""
        last, self._interrupted = self._interrupted, NO_LISTING
        if offset and (last.folder, last.offset) == (folder, offset):
            return last.entries
        tree, node = self.find(folder)
        dots = islice([(b".", node), (b"..", node)], offset, None)
        return chain(dots, tree.children(node, max(0, offset - 2)))

    def _add_with_attributes(
        self, request: int, folder: int, address: int, room: int, name: bytes, node: Node, offset: int
    ) -> int:
        """Add an entry to a listing; returns how many bytes it takes, whether they fit or not."""
        is_asked_for = node.is_damaged or name in (b".", b"..")  # of a damaged node, lookup must report EIO
        self._fill(node, NO_NUMBER if is_asked_for else self.nodes.number(folder, name, node))
        return self.library.fuse_add_direntry_plus(request, address, room, name, self._address, offset)

    # ----- files and links -----

    @answered
    def open(self, request: int, number: int, info: int) -> None:
        """Not needed: after this answer, the kernel opens and closes files without a request."""
        self.library.fuse_reply_err(request, errno.ENOSYS)

    @answered
    def read(self, request: int, number: int, size: int, offset: int, info: int | None) -> None:
        """Bytes of a file."""
        tree, node = self.find(number)
        data = tree.read(node, offset, size)
        self.library.fuse_reply_buf(request, data, len(data))

    @answered
    def readlink(self, request: int, number: int) -> None:
        """A symbolic link's text."""
        tree, node = self.find(number)
        self.library.fuse_reply_readlink(request, tree.target(node, self.nodes.path(number)))

    # ----- extended attributes -----

    @answered
    def getxattr(self, request: int, number: int, name: bytes, size: int) -> None:
        """One attribute of the HDF5 object."""
        if not name.startswith(PREFIX):
            # `ls -l` asks for ACLs and security labels, and does not ask again now.
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
        value = self._find_xattrs(number).get(name)
        if value is None:
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
        if len(value) > XATTR_SIZE_MAX:
            raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
        self._reply_xattr(request, value, size)

    @answered
    def listxattr(self, request: int, number: int, size: int) -> None:
        """The names of the attributes of the HDF5 object that Linux can list."""
        self._reply_xattr(request, listed_names(self._find_xattrs(number)), size)

    def _reply_xattr(self, request: int, data: bytes, size: int) -> None:
        """Size 0 asks for the length, and a small buffer is an error."""
        if not size:
            self.library.fuse_reply_xattr(request, len(data))
        elif size < len(data):
            self.library.fuse_reply_err(request, errno.ERANGE)
        else:
            self.library.fuse_reply_buf(request, data, len(data))

    def _find_xattrs(self, number: int) -> dict[bytes, bytes]:
        """The extended attributes of a node."""
        if self._xattrs[0] != number:
            self._xattrs = number, extended_attributes(*self.find(number))
        return self._xattrs[1]
