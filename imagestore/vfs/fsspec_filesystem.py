"""Stores as a read-only file system of fsspec: for plain Python, dask, pyarrow and universal_pathlib.

    fs = ImageStoreFileSystem("train.h5")
    images = fs.cat("yellow/*.jpg")

This module makes the protocol "imagestore" known to fsspec, unless the installed package has done so; then
`fsspec.open("imagestore://yellow/image_0001.jpg::train.h5")` works as well. See docs/python.md.

Names and folders are those of a mount. Threads may share a file system, and it stays usable after a fork. A
pickled copy opens the stores again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, ClassVar, NoReturn

import fsspec
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from imagestore.vfs.node import Node
from imagestore.vfs.shared_tree import SharedTrees
from imagestore.vfs.stores_anywhere import StorePath, absolute, find_stores, open_stores, state_of

PROTOCOL = "imagestore"
READ_ONLY = "image stores are read-only here: use colourHeuristic.py and h5vfs.py to change them"


class ImageStoreFileSystem(AbstractFileSystem):
    """One or several stores as a file system. Paths have no leading slash: "yellow/image_0001.jpg".

    `info` and `ls` give name, size (bytes), type ("file", "directory", or "other" for a link that leads
    nowhere), created and mtime (seconds since 1970), and mode.
    """

    protocol = PROTOCOL
    root_marker = ""
    cachable = False  # a store may get new images; open trees are shared instead
    _shared: ClassVar[SharedTrees] = SharedTrees()

    def __init__(
        self,
        fo: StorePath | Sequence[StorePath] = "",
        target_protocol: str | None = None,
        target_options: Mapping[str, Any] | None = None,
        side_by_side: bool = False,
        follow_external: bool = False,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """`fo` is a store, a glob, or a list of these: paths, or URLs of other file systems.

        `target_protocol` and `target_options` are those of the other file system. `side_by_side` and
        `follow_external` are those of a mount. Raises FileNotFoundError; UserError if a file is no store.
        """
        super().__init__(**kwargs)
        given = [fo] if isinstance(fo, (str, os.PathLike)) else list(fo)
        self._arguments = {
            "fo": [absolute(store, target_protocol) for store in given],
            "target_protocol": target_protocol,
            "target_options": target_options,
            "side_by_side": side_by_side,
            "follow_external": follow_external,
        }
        if not given or not all(os.fspath(store) for store in given):
            raise ValueError('which store? give it as fo="train.h5", or in the URL: imagestore://::train.h5')
        places = find_stores(self._arguments["fo"], target_protocol, target_options or {})
        key = (*map(state_of, places), side_by_side, follow_external)
        self._tree = self._shared.get(key, lambda: open_stores(places, side_by_side, follow_external))

    def __reduce__(self) -> tuple[object, ...]:
        """A pickled copy finds its stores from any folder."""
        return _make_again, (type(self), self._arguments)

    # ----- names -----

    @classmethod
    def _strip_protocol(cls, path: StorePath | list[StorePath]) -> str | list[str]:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return super()._strip_protocol(path).lstrip("/")

    def info(self, path: str, **kwargs: object) -> dict[str, Any]:
        """What is known of a file or folder, links followed. Raises FileNotFoundError."""
        path = self._strip_protocol(path)
        return _info(path, self._node(path))

    def ls(self, path: str, detail: bool = True, **kwargs: object) -> list[Any]:
        """What is in a folder, or the file itself: dictionaries, or names without `detail`."""
        path = self._strip_protocol(path)
        node = self._node(path)
        if not node.is_folder:
            return [_info(path, node) if detail else path]
        listing = self._list(path)
        return list(listing) if detail else [entry["name"] for entry in listing]

    def _list(self, folder: str) -> Iterator[dict[str, Any]]:
        prefix = folder + "/" if folder else ""
        for name, node in self._tree.children(_bytes(folder)):
            yield _info(prefix + name.decode(), node)

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """All files below a folder. Links that lead nowhere are left out: they cannot be read."""
        found = super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True, **kwargs)
        found = {name: entry for name, entry in found.items() if entry["type"] != "other"}
        return found if detail else list(found)

    def created(self, path: str) -> datetime:
        """When a file was stored."""
        return datetime.fromtimestamp(self.info(path)["created"], timezone.utc)

    def modified(self, path: str) -> datetime:
        """When a file was changed for the last time, before it was stored."""
        return datetime.fromtimestamp(self.info(path)["mtime"], timezone.utc)

    def _node(self, path: str) -> Node:
        return self._tree.find(_bytes(path))

    def _file_node(self, path: str) -> Node:
        node = self._node(self._strip_protocol(path))
        if node.is_folder:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        return node

    # ----- bytes -----

    def cat_file(
        self,
        path: str,
        start: int | None = None,
        end: int | None = None,
        **kwargs: object,
    ) -> bytes:
        """The bytes of a file, or those from `start` to `end`, which are counted as in a slice.

        The checksum of an image is compared, also if only a part of it is asked for (up to 16 MB, as in a
        mount). Raises OSError (EIO) if it does not fit.
        """
        node = self._file_node(path)
        first, last, _ = slice(start, end).indices(node.size)
        return self._tree.read(node, first, max(0, last - first))

    def cat(
        self,
        path: str | list[str],
        recursive: bool = False,
        on_error: str = "raise",
        **kwargs: Any,  # noqa: ANN401
    ) -> bytes | dict[str, bytes | BaseException]:
        """The bytes of a file; of a list, a glob, or with `recursive` a dictionary by paths.

        `on_error` is "raise", "omit" or "return". Files in a remote store are fetched together.
        """
        paths = self.expand_path(path, recursive=recursive, **kwargs)
        if isinstance(path, str) and paths == [self._strip_protocol(path)] and not recursive:
            return self.cat_file(path)
        if recursive:
            paths = [one for one in paths if not self._node(one).is_folder]
        found = zip(paths, self._contents(paths), strict=True)
        return {one: data for one, data in found if _is_wanted(data, on_error)}

    def cat_ranges(
        self,
        paths: list[str],
        starts: int | list[int] | None,
        ends: int | list[int] | None,
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: object,
    ) -> list[bytes | BaseException]:
        """A range of each file. Each file is read once, and those in a remote store are fetched together."""
        if not isinstance(paths, list):
            raise TypeError("paths must be a list")
        starts = starts if isinstance(starts, list) else [starts] * len(paths)
        ends = ends if isinstance(ends, list) else [ends] * len(paths)
        different = list(dict.fromkeys(paths))
        contents = dict(zip(different, self._contents(different), strict=True))
        return [
            data if isinstance(data, BaseException) and _is_wanted(data, on_error) else data[start:end]
            for data, start, end in zip(map(contents.__getitem__, paths), starts, ends, strict=True)
        ]

    def get(
        self,
        rpath: str | list[str],
        lpath: StorePath | list[str],
        recursive: bool = False,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Copy files to this machine. A folder goes into the folder `lpath` if that exists, as with `cp -r`.

        fsspec does the same, but not with folders at the top, which have no slash before their names.
        """
        if isinstance(rpath, str) and not isinstance(lpath, list) and not rpath.endswith("/"):
            name = self._strip_protocol(rpath)
            if name and "/" not in name and os.path.isdir(lpath) and self.isdir(name):
                lpath = os.path.join(lpath, name)
        super().get(rpath, lpath, recursive=recursive, **kwargs)

    def _contents(self, paths: Sequence[str]) -> list[bytes | BaseException]:
        """The bytes of each file, or its error."""
        found: list[Node | BaseException] = [self._file_node_or_error(path) for path in paths]
        contents = iter(self._tree.read_all([node for node in found if isinstance(node, Node)]))
        return [next(contents) if isinstance(node, Node) else node for node in found]

    def _file_node_or_error(self, path: str) -> Node | BaseException:
        try:
            return self._file_node(path)
        except OSError as error:
            return error

    def _open(self, path: str, mode: str = "rb", block_size: Any = None, **kwargs: Any) -> StoredFile:  # noqa: ANN401
        if mode != "rb":
            self._refuse()
        size = self._file_node(path).size
        return StoredFile(self, path, mode, block_size, **kwargs | {"size": size})

    # ----- writing -----

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        """Raise the error of everything that writes."""
        raise OSError(errno.EROFS, READ_ONLY)

    mkdir = makedirs = rmdir = rm = rm_file = _rm = cp_file = copy = mv = touch = _refuse
    put = put_file = pipe = pipe_file = _refuse


class StoredFile(AbstractBufferedFile):
    """An open file of a store."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self.fs.cat_file(self.path, start, end)


def _make_again(
    file_system: type[ImageStoreFileSystem], arguments: Mapping[str, Any]
) -> ImageStoreFileSystem:
    return file_system(**arguments)


def _bytes(path: str) -> bytes:
    return b"/" + path.encode(errors="surrogateescape")


def _is_wanted(data: bytes | BaseException, on_error: str) -> bool:
    """Whether bytes or an error belong to a result. Raises the error if `on_error` says so."""
    if isinstance(data, BaseException) and on_error == "raise":
        raise data
    return not isinstance(data, BaseException) or on_error == "return"


def _info(path: str, node: Node) -> dict[str, Any]:
    return {
        "name": path,
        "size": node.size if node.is_file else 0,
        "type": "directory" if node.is_folder else "file" if node.is_file else "other",
        "created": node.ctime_ns / 1e9,
        "mtime": node.mtime_ns / 1e9,
        "mode": node.mode,
    }


fsspec.register_implementation(PROTOCOL, ImageStoreFileSystem, clobber=True)
