"""How much metadata of a store HDF5 keeps in memory: the names in its groups, and little more.

The names of a group are one block (its local heap), written out whole when the cache must make room, and read
again for the next name: with a million images in a few groups, that took half of the time. So the blocks
must fit. What room there is beyond them fills with the headers of datasets that nobody needs again, and
each of those takes 12 KB of memory where HDF5 counts 0.7 (measured, HDF5 1.14 and 2.0). Used by store
and partial.
"""

from __future__ import annotations

import h5py
import numpy as np

from imagestore.store.index import StoreIndex

# How HDF5 lays out the names of a group: H5HL_ALIGN in H5HLprivate.h; the hint in H5G__obj_create (H5Gobj.c).
ALIGNMENT = 8  # bytes; a name ends in a NUL


EMPTY_NAME = 8  # bytes that every block begins with


FIRST_BLOCK = 88  # bytes; a block that is full is doubled


NODES = 2 << 10  # bytes of the tree of a group that the next name needs


ROOM = 512 << 10  # bytes for all else


LARGEST_CACHE = 128 << 20  # bytes; H5C__MAX_MAX_CACHE_SIZE


class MetadataCache:
    """The metadata cache of an open file, kept as large as the names in its groups need it to be.

    `blocks` has the size in bytes of each group's names as HDF5 allocates them, by label.
    """

    def __init__(self, file: h5py.File, index: StoreIndex | None) -> None:
        """`index` says what the file holds already."""
        self._file = file
        self._used = {} if index is None else _bytes_of_names(index)
        self.blocks = {label: _block(used) for label, used in self._used.items()}
        if index is not None and not index.fresh:  # grown by another rule, but never to more than this
            self.blocks = {label: 2 * block for label, block in self.blocks.items()}
        self._total = sum(self.blocks.values()) + NODES * len(self.blocks)
        self._resize()

    def add(self, label: bytes, name: bytes) -> None:
        """Count a name that was added to the group `label`."""
        used = self._used[label] = self._used.get(label, EMPTY_NAME) + int(_aligned(len(name)))
        block = self.blocks.get(label, 0)
        if used > block:
            self.blocks[label] = _block(used)
            self._total += self.blocks[label] - block + (0 if block else NODES)
            self._resize()

    def _resize(self) -> None:
        config = self._file.id.get_mdc_config()
        config.set_initial_size = True
        config.initial_size = config.min_size = config.max_size = min(ROOM + self._total, LARGEST_CACHE)
        self._file.id.set_mdc_config(config)


def _bytes_of_names(index: StoreIndex) -> dict[bytes, int]:
    total = np.cumsum(_aligned(np.diff(index.column("name_end"), prepend=0)))
    used = np.diff(np.concatenate([[0], total])[index.start])
    return {label: EMPTY_NAME + int(n) for label, n in zip(index.label_bytes, used, strict=True)}


def _aligned(length: int | np.ndarray) -> int | np.ndarray:
    return (length // ALIGNMENT + 1) * ALIGNMENT


def _block(used: int) -> int:
    block = FIRST_BLOCK
    while block < used:
        block *= 2
    return block
