"""The index of a file that has none: every dataset is visited, and links are followed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
from h5py import h5a, h5d, h5g, h5l, h5o

from imagestore import stored_names
from imagestore.hdf5.datasets import data_offset, is_bytes
from imagestore.hdf5.entry import NO_OFFSET
from imagestore.hdf5.links import LinkFollower, LinkNotFollowed, Place
from imagestore.store.image_attributes import read_record
from imagestore.store.index import IndexBuilder, StoreIndex
from imagestore.store.storage_groups import FileAndAddress, LabelledObjects

NO_LABEL = b""  # of the images at the root
MOST_VISITS = 64  # of one group under one label: links can make more paths than anybody can visit


def walk(
    file: h5py.File,
    on_image: Callable[[], object] | None = None,
    path: Path | None = None,
    links: LinkFollower | None = None,
) -> StoreIndex:
    """The index of an open HDF5 file: every 1-D uint8 dataset is an image, and links are followed.

    The label of an image is its top-level group, or NO_LABEL at the root. An image at the root that also
    stands under a label is left out. `on_image` is called for each image. `path` is the file's own name, by
    default that by which h5py opened it; `links` decides which links are followed. Raises the errors of h5py
    if the file is damaged.
    """
    walker = _Walker(links or LinkFollower(), IndexBuilder(on_image))
    root, at_root = walker.links.root(file, path or Path(file.filename)), []
    for name, member in walker.members(root, b""):
        if isinstance(member.object, h5g.GroupID):
            walker.add_group(member, name, b"", (_address(root),), Counter())
        else:
            at_root.append((name, member))
            walker.builder.covers_whole_file = False
    for name, member in at_root:
        if _address(member) not in walker.objects:
            walker.add_dataset(member, NO_LABEL, name)
    walker.builder.remarks.storage_groups = [
        stored_names.decode(label) for label in walker.objects.storage_groups()
    ]
    return walker.builder.build()


class _Walker:
    """A walk through one file: what it follows, and what it has found."""

    def __init__(self, links: LinkFollower, builder: IndexBuilder) -> None:
        self.links, self.builder, self.objects = links, builder, LabelledObjects()

    def members(self, group: Place, prefix: bytes) -> Iterator[tuple[bytes, Place]]:
        """(name, object) of each member of a group, whose path `prefix` ends in "/" if not empty.

        The index does not cover links and permissions. Links that cannot be followed are noted in remarks.
        """
        if h5a.exists(group.object, b"Permissions"):
            self.builder.covers_whole_file = False
        for name in group.object:
            if group.object.links.get_info(name).type == h5l.TYPE_HARD:
                yield name, group._replace(object=h5o.open(group.object, name))
                continue
            self.builder.covers_whole_file = False
            try:
                yield name, self.links.open(group, name)
            except LinkNotFollowed as error:
                self.builder.remarks.leave_link_out(error.reason, prefix + name)

    def add_group(
        self,
        group: Place,
        label: bytes,
        prefix: bytes,
        above: tuple[FileAndAddress, ...],
        visits: Counter[FileAndAddress],
    ) -> None:
        """Add the images below a group; `prefix` is its path below the label, ending in "/" if not empty.

        `above` are the groups on this path, and `visits` counts how often each group was visited.
        """
        address = _address(group)
        visits[address] += 1
        if (
            address in above or visits[address] > MOST_VISITS
        ):  # a group that contains itself is visited already
            return
        for name, member in self.members(group, label + b"/" + prefix):
            if isinstance(member.object, h5g.GroupID):
                self.builder.covers_whole_file = False  # the attributes of deeper groups are not in the index
                self.add_group(member, label, prefix + name + b"/", (*above, address), visits)
            else:
                self.add_dataset(member, label, prefix + name)

    def add_dataset(self, place: Place, label: bytes, name: bytes) -> None:
        """Add a dataset if it is an image."""
        dataset = place.object
        if not (isinstance(dataset, h5d.DatasetID) and is_bytes(dataset)):
            self.builder.covers_whole_file = False
            return
        offset = data_offset(dataset) if place.is_in_store else NO_OFFSET
        self.builder.add(read_record(dataset, label, name), offset)
        if h5a.exists(dataset, b"Permissions"):
            self.builder.covers_whole_file = False
        if not place.is_in_store:
            self.builder.remarks.uses_other_files = True
        if label != NO_LABEL:
            self.objects.add(label, _address(place), place.through_link)


def _address(place: Place) -> FileAndAddress:
    """The number of the file and the address in it: equal for two paths to one object."""
    info = h5o.get_info(place.object)
    return info.fileno, info.addr
