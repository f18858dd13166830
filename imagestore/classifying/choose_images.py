"""Choose random images from SOURCE: one or several stores, an archive, or a folder."""

from __future__ import annotations

import contextlib
import itertools
import random
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from imagestore.archive.open_archive import open_archive
from imagestore.archive.protocol import Archive
from imagestore.classifying.answer import Picture
from imagestore.classifying.true_labels import group_label, heuristic_label
from imagestore.console import note, printable
from imagestore.hdf5.superblock import is_hdf5
from imagestore.store.expand_paths import expand_paths
from imagestore.store.open_stores import open_stores
from imagestore.store.reader import ImageStore, StoreError

STORE_SUFFIXES = {".h5", ".hdf5", ".hdf"}


class Images(Protocol):
    """The images of SOURCE, numbered from 0."""

    def __len__(self) -> int:
        """The number of images."""

    def read(self, i: int) -> Picture:
        """Image `i`. Raises StoreError if this image cannot be read, UserError if the archive is damaged."""


@contextlib.contextmanager
def open_images(source: str, index: Path | None = None, heuristic: bool = False) -> Iterator[Images]:
    """Open the stores, the archive or the folder that SOURCE names. Raises UserError.

    A file is a store if its suffix or its content is that of HDF5. `index` is the index file of an archive.
    With `heuristic`, the true label of an archive's image is the one that the colour heuristic gives it.
    """
    paths = expand_paths([source])
    with contextlib.ExitStack() as opened:
        if len(paths) > 1 or paths[0].suffix in STORE_SUFFIXES or is_hdf5(paths[0]):
            yield StoreImages([opened.enter_context(store) for store in open_stores(paths)])
        else:
            yield ArchiveImages(opened.enter_context(open_archive(paths[0], index)), heuristic)


def choose_images(images: Images, count: int | None, seed: int | None) -> list[int]:
    """The numbers of `count` random images, or of all if it is None, in ascending order.

    If there are fewer images, all are chosen and the user is told. Without a `seed`, each call chooses anew.
    """
    if count is not None and count > len(images):
        note(f"classify: there are only {len(images):,} images: taking all of them")
    total = len(images) if count is None else min(count, len(images))
    return sorted(random.Random(seed).sample(range(len(images)), total))


def read_images(images: Images, chosen: list[int]) -> Iterator[Picture]:
    """The chosen images. Those that cannot be read are left out, and the user is told. Raises UserError."""
    for i in chosen:
        try:
            yield images.read(i)
        except StoreError as error:
            note(f"classify: skipped {printable(str(error))}")


class StoreImages:
    """The images of several stores, one store after the other; see Images."""

    def __init__(self, stores: list[ImageStore]) -> None:
        self._stores = stores
        self._ends = list(itertools.accumulate(map(len, stores)))  # of each store: one past its last image

    def __len__(self) -> int:
        return self._ends[-1]

    def read(self, i: int) -> Picture:
        """Image `i`; its group is its true label. Raises StoreError."""
        number = bisect_right(self._ends, i)
        store = self._stores[number]
        position = i - self._ends[number] + len(store)
        data = store.read(position)
        path = store.path_of(position)
        return Picture(path, data, group_label(path))


class ArchiveImages:
    """The images of an archive or a folder; see Images."""

    def __init__(self, archive: Archive, heuristic: bool) -> None:
        self._archive, self._heuristic = archive, heuristic
        self._members = archive.members()

    def __len__(self) -> int:
        return len(self._members)

    def read(self, i: int) -> Picture:
        """Image `i`. Raises UserError."""
        data = self._archive.read(self._members[i])
        return Picture(self._members[i].name, data, heuristic_label(data) if self._heuristic else None)
