"""Images of a dataset that cannot be decoded: each is replaced by the next one of its label."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np

from imagestore.console import note, printable
from imagestore.decode.errors import NotAnImage
from imagestore.store.reader import StoreError


class Images(Protocol):
    """What is needed of a dataset."""

    label_numbers: np.ndarray  # int64 (N,)

    def __len__(self) -> int: ...

    def path_of(self, i: int) -> str:
        """The path of image `i` in its store."""


T = TypeVar("T")
NAMED = 10  # images; of more, only the count is told


class ReplacedImages:
    """Which of `images` images cannot be decoded, as far as that is known.

    Forked workers share the knowledge, so an image is named once. Other workers get what was known when they
    started.
    """

    def __init__(self, images: int) -> None:
        self._known = np.frombuffer(mmap.mmap(-1, max(images, 1)), np.uint8)  # 1: cannot be decoded

    def __getstate__(self) -> bytes:
        return self._known.tobytes()

    def __setstate__(self, known: bytes) -> None:
        self.__init__(len(known))
        self._known[:] = np.frombuffer(known, np.uint8)

    @property
    def count(self) -> int:
        """The number of images that cannot be decoded, as far as that is known."""
        return int(self._known.sum())

    def first(self, images: Images, i: int, make: Callable[[int], T]) -> T:
        """What `make` returns for image `i` (from 0), or for the next one of its label that can be decoded.

        Raises NotAnImage or StoreError if there is none.
        """
        if not self._known[i]:
            try:
                return make(i)
            except (NotAnImage, StoreError) as error:
                self._add(images, i, error)
        for other in self._others(images, i):
            try:
                return make(other)
            except (NotAnImage, StoreError) as error:
                self._add(images, other, error)
        return make(i)  # which raises

    def _others(self, images: Images, i: int) -> list[int]:
        """The other images of the label, the next one first, the one before `i` last."""
        same = np.flatnonzero(
            (images.label_numbers == images.label_numbers[i]) & (self._known[: len(images)] == 0)
        )
        return np.roll(same, -int(np.searchsorted(same, i, side="right"))).tolist()

    def _add(self, images: Images, i: int, error: Exception) -> None:
        if self._known[i]:
            return
        self._known[i] = 1
        if self.count <= NAMED:
            note(f"replaced by the next image of its label: {printable(images.path_of(i))}: {error}")
        elif self.count == NAMED + 1:
            note("more images are replaced; HDF5Dataset.replaced_count counts them")
