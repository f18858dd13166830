"""Which images of a store can get another label in place, and what is known of them then."""

from __future__ import annotations

from dataclasses import replace

from h5py import h5g, h5l, h5o
from isal.isal_zlib import crc32

from imagestore import stored_names
from imagestore.store.label_names import group_name
from imagestore.store.reader import ImageStore, StoreError
from imagestore.store.record import ImageRecord


def why_not_movable(store: ImageStore, i: int) -> str:
    """Why image `i` cannot be moved or removed without others; "" if it can. Raises the errors of h5py."""
    if store.index.covers_whole_file:
        return ""
    place = store.hdf5().id
    for name in store.path_in_file(i).split(b"/"):
        if not isinstance(place, h5g.GroupID) or not place.links.exists(name):
            return "it is one of several images in a dataset"
        if place.links.get_info(name).type != h5l.TYPE_HARD:
            return "it stands behind a link"
        place = h5o.open(place, name)
    return ""


def group_of_label(store: ImageStore, label: str) -> bytes:
    """The group that holds the images of a label, or will.

    If the store has no such label, but a group of that name, it is that group: AC%2FDC stands for AC/DC.
    """
    as_given, group = stored_names.encode(label), stored_names.encode(group_name(label))
    groups = store.index.label_bytes
    return as_given if as_given in groups and group not in groups else group


def moved_record(store: ImageStore, i: int, group: bytes) -> ImageRecord:
    """What is known of image `i` when it stands in `group`; its bytes are read.

    Raises StoreError if they cannot be read, or if they have not the checksum that they were stored with.
    """
    record, checksum = store.index.record(i), crc32(store.read(i))
    if record.crc32 not in (None, checksum):
        raise StoreError(
            f"{store.path}: damaged: {store.path_of(i)} does not have the checksum it was stored with"
        )
    name = record.name.rpartition(b"/")[2]
    return replace(record, label=group, name=name, member=record.member or name, crc32=checksum)
