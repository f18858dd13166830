"""The index of a file that has none: every dataset is visited."""

from __future__ import annotations

from collections.abc import Callable

import h5py
from h5py import h5a, h5d, h5g, h5l, h5o

from imagestore.hdf5.datasets import data_offset, is_bytes
from imagestore.store.image_attributes import read_record
from imagestore.store.index import IndexBuilder, StoreIndex


def walk(file: h5py.File, on_image: Callable[[], object] | None = None) -> StoreIndex:
    """The index of an open HDF5 file: every 1-D uint8 dataset below a top-level group is an image.

    `on_image` is called for each image. Raises the errors of h5py if the file is damaged.
    """
    builder = IndexBuilder(on_image)
    for label in _hard_links(file.id, builder):
        group = h5o.open(file.id, label)
        if isinstance(group, h5g.GroupID):
            _walk_group(group, label, b"", (), builder)
        else:
            builder.covers_whole_file = False
    return builder.build()


def _hard_links(group: h5g.GroupID, builder: IndexBuilder) -> list[bytes]:
    """The names of a group's hard links. The index does not cover other links and permissions."""
    names = list(group)
    hard = [name for name in names if group.links.get_info(name).type == h5l.TYPE_HARD]
    if len(hard) < len(names) or h5a.exists(group, b"Permissions"):
        builder.covers_whole_file = False
    return hard


def _walk_group(
    group: h5g.GroupID, label: bytes, prefix: bytes, addresses_above: tuple[int, ...], builder: IndexBuilder
) -> None:
    """Add the images below a group; `prefix` is its path below the label, ending in "/" if not empty."""
    address = h5o.get_info(group).addr
    if address in addresses_above:  # the group contains itself: its images are visited already
        return
    for name in _hard_links(group, builder):
        member = h5o.open(group, name)
        if isinstance(member, h5g.GroupID):
            builder.covers_whole_file = False  # the attributes of deeper groups are not in the index
            _walk_group(member, label, prefix + name + b"/", (*addresses_above, address), builder)
        elif isinstance(member, h5d.DatasetID) and is_bytes(member):
            builder.add(read_record(member, label, prefix + name), data_offset(member))
            if h5a.exists(member, b"Permissions"):
                builder.covers_whole_file = False
        else:
            builder.covers_whole_file = False
