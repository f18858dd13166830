"""Decoded images in memory, if all of them fit into it (--cache); otherwise they are streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from imagestore.console import progress
from imagestore.decode.errors import NotAnImage
from imagestore.processes import Stop
from imagestore.store.reader import StoreError
from imagestore.training.batches import Batches
from imagestore.training.dataset import HDF5Dataset
from imagestore.training.free_memory import available_memory
from imagestore.training.skipped_images import SkippedImages
from imagestore.training.streamed_batches import StreamedBatches

IMAGES_BETWEEN_CHECKS = 256  # decoding checks for a signal after so many images


def make_batches(
    dataset: HDF5Dataset,
    parts: Sequence[np.ndarray],
    cache: int | None,
    workers: int,
    stop: Stop,
) -> list[Batches]:
    """The batches of each part (positions in the dataset, int64 (N,)).

    If all images fit into `cache` bytes (by default, half of the memory that is left), they are decoded into
    memory now. Otherwise they are streamed. If `stop` is requested, decoding ends early.
    """
    limit = available_memory() // 2 if cache is None else cache
    if decoded_bytes(sum(map(len, parts)), dataset.size) <= limit:
        return [_decode_part(dataset, part, workers, stop) for part in parts]
    return [StreamedBatches(dataset, part, workers) for part in parts]


def decoded_bytes(count: int, size: int) -> int:
    """The memory, in bytes, of `count` decoded images of size x size pixels."""
    return count * 3 * size * size


def _decode_part(dataset: HDF5Dataset, part: np.ndarray, workers: int, stop: Stop) -> MemoryBatches:
    """Decode images with a progress bar, and tell the user which of them cannot be decoded."""
    with progress(len(part), "decoding") as bar:
        batches = decode_into_memory(dataset, part, workers, bar.update, stop)
    skipped = SkippedImages("train_model")
    for line in batches.skipped:
        skipped.add(line)
    skipped.note_count()
    return batches


@dataclass
class MemoryBatches:
    """Decoded images in memory."""

    images: Tensor  # uint8 (N, 3, size, size); undefined where not decodable
    labels: Tensor  # int64 (N,)
    decodable: Tensor  # bool (N,)
    skipped: list[str] = field(default_factory=list)  # path and reason of each image that is not decodable

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def decodable_count(self) -> int:
        """The number of images that can be decoded."""
        return int(self.decodable.sum())

    def iterate(self, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """See Batches.iterate."""
        for positions in order.split(batch_size):
            positions = positions[self.decodable[positions]]
            yield self.images[positions], self.labels[positions]


def decode_into_memory(
    dataset: HDF5Dataset,
    positions: Sequence[int] | np.ndarray,
    workers: int,
    count_finished: Callable[[int], object] = lambda count: None,
    stop: Stop | None = None,
) -> MemoryBatches:
    """Decode the images at `positions` with `workers` threads (Pillow releases Python's lock).

    `count_finished` gets the number of images that have been finished since its last call. Ends early if
    `stop` is requested: the images that remain count as not decodable.
    """
    positions = np.asarray(positions)
    images = torch.empty((len(positions), 3, dataset.size, dataset.size), dtype=torch.uint8)
    decodable = torch.zeros(len(positions), dtype=torch.bool)
    reasons: dict[int, str] = {}

    def decode(i: int) -> None:
        try:
            images[i] = dataset.item(int(positions[i]))[0]
            decodable[i] = True
        except (NotAnImage, StoreError) as error:
            reasons[i] = f"{dataset.path_of(int(positions[i]))}: {error}"

    with ThreadPoolExecutor(max(1, workers)) as pool:
        for first in range(0, len(positions), IMAGES_BETWEEN_CHECKS):
            if stop is not None and stop.requested:
                break
            chunk = range(first, min(first + IMAGES_BETWEEN_CHECKS, len(positions)))
            list(pool.map(decode, chunk))
            count_finished(len(chunk))
    labels = torch.from_numpy(dataset.label_numbers[positions])
    return MemoryBatches(images, labels, decodable, [reasons[i] for i in sorted(reasons)])
