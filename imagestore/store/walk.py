"""The index of a file that has none: every dataset is visited, and links are followed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
from h5py import h5a, h5d, h5g, h5l, h5o

from imagestore import stored_names
from imagestore.hdf5.datasets import data_offset, is_bytes
from imagestore.hdf5.entry import NO_OFFSET
from imagestore.hdf5.group_links import GroupLink, links_of
from imagestore.hdf5.held_files import OTHER_FILE
from imagestore.hdf5.links import LinkFollower, LinkNotFollowed, Place
from imagestore.hdf5.plain_datasets import PlainDataset, first_byte, read_plain_dataset
from imagestore.store.held_images import images_in, is_folder_of_images
from imagestore.store.image_attributes import read_record
from imagestore.store.index import StoreIndex
from imagestore.store.index_builder import IndexBuilder
from imagestore.store.record import ImageRecord
from imagestore.store.storage_groups import FileAndAddress, LabelledObjects

NO_LABEL = b""  # of the images at the root
MOST_VISITS = 64  # of one group under one label: links can make more paths than anybody can visit


def walk(
    file: h5py.File,
    on_image: Callable[[], object] | None = None,
    path: Path | None = None,
    links: LinkFollower | None = None,
    fd: int = OTHER_FILE,
) -> StoreIndex:
    """The index of an open HDF5 file, with each image that its datasets hold. Links are followed.

    Every 1-D uint8 dataset is an image; for others see held_files.py. The label of an image is its top-level
    group, or NO_LABEL at the root. A dataset of many images is a group of them. An image at the root that
    also stands under a label is left out. `on_image` is called for each image. `path` is the file's own name,
    by default that by which h5py opened it; `links` decides which links are followed. `fd` is the file as a
    descriptor; without it, the images in datasets of other kinds have no offset. Raises the errors of h5py if
    the file is damaged.
    """
    walker = _Walker(links or LinkFollower(), IndexBuilder(on_image), file, fd)
    root, at_root = walker.links.root(file, path or Path(file.filename)), []
    for name, member in walker.members(root, b""):
        if isinstance(member.object, h5g.GroupID):
            walker.add_group(member, name, b"", (root.address,), Counter())
        elif walker.is_folder_of_images(member):
            walker.add_dataset(member, name, b"")
        else:
            at_root.append((name, member))
            walker.builder.covers_whole_file = False
    for name, member in at_root:
        if member.address not in walker.objects:
            walker.add_dataset(member, NO_LABEL, name)
    walker.builder.remarks.storage_groups = {
        stored_names.decode(label): rest for label, rest in walker.objects.storage_groups().items()
    }
    return walker.builder.build()


class PlainPlace(NamedTuple):
    """A dataset in the store that is an image, and was read without HDF5. See links.Place."""

    dataset: PlainDataset
    address: FileAndAddress
    through_link: bool
    object: None = None


class _Walker:
    """A walk through one file: what it follows, and what it has found."""

    def __init__(self, links: LinkFollower, builder: IndexBuilder, file: h5py.File, fd: int) -> None:
        self.links, self.builder, self.objects, self.fd = links, builder, LabelledObjects(), fd
        self.first_byte = None if fd == OTHER_FILE else first_byte(file.id, fd)

    def members(self, group: Place, prefix: bytes) -> Iterator[tuple[bytes, Place | PlainPlace]]:
        """(name, object) of each member of a group, whose path `prefix` ends in "/" if not empty.

        The index does not cover links and permissions. Links that cannot be followed are noted in remarks.
        """
        if h5a.exists(group.object, b"Permissions"):
            self.builder.covers_whole_file = False
        file_number, _ = group.address
        for name, link in links_of(group.object).items():
            if link.type == h5l.TYPE_HARD:
                plain = self._plain_dataset(group, link)
                if plain is None:
                    yield name, group._replace(object=h5o.open(group.object, name))
                else:
                    yield name, PlainPlace(plain, (file_number, link.address), group.through_link)
                continue
            self.builder.covers_whole_file = False
            try:
                yield name, self.links.open(group, name)
            except LinkNotFollowed as error:
                self.builder.remarks.leave_link_out(error.reason, prefix + name)

    def _plain_dataset(self, group: Place, link: GroupLink) -> PlainDataset | None:
        """What a hard link leads to, if that can be read without HDF5."""
        if self.first_byte is None or not group.is_in_store:
            return None
        return read_plain_dataset(self.fd, self.first_byte, link.address)

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
        address = group.address
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

    def add_dataset(self, place: Place | PlainPlace, label: bytes, name: bytes) -> None:
        """Add the images that a dataset holds: one, one for each element, or none."""
        if isinstance(place, PlainPlace):
            dataset = place.dataset
            self.builder.add(ImageRecord(label=label, name=name, size=dataset.length), dataset.offset)
            if label != NO_LABEL:
                self.objects.add(label, place.address, place.through_link)
            return
        dataset, before = place.object, len(self.builder)
        if isinstance(dataset, h5d.DatasetID) and is_bytes(dataset):
            offset = data_offset(dataset) if place.is_in_store else NO_OFFSET
            self.builder.add(read_record(dataset, label, name, dataset.shape[0]), offset)
            if h5a.exists(dataset, b"Permissions"):
                self.builder.covers_whole_file = False
        else:
            self.builder.covers_whole_file = False
            for image, offset in self._images_in(place, label, name):
                self.builder.add(image, offset)
        if len(self.builder) > before and not place.is_in_store:
            self.builder.remarks.uses_other_files = True
        if len(self.builder) > before and label != NO_LABEL:
            self.objects.add(label, place.address, place.through_link)

    def _images_in(self, place: Place, label: bytes, name: bytes) -> Iterable[tuple[ImageRecord, int]]:
        if not isinstance(place.object, h5d.DatasetID):
            return ()
        return images_in(place.object, label, name, self._fd_of(place), self.links.follow_external)

    def is_folder_of_images(self, place: Place | PlainPlace) -> bool:
        """Whether an object is a dataset that holds an image for each element."""
        return isinstance(place.object, h5d.DatasetID) and is_folder_of_images(
            place.object, self._fd_of(place), self.links.follow_external
        )

    def _fd_of(self, place: Place) -> int:
        return self.fd if place.is_in_store else OTHER_FILE
