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
import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import chain, islice
from pathlib import Path
from types import ModuleType
from typing import Any

from imagestore import names
from imagestore.console import ENDING, UserError
from imagestore.nodes import Node
from imagestore.tree import Tree

FOREVER = 10**9  # seconds: nothing in a mount changes
PREFIX = b"user."
LONGEST_ATTRIBUTE = 65536  # bytes, XATTR_SIZE_MAX of Linux
LONGEST_NAME = 255
LONGEST_SOURCE = 1024  # bytes of what /proc/mounts names as mounted; mount(2) takes less than a page
BLOCK_SIZE = 4096
CAN_LIST_FULLY, LISTS_FULLY_BY_ITSELF = 1 << 13, 1 << 14  # FUSE_CAP_READDIRPLUS, FUSE_CAP_READDIRPLUS_AUTO
FULL_LISTING = 1  # FUSE_READDIR_PLUS, of libfuse 3
FULL_ENTRY = 2  # FUSE_FILL_DIR_PLUS
NOT_TO_BE_SET = {"subtype": "by it h5vfs knows its own", "max_read": "the kernel decides"}

Answer = Callable[..., int]


# ----- the two libraries -----


@dataclass(frozen=True)
class Library:
    """A Python package with the libfuse that it talks to."""

    name: str
    module: ModuleType
    generation: int


PACKAGES = {
    "fusepy": ("fuse", ("libfuse.so.2",), "fusermount"),
    "mfusepy": ("mfusepy", ("libfuse3.so.4", "libfuse3.so.3"), "fusermount3"),
}


def load_library(wanted: str | None = None) -> Library:
    """The FUSE package to mount with: the one asked for, else the first that is there with its libfuse.

    mfusepy on libfuse 3 comes first: libfuse 2 is no longer maintained, and the two are equally fast here
    (benchmarks/mount.py). Raises UserError where there is none.
    """
    reasons = []
    for name in [wanted] if wanted else ["mfusepy", "fusepy"]:
        if name not in PACKAGES:
            raise UserError(f"{name}: no such FUSE package (there are {' and '.join(PACKAGES)})")
        try:
            return _load(name)
        except (ImportError, OSError) as error:
            reasons.append(f"{name}: {error}")
    raise UserError(
        f"nothing to mount with ({'; '.join(reasons)}): apt install fuse3 libfuse2, dnf install fuse3 "
        "fuse-libs, conda install -c conda-forge libfuse, or module load it; or ./h5vfs.py unpack instead"
    )


def _load(name: str) -> Library:
    module_name, libraries, _ = PACKAGES[name]
    chosen = os.environ.get("FUSE_LIBRARY_PATH")
    # Both packages read this when they are imported; by themselves they would take libfuse 2 wherever it is.
    os.environ["FUSE_LIBRARY_PATH"] = chosen or _shared_library(libraries)
    module = importlib.import_module(module_name)
    if not hasattr(module, "fuse_operations"):
        raise ImportError("another package of the name 'fuse' is installed; pip install fusepy")
    return Library(name, module, getattr(module, "fuse_version_major", 2))


def _shared_library(candidates: Sequence[str]) -> str:
    paths = [path for name in candidates for path in (name, f"{sys.prefix}/lib/{name}")]
    for path in paths:
        try:
            ctypes.CDLL(path)
        except OSError:
            continue
        return path
    raise OSError(f"{candidates[-1]} is not installed")


def serve(library: Library, handlers: dict[str, Answer], mountpoint: Path, options: Sequence[str]) -> int:
    """Mount, answer requests until unmounted or told to end by a signal; libfuse's status."""
    operations = library.module.fuse_operations()
    prototypes = {field[0]: field[1] for field in operations._fields_}
    for name, handler in handlers.items():
        if name in prototypes:
            setattr(operations, name, prototypes[name](handler))
    arguments = ["h5vfs", "-f", "-s", "-o", ",".join(options), str(mountpoint)]
    argv = (ctypes.c_char_p * len(arguments))(*map(os.fsencode, arguments))
    # libfuse's turn; but what the caller wants ignored (nohup) stays so.
    ending = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
    before = [signal.signal(number, signal.SIG_DFL) for number in ending]
    try:
        return library.module._libfuse.fuse_main_real(
            len(arguments), argv, ctypes.byref(operations), ctypes.c_size_t(ctypes.sizeof(operations)), None
        )
    finally:
        for number, handled_before in zip(ending, before, strict=True):
            signal.signal(number, handled_before)


def mount_options(
    library: Library, name: str, given: Sequence[str], timeout: float, cached: bool
) -> list[str]:
    """All options for libfuse: ours, then those of the user, which win; the mount is always read-only.

    Raises UserError where one is not for the user to set.
    """
    for option in given:
        if reason := NOT_TO_BE_SET.get(option.partition("=")[0]):
            raise UserError(f"-o {option} cannot be given: {reason}")
    shown = name if len(os.fsencode(name)) <= LONGEST_SOURCE else f"{name[: LONGEST_SOURCE // 8]}..."
    escaped = shown.replace("\\", "\\\\").replace(",", "\\,")
    ours = [
        f"fsname={escaped}",
        "subtype=h5vfs",
        "default_permissions",
        f"entry_timeout={timeout}",
        f"attr_timeout={timeout}",
        f"negative_timeout={timeout}",
    ]
    ours += ["kernel_cache"] * cached + ["use_ino", "readdir_ino"] * (library.generation == 2)
    return [*ours, *(option for option in given if option != "rw"), "ro"]


# ----- the requests -----


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
