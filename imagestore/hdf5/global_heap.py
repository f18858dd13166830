"""The global heap of an HDF5 file, where elements of variable length are. This module does not import h5py.

A dataset of such elements only holds a descriptor of each: its length, the address of a collection of the
heap, and a number in that collection. HDF5 File Format Specification, III.E, "Level 1E - Global Heap".
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable

COLLECTION_HEADER = struct.Struct("<4sB3xQ")  # signature, version, size of the whole collection
OBJECT_HEADER = struct.Struct("<HH4xQ")  # number, references, size of its bytes
ALIGNMENT = 8  # bytes; each object is padded to a multiple
READ_AT_ONCE = 4096  # bytes; HDF5's smallest collection
MOST_OBJECTS = (1 << 16) - 1  # of a collection: their numbers have 16 bits, and 0 is free room


class HeapReader:
    """Finds the objects of one file's global heap. It keeps the collection that it read last."""

    def __init__(self, fd: int | Callable[[], int]) -> None:
        """`fd` is the file, open for reading, or opens it."""
        self._get_fd = fd if callable(fd) else lambda: fd
        self._collection = -1
        self._objects: dict[int, tuple[int, int]] = {}

    def place_of(self, collection: int, number: int, size: int) -> int:
        """Where the bytes of an object are in the file; `collection` is the offset of its collection.

        Raises OSError (EIO) if there is no such object, or if it has fewer than `size` bytes.
        """
        if collection != self._collection:
            self._objects = _objects(self._get_fd(), collection)
            self._collection = collection
        place, length = self._objects.get(number, (-1, -1))
        if length < size:
            raise _damaged()
        return place


def _objects(fd: int, collection: int) -> dict[int, tuple[int, int]]:
    """(offset in the file, size) of each object of a collection, by its number. Raises OSError (EIO)."""
    block, start = os.pread(fd, READ_AT_ONCE, collection), collection
    if len(block) < COLLECTION_HEADER.size:
        raise _damaged()
    signature, version, size = COLLECTION_HEADER.unpack_from(block)
    if (signature, version) != (b"GCOL", 1):
        raise _damaged()
    objects: dict[int, tuple[int, int]] = {}
    at, end = collection + COLLECTION_HEADER.size, collection + size
    while at + OBJECT_HEADER.size <= end and len(objects) < MOST_OBJECTS:
        if at + OBJECT_HEADER.size > start + len(block):
            block, start = os.pread(fd, READ_AT_ONCE, at), at
            if len(block) < OBJECT_HEADER.size:
                break
        number, _, length = OBJECT_HEADER.unpack_from(block, at - start)
        place = at + OBJECT_HEADER.size
        if number == 0 or number in objects or length > end - place:
            break
        objects[number] = (place, length)
        at = place + -(-length // ALIGNMENT) * ALIGNMENT
    return objects


def _damaged() -> OSError:
    return OSError(errno.EIO, "damaged: an element is not where its dataset says")
