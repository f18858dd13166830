"""Follow the links of HDF5 files: soft links, and external links into other files that may be read.

HDF5 can follow links by itself, but then a store from a stranger could name any file of its reader. Here the
path is taken link by link. A link into another file is followed if that file is in the folder of the file
that holds the link, or below it. `follow_external` allows every other file too.
"""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import h5py
from h5py import h5d, h5f, h5g, h5l, h5o, h5p, h5t

from imagestore.console import UserError
from imagestore.hdf5.open_descriptor import open_descriptor
from imagestore.hdf5.open_hdf5 import ERRORS_OF_H5PY, path_of_descriptor

MOST_LINKS = 40  # on one path, as in Linux; more are a circle
MOST_OPEN_FILES = 64  # that external links lead to
NOWHERE = "lead nowhere"
UNREADABLE = "lead into files that cannot be read as HDF5"
OUTSIDE = "lead into files outside the folder of the store, which are only read with --follow-external"

Object = h5g.GroupID | h5d.DatasetID | h5t.TypeID


class LinkNotFollowed(OSError):
    """A link that leads nowhere, or into a file that may not be read. `reason` is a constant above."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"links that {reason}")
        self.reason = reason


class Place(NamedTuple):
    """An object, and the file that holds it."""

    object: Object
    folder: Path  # of the file that holds the object
    is_in_store: bool = True  # False: an external link led to another file
    through_link: bool = False  # whether a soft or an external link led here

    @property
    def address(self) -> tuple[int, int]:
        """The number of the file and the object's address in it: equal for two paths to one object."""
        info = h5o.get_info(self.object)
        return info.fileno, info.addr


@dataclass
class LinkFollower:
    """Finds what the links of one file lead to. Keeps the files open that external links lead to."""

    follow_external: bool = False
    _files: OrderedDict[Path, h5f.FileID] = field(default_factory=OrderedDict)
    _store: tuple[Path, Place] | None = None  # the real path of the store, and its root group

    def root(self, file: h5py.File, path: Path) -> Place:
        """The root group of an open file, whose real path is that of `path`."""
        real = Path(os.path.realpath(path))
        root = Place(h5o.open(file.id, b"/"), real.parent)
        self._store = real, root
        return root

    def open(self, group: Place, path: bytes) -> Place:
        """The object at a path below a group. Raises LinkNotFollowed, or an error of h5py for damage."""
        place, waiting, links = group, deque(path.split(b"/")), 0
        while waiting:
            name = waiting.popleft()
            if name in (b"", b"."):
                continue
            if not isinstance(place.object, h5g.GroupID) or not place.object.links.exists(name):
                raise LinkNotFollowed(NOWHERE)
            if place.object.links.get_info(name).type == h5l.TYPE_HARD:
                place = place._replace(object=h5o.open(place.object, name))
                continue
            links += 1
            if links > MOST_LINKS:
                raise LinkNotFollowed(NOWHERE)
            place, target = self._follow(place, name)
            waiting.extendleft(reversed(target.split(b"/")))
        return place

    def _follow(self, place: Place, name: bytes) -> tuple[Place, bytes]:
        """Where the target of a soft or an external link begins, and its path from there."""
        if place.object.links.get_info(name).type == h5l.TYPE_SOFT:
            target = place.object.links.get_val(name)
            if target.startswith(b"/"):
                place = place._replace(object=h5o.open(place.object, b"/"))
            return place._replace(through_link=True), target
        if place.object.links.get_info(name).type != h5l.TYPE_EXTERNAL:  # of a kind that a program made up
            raise LinkNotFollowed(NOWHERE)
        file_name, target = place.object.links.get_val(name)
        file = self._find_file(place.folder, Path(os.fsdecode(file_name)))
        if self._store is not None and file == self._store[0]:  # HDF5 would not open it twice
            return self._store[1]._replace(through_link=True), target
        root = h5o.open(self._open_file(file), b"/")
        return Place(root, file.parent, is_in_store=False, through_link=True), target

    def _find_file(self, folder: Path, name: Path) -> Path:
        """The real path of a file that a file in `folder` names.

        As HDF5 does, this looks beside the link's own file if an absolute path leads nowhere.
        """
        file = next((file for file in (folder / name, folder / name.name) if file.is_file()), None)
        if file is None:
            raise LinkNotFollowed(NOWHERE)
        real = Path(os.path.realpath(file))
        if not self.follow_external and not real.is_relative_to(folder):
            raise LinkNotFollowed(OUTSIDE)
        return real

    def _open_file(self, path: Path) -> h5f.FileID:
        """Open a file without locks. It stays open as long as objects in it are in use."""
        if path not in self._files:
            access = h5p.create(h5p.FILE_ACCESS)
            access.set_file_locking(False, True)
            access.set_fclose_degree(h5f.CLOSE_WEAK)
            try:
                descriptor = open_descriptor(path)
                try:
                    opened = bytes(path_of_descriptor(descriptor, path))
                    self._files[path] = h5f.open(opened, h5f.ACC_RDONLY, access)
                finally:
                    os.close(descriptor)
            except (*ERRORS_OF_H5PY, UserError):
                raise LinkNotFollowed(UNREADABLE) from None
            if len(self._files) > MOST_OPEN_FILES:
                self._files.popitem(last=False)
        self._files.move_to_end(path)
        return self._files[path]
