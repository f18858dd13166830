"""Batches of images and labels: what memory and streams of images both give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor


class Batches(Protocol):
    """Some images of a dataset, given out in batches.

    An image that cannot be decoded keeps its place, and its batch is shorter. So one order makes the same
    batches from memory, when such images are known beforehand, and from a stream, when they are not.
    """

    def __len__(self) -> int:
        """The number of images, including those that cannot be decoded."""

    @property
    def decodable_count(self) -> int:
        """The number of images that can be decoded, as far as that is known."""

    @property
    def labels(self) -> Tensor:
        """int64 (N,): the label of each image."""

    def iterate(self, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of images, uint8 (B, 3, size, size), and labels, int64 (B,).

        `order` is int64 (n,), positions among the N images. B is 0 to `batch_size`: images that cannot be
        decoded are left out.
        """
