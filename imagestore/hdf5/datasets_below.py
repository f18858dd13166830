"""The datasets in an HDF5 file, each once, behind links too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
from h5py import h5d, h5g, h5l, h5o

from imagestore import stored_names
from imagestore.hdf5.links import OUTSIDE, LinkFollower, LinkNotFollowed, Place


class FoundDataset(NamedTuple):
    """A dataset, and the path that led to it."""

    path: str  # from the root of the file, without a leading slash
    dataset: h5py.Dataset


def datasets_below(
    file: h5py.File,
    file_path: Path,
    group: str = "",
    *,
    follow_external: bool = False,
    outside: list[str] | None = None,
) -> Iterator[FoundDataset]:
    """Every dataset below a group of an open file, each once: by a hard link if there is one.

    Soft links are followed, and external links into files that are in the folder of `file_path` or below it,
    or into all with `follow_external`. `outside` gets the paths of the others.
    """
    follower = LinkFollower(follow_external)
    root = follower.root(file, file_path)
    start = follower.open(root, stored_names.encode(group)) if group else root
    seen: set[tuple[int, int]] = set()
    waiting = [(start, group)]
    links: list[tuple[Place, str]] = []
    while waiting or links:
        if waiting:
            place, path = waiting.pop()
        else:  # links come last, since what they lead to may have a name of its own
            holder, path = links.pop(0)
            try:
                place = follower.open(holder, stored_names.encode(path.rpartition("/")[2]))
            except LinkNotFollowed as error:
                if outside is not None and error.reason == OUTSIDE:
                    outside.append(path)
                continue
        address = place.address
        if address in seen:
            continue
        seen.add(address)
        if isinstance(place.object, h5d.DatasetID):
            yield FoundDataset(path, h5py.Dataset(place.object))
        elif isinstance(place.object, h5g.GroupID):
            below, linked = _members(place, path)
            waiting += reversed(below)
            links += linked


def find_object(
    file: h5py.File, file_path: Path, path: str, follow_external: bool = False
) -> h5py.Dataset | h5py.Group | None:
    """The dataset or group at a path; None if there is none. Raises LinkNotFollowed."""
    follower = LinkFollower(follow_external)
    found = follower.open(follower.root(file, file_path), stored_names.encode(path)).object
    if isinstance(found, h5d.DatasetID):
        return h5py.Dataset(found)
    return h5py.Group(found) if isinstance(found, h5g.GroupID) else None


def _members(group: Place, path: str) -> tuple[list[tuple[Place, str]], list[tuple[Place, str]]]:
    """What a group holds itself, and its links: (group, path of the link)."""
    below, links = [], []
    for name in group.object:
        member_path = f"{path}/{stored_names.decode(name)}".lstrip("/")
        if group.object.links.get_info(name).type == h5l.TYPE_HARD:
            below.append((group._replace(object=h5o.open(group.object, name)), member_path))
        else:
            links.append((group, member_path))
    return below, links
