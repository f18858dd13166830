"""An entry of a group: one link, and the object that it leads to. This module does not import h5py."""

from __future__ import annotations

from typing import NamedTuple

GROUP, BYTES, ELEMENTS, ARRAY, DAMAGED = "group", "bytes", "elements", "array", "damaged"
SOFT_LINK, EXTERNAL_LINK, UNSHOWN = "soft link", "external link", "cannot be shown"
NO_OFFSET = -1  # in place of an offset: only HDF5 can read the bytes of this dataset


class Entry(NamedTuple):
    """One link of a group and the object that it leads to. Sizes in bytes, times in seconds since 1970."""

    name: bytes
    # GROUP, BYTES (a dataset that is a file), ELEMENTS (a dataset whose elements are files), ARRAY (any other
    # dataset), SOFT_LINK, EXTERNAL_LINK, UNSHOWN or DAMAGED
    kind: str
    address: tuple[int, int] = (0, 0)  # number of the file, address in it: equal for hard links
    links: int = 1  # hard links to the object
    size: int = 0  # as a file
    stored: int = 0  # in the HDF5 file: less than `size` if compressed
    offset: int = NO_OFFSET  # of the bytes in the file
    modified: int | None = None
    created: int | None = None
    permissions: int | None = None
    target: bytes = b""  # of a link; of UNSHOWN, the reason
    target_is_array: bool = False  # of a soft link
    shadowed: bool = False  # a link NAME.npy exists beside this array, or beside the target
