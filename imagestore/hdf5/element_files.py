"""The files that one dataset holds, one for each element. This module does not import h5py."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

FEWEST_DIGITS = 6  # of an element's number in its name


class ElementFiles(NamedTuple):
    """The files of a dataset with n elements, in C order. Sizes and offsets are in bytes.

    Where `heap_number` is 0, `offset` is where the file's bytes are, or NO_OFFSET if only HDF5 can read them.
    Elsewhere `offset` is that of a collection of the global heap, and `heap_number` the object in it.
    """

    suffix: str  # of all names: ".jpg", or "" if the elements are no images
    size: np.ndarray  # int64 (n,)
    offset: np.ndarray  # int64 (n,)
    heap_number: np.ndarray  # int64 (n,)

    def names(self, first: int = 0) -> Iterator[bytes]:
        """The names of the files from number `first` on. They sort as their numbers."""
        digits, suffix, count = self._digits(), self.suffix.encode(), len(self.size)
        return (b"%0*d%b" % (digits, number, suffix) for number in range(first, count))

    def number(self, name: bytes) -> int | None:
        """The number of the element that has this name; None if none has."""
        number = element_number(name)
        if number is None or number >= len(self.size):
            return None
        return number if name == b"%0*d%b" % (self._digits(), number, self.suffix.encode()) else None

    def _digits(self) -> int:
        return max(FEWEST_DIGITS, len(str(len(self.size))))


def element_number(name: bytes) -> int | None:
    """The number in a name that ElementFiles gives; None if there is none."""
    with contextlib.suppress(ValueError):
        return int(name.partition(b".")[0]) if name[:1].isdigit() else None
    return None
