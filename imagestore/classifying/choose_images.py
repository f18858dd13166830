"""Choose random images from SOURCE: one or several stores, an archive, or a folder."""

from __future__ import annotations

import contextlib
import itertools
import random
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from imagestore.archive.members import SourceLabels
from imagestore.archive.protocol import Archive
from imagestore.archive.why_no_image import why_no_image
from imagestore.classifying.answer import Picture
from imagestore.classifying.true_labels import heuristic_label
from imagestore.console import counted, note, printable
from imagestore.hdf5.superblock import is_hdf5
from imagestore.sources.joined_archives import JoinedArchives
from imagestore.sources.open_archives import open_archives
from imagestore.store.expand_paths import expand_paths
from imagestore.store.labels import PART_NAMES, TEST, VAL, StoreLabels, find_labels, note_what_is_left_out
from imagestore.store.open_stores import open_stores
from imagestore.store.reader import ImageStore, StoreError
from imagestore.tables.hdf5_archive import open_as_store
from imagestore.tables.store_labels import LabelsOfImages

STORE_SUFFIXES = {".h5", ".hdf5", ".hdf"}


class Images(Protocol):
    """The images of SOURCE, numbered from 0."""

    are_of_several: bool  # stores or archives: then each picture says of which

    def __len__(self) -> int:
        """The number of images."""

    def read(self, i: int) -> Picture:
        """Image `i`. Raises StoreError if this image cannot be read, UserError if the archive is damaged."""

    def true_labels(self) -> set[str]:
        """All true labels that there are. If --heuristic finds them, they are not known before: none."""

    def check_whole(self) -> None:
        """Raise DamagedArchive if the images are only those before the damage of an archive."""

    def why_empty(self) -> str:
        """Return why there is no image, to follow "holds no image"; empty if nothing is known."""


@contextlib.contextmanager
def open_images(
    source: str,
    index: Path | None = None,
    heuristic: bool = False,
    follow_external: bool = False,
    ignore_zeros: bool = False,
) -> Iterator[Images]:
    """Open the stores, the archives or the folder that SOURCE names. Raises UserError.

    A file is a store if its suffix or its content is that of HDF5. But a file that holds images as pixels
    only is an archive. `index` is the index file of an archive. The true label of an archive's image is the
    one that the archive itself holds, if it holds any; with `heuristic`, the one that the colour heuristic
    gives it. `follow_external` is that of ImageStore.
    """
    paths = expand_paths([source])
    with contextlib.ExitStack() as opened:
        stores = _open_stores(paths, follow_external)
        if stores:
            yield StoreImages([opened.enter_context(store) for store in stores])
        else:
            labels = SourceLabels(optional=True)
            archive = opened.enter_context(
                open_archives(
                    [source],
                    index,
                    ignore_zeros=ignore_zeros,
                    labels=labels,
                    follow_external=follow_external,
                )
            )
            yield ArchiveImages(archive, heuristic)


def _open_stores(paths: list[Path], follow_external: bool) -> list[ImageStore]:
    """The stores at these paths; empty if they are those of archives. Raises UserError."""
    if len(paths) == 1 and is_hdf5(paths[0]):
        store = open_as_store(paths[0], follow_external)
        return [] if store is None else [store]
    if paths[0].suffix in STORE_SUFFIXES or any(map(is_hdf5, paths)):
        return open_stores(paths, follow_external)
    return []


def choose_images(images: Images, count: int | None, seed: int | None) -> list[int]:
    """The numbers of `count` random images, or of all if it is None, in ascending order.

    If there are fewer images, all are chosen and the user is told. Without a `seed`, each call chooses anew.
    """
    if count is not None and count > len(images) > 0:
        are = "is" if len(images) == 1 else "are"
        note(f"classify: there {are} only {counted(len(images), 'image')}: taking all of them")
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
    """The images of several stores, one store after the other; see Images.

    If the stores have parts, these are the images below test/, or else those below val/, or else all.
    """

    def __init__(self, stores: list[ImageStore]) -> None:
        self._stores, self.are_of_several = stores, len(stores) > 1
        self._labels = [find_labels(store) for store in stores]
        part = _part_to_classify(self._labels)
        chosen = [found.is_counted & ((part is None) | (found.split == part)) for found in self._labels]
        self._positions = [np.flatnonzero(images) for images in chosen]
        self._true_labels = [
            LabelsOfImages(store, found, positions.tolist(), SourceLabels(optional=True))
            for store, found, positions in zip(stores, self._labels, self._positions, strict=True)
        ]
        self._ends = list(itertools.accumulate(map(len, self._positions)))  # one past a store's last image
        self._note_what_is_used(part)

    def __len__(self) -> int:
        return self._ends[-1]

    def read(self, i: int) -> Picture:
        """Image `i`; its true label is that of the store or of an array in it. Raises StoreError."""
        number = bisect_right(self._ends, i)
        store, positions = self._stores[number], self._positions[number]
        position = int(positions[i - self._ends[number]])  # counted from the end: negative
        label = self._true_labels[number].of(position)
        source = str(store.path) if self.are_of_several else None
        return Picture(store.path_of(position), store.read(position), label, source)

    def true_labels(self) -> set[str]:
        """See Images."""
        return set().union(*(labels.all() for labels in self._true_labels))

    def check_whole(self) -> None:
        """See Images: stores are whole."""

    def why_empty(self) -> str:
        """See Images."""
        return ""

    def _note_what_is_used(self, part: int | None) -> None:
        for store, found in zip(self._stores, self._labels, strict=True):
            note_what_is_left_out("classify", store, found)
        if part is not None:
            note(f"classify: takes the images below {PART_NAMES[part]}/ ({len(self):,})")


def _part_to_classify(labels: list[StoreLabels]) -> int | None:
    """TEST or VAL if there are images in such a part, and all stores have parts; else None."""
    if any(found.split is None for found in labels):
        return None
    parts = set().union(*(found.split[found.is_counted].tolist() for found in labels))
    return next((part for part in (TEST, VAL) if part in parts), None)


class ArchiveImages:
    """The images of an archive or a folder; see Images. Of a damaged one: those before that place."""

    def __init__(self, archive: Archive, heuristic: bool) -> None:
        self._archive, self._heuristic = archive, heuristic
        self._members = archive.members()
        self.are_of_several = isinstance(archive, JoinedArchives)

    def __len__(self) -> int:
        return len(self._members)

    def read(self, i: int) -> Picture:
        """Image `i`. Raises UserError."""
        member = self._members[i]
        data = self._archive.read(member)
        label = heuristic_label(data) if self._heuristic else member.label
        source = str(self._archive.path_of(member)) if isinstance(self._archive, JoinedArchives) else None
        return Picture(member.name, data, label, source)

    def true_labels(self) -> set[str]:
        """See Images."""
        return {member.label for member in self._members} - {None}

    def check_whole(self) -> None:
        """See Images."""
        if self._archive.damage:
            raise self._archive.damage

    def why_empty(self) -> str:
        """See Images."""
        return why_no_image(self._archive.path, self._archive.skipped)
