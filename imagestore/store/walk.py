"""The index of a file that has none: every dataset is visited."""

from __future__ import annotations

from collections.abc import Callable

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5o, h5t

from imagestore.hdf5.datasets import integer_attribute, is_bytes
from imagestore.store.index import READ_ONLY_THROUGH_HDF5, IndexBuilder, StoreIndex
from imagestore.store.record import ImageRecord


def walk(file: h5py.File, seen: Callable[[], object] | None = None) -> StoreIndex:
    """The index of an open HDF5 file, by visiting every dataset below its top-level groups.

    `seen` is called for each image.
    """
    builder = IndexBuilder(seen)
    for label in _hard_links(file.id, builder):
        group = h5o.open(file.id, label)
        if isinstance(group, h5g.GroupID):
            _walk_group(group, label, b"", (), builder)
        else:
            builder.whole = False
    return builder.build()


def _hard_links(group: h5g.GroupID, builder: IndexBuilder) -> list[bytes]:
    names = list(group)
    hard = [name for name in names if group.links.get_info(name).type == h5l.TYPE_HARD]
    builder.whole = builder.whole and len(hard) == len(names) and not h5a.exists(group, b"Permissions")
    return hard


def _walk_group(group: h5g.GroupID, label: bytes, prefix: bytes, above: tuple, builder: IndexBuilder) -> None:
    address = h5o.get_info(group).addr
    if address in above:  # a group that holds itself: every image in it has been seen
        return
    for name in _hard_links(group, builder):
        thing = h5o.open(group, name)
        if isinstance(thing, h5g.GroupID):
            builder.whole = False  # what else is known of it is not kept here
            _walk_group(thing, label, prefix + name + b"/", (*above, address), builder)
        elif isinstance(thing, h5d.DatasetID) and is_bytes(thing):
            offset = thing.get_offset()
            at = READ_ONLY_THROUGH_HDF5 if offset is None else offset
            builder.add(_record_of(thing, label, prefix + name), at)
            builder.whole = builder.whole and not h5a.exists(thing, b"Permissions")
        else:
            builder.whole = False


def _record_of(dataset: h5d.DatasetID, label: bytes, name: bytes) -> ImageRecord:
    """What the store knows of one image, from its dataset and the dataset's attributes."""
    return ImageRecord(
        label=label,
        name=name,
        size=dataset.shape[0],
        member=_member(dataset),
        crc32=integer_attribute(dataset, b"crc32"),
        mtime=integer_attribute(dataset, b"Modified") or 0,
        created=integer_attribute(dataset, b"Created") or 0,
    )


def _member(dataset: h5d.DatasetID) -> bytes:
    if not h5a.exists(dataset, b"member"):
        return b""
    attribute = h5a.open(dataset, b"member")
    kind = attribute.get_type()
    if attribute.shape != () or not isinstance(kind, h5t.TypeStringID) or kind.is_variable_str():
        return b""
    value = np.empty((), f"S{kind.get_size()}")
    attribute.read(value, mtype=kind)
    return value.item()
