"""The order of the images in an epoch, and which of them each process takes in each step.

The order is a function of the seed, the epoch and the images alone, whatever store an image is in. One
process and several with the same global batch take the same steps.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from imagestore.loading.image_keys import epoch_order
from imagestore.loading.random_numbers import mix, mix_images

SAMPLING, DROPOUT, COLOURS = 1, 2, 3  # what random numbers of an image are used for


def order_of_epoch(keys: np.ndarray, labels: Tensor, seed: int, epoch: int, by_label: bool = False) -> Tensor:
    """int64 (N,): the positions of the images in the order of an epoch.

    `keys` is uint64 (N,), one for each image; `labels` is int64 (N,). With `by_label`, an image comes once,
    several times or not at all, so that all labels come about equally often.
    """
    if not by_label:
        return epoch_order(keys, seed, epoch)
    drawn = numbers_of_images(keys, seed, epoch, SAMPLING)  # uint64 (N,)
    counts = np.bincount(labels)
    share = len(labels) / (np.count_nonzero(counts) * counts[labels])  # how often an image should come
    copies = np.floor(share + drawn / 2.0**64).astype(np.int64)  # rounded up as often as it must be
    images = np.repeat(np.arange(len(labels)), copies)
    copy = np.arange(len(images)) - np.repeat(np.cumsum(copies) - copies, copies)  # 0, 1, … of each image
    order = images[np.argsort(mix(drawn[images] + copy.astype(np.uint64)), kind="stable")]
    return torch.from_numpy(np.resize(order, len(labels)))  # the number of steps stays the same


def numbers_of_images(keys: np.ndarray, seed: int, epoch: int, use: int) -> np.ndarray:
    """uint64 (n,): random numbers of images with these keys, uint64 (n,); other ones for each `use`."""
    return mix(mix_images(keys, seed, epoch) + np.uint64(use))


def parts_of_steps(
    order: Tensor, batch_size: int, batches: int, rank: int = 0, ranks: int = 1
) -> Iterator[list[Tensor]]:
    """For each step, what one of several processes takes: `batches` tensors of up to `batch_size` positions.

    All processes take equally many steps. In the last step, a process may have fewer images than others, or
    none.
    """
    own = batch_size * batches
    for of_all in order.split(min(own * ranks, max(len(order), 1))):
        mine = of_all[rank * own : (rank + 1) * own]
        chunks = [mine[i * batch_size : (i + 1) * batch_size] for i in range(batches)]
        yield [chunk for chunk in chunks if len(chunk)] or [mine[:0]]
