"""How much metadata of a store HDF5 keeps in memory: the names in its groups, and little more.

The names of a group are one block (its local heap). If the cache has no room for it, HDF5 writes the whole
block out and reads it again for the next name. With a million images in a few groups, that took half of the
time. So the blocks must fit. HDF5 fills any further room with the headers of datasets, which nobody needs
again: each of them takes 12 KB of memory, although HDF5 counts 0.7 (measured with HDF5 1.14 and 2.0).
"""

from __future__ import annotations

import h5py
import numpy as np

from imagestore.store.index import StoreIndex

# How HDF5 lays out the names of a group: H5HL_ALIGN in H5HLprivate.h; the hint in H5G__obj_create (H5Gobj.c).
ALIGNMENT = 8  # bytes; a name ends in a NUL
EMPTY_NAME = 8  # bytes at the beginning of each block
FIRST_BLOCK = 88  # bytes; a block that is full is doubled

NODES = 2 << 10  # bytes of a group's tree that the next name needs
ROOM = 512 << 10  # bytes for everything else
LARGEST_CACHE = 128 << 20  # bytes; H5C__MAX_MAX_CACHE_SIZE


class MetadataCache:
    """Keeps the metadata cache of an open file as large as the names in its groups need it to be."""

    def __init__(self, file: h5py.File, index: StoreIndex | None) -> None:
        """`index` tells which images the file holds already; None for an empty file."""
        self._file = file
        self._name_bytes = {} if index is None else _bytes_of_names(index)
        self.block_sizes = {label: _block_size(used) for label, used in self._name_bytes.items()}
        if index is not None and not index.written_with_store:
            # Another tool made the file. Its blocks grew by another rule, but never beyond twice the size.
            self.block_sizes = {label: 2 * size for label, size in self.block_sizes.items()}
        self._total = sum(self.block_sizes.values()) + NODES * len(self.block_sizes)
        self._resize()

    def add(self, label: bytes, name: bytes) -> None:
        """Count a name that was added to the group `label`."""
        used = self._name_bytes[label] = self._name_bytes.get(label, EMPTY_NAME) + int(_aligned(len(name)))
        block = self.block_sizes.get(label, 0)
        if used > block:
            self.block_sizes[label] = _block_size(used)
            self._total += self.block_sizes[label] - block + (0 if block else NODES)
            self._resize()

    def _resize(self) -> None:
        config = self._file.id.get_mdc_config()
        config.set_initial_size = True
        config.initial_size = config.min_size = config.max_size = min(ROOM + self._total, LARGEST_CACHE)
        self._file.id.set_mdc_config(config)


def _bytes_of_names(index: StoreIndex) -> dict[bytes, int]:
    """The bytes that the names of each group take in its block."""
    total = np.cumsum(_aligned(np.diff(index.column("name_end"), prepend=0)))
    used = np.diff(np.concatenate([[0], total])[index.start])
    return {label: EMPTY_NAME + int(n) for label, n in zip(index.label_bytes, used, strict=True)}


def _aligned(length: int | np.ndarray) -> int | np.ndarray:
    return (length // ALIGNMENT + 1) * ALIGNMENT


def _block_size(used: int) -> int:
    size = FIRST_BLOCK
    while size < used:
        size *= 2
    return size
