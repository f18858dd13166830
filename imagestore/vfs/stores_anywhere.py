"""Find and open stores on this machine, or behind another file system of fsspec."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from imagestore.console import UserError
from imagestore.hdf5.helper_process import HelperProcess
from imagestore.store.expand_paths import GLOB_CHARACTERS, expand_paths
from imagestore.vfs.indexed_source import IndexedSource, complete_index
from imagestore.vfs.open_tree import open_tree
from imagestore.vfs.remote_file import RemoteStoreFile
from imagestore.vfs.tree import Tree

StorePath = str | os.PathLike
Remote = tuple[AbstractFileSystem, str]  # a file system, and the path of a store in it


def absolute(store: StorePath, target_protocol: str | None) -> str:
    """A path that leads to the same store from any folder. URLs and paths elsewhere stay as they are."""
    text = os.fspath(store)
    is_local = target_protocol in (None, *LocalFileSystem.protocol) and "::" not in text and "://" not in text
    return os.path.abspath(os.path.expanduser(text)) if is_local else text


def find_stores(
    stores: Sequence[str], target_protocol: str | None, target_options: Mapping[str, Any]
) -> list[Path | Remote]:
    """Where the stores are. Raises FileNotFoundError, UserError."""
    places: list[Path | Remote] = []
    for store in stores:
        if target_protocol is None:
            file_system, place = fsspec.url_to_fs(store, **target_options)
        else:
            file_system = fsspec.filesystem(target_protocol, **target_options)
            place = file_system._strip_protocol(store)
        if isinstance(file_system, LocalFileSystem):
            places += expand_paths([place])
        elif GLOB_CHARACTERS & set(place) and not file_system.exists(place):
            places += ((file_system, found) for found in sorted(file_system.glob(place)))
        else:
            places.append(_local_copy(file_system, place) or (file_system, place))
    if not places:
        raise FileNotFoundError(errno.ENOENT, "no file matches", ", ".join(stores))
    return places


def _local_copy(file_system: AbstractFileSystem, place: str) -> Path | None:
    """The file on this machine of a file system that copies whole files (simplecache, filecache); or None."""
    if not getattr(file_system, "local_file", False):
        return None
    with file_system.open(place) as file:
        return Path(file.name)


def state_of(place: Path | Remote) -> tuple[object, ...]:
    """What tells a store, and a state of it, from all others."""
    if isinstance(place, Path):
        try:
            status = os.stat(place)
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, "there is no such store", str(place)) from None
        return str(place), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
    file_system, path = place
    return file_system, path, file_system.ukey(path)


def open_stores(places: Sequence[Path | Remote], side_by_side: bool, follow_external: bool) -> Tree:
    """The tree of stores on this machine, or of stores that are elsewhere. Raises UserError."""
    local = [place for place in places if isinstance(place, Path)]
    if len(local) == len(places):
        return open_tree(local, side_by_side=side_by_side, follow_external=follow_external)
    if local:
        raise ValueError(
            "give stores on this machine, or stores elsewhere: both in one tree are not possible"
        )
    sources: list[IndexedSource] = []
    try:
        for number, (file_system, path) in enumerate(places):
            sources.append(_open_remote(file_system, path, number))
        return Tree(sources, side_by_side)
    except BaseException:
        for source in sources:
            source.close()
        raise


def _open_remote(file_system: AbstractFileSystem, path: str, number: int) -> IndexedSource:
    file = RemoteStoreFile(file_system, path)
    index = complete_index(file.fd)
    if index is None:
        file.close()
        raise UserError(
            f"{file.url}: its index is damaged, or does not tell all: copy the file, and read that"
        )
    # HDF5 is never asked: attributes are no part of this file system.
    return IndexedSource(file, HelperProcess(file.path, lambda: file.fd), number, index)
