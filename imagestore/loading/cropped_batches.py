"""Random crops of a dataset in batches, at the speed of decoding: the next ones are made while one is used.

    from imagestore import HDF5Dataset
    from imagestore.loading.cropped_batches import CroppedBatches

    batches = CroppedBatches(HDF5Dataset("train.h5"), side=224, batch_size=64, seed=0, workers=2)
    for images, labels in batches.epoch(0):  # uint8 (64, 3, 224, 224), int64 (64,)
        images = images.float() / 255

The workers are threads: the decoder and torch release the interpreter's lock. They need no shared memory, and
end with the process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from imagestore.loading.crops import choose_box, cut, decode_crop, draw, is_flipped
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.picture_cache import CachedPictures

BATCHES_AHEAD = 3
PARTS = 4  # of a batch, for each worker: so all workers finish at about the same time


@dataclass(frozen=True)
class CroppedBatches:
    """Random crops (as torchvision's RandomResizedCrop) and flips of all images.

    Order and draws are functions of the seed, the epoch and the image. An image that cannot be decoded is
    replaced by the next one of its label. With a `cache`, crops are cut from the pictures in it.
    """

    dataset: HDF5Dataset
    side: int  # pixels
    batch_size: int
    seed: int = 0
    workers: int = 1  # threads; 0: the batch is made when it is asked for
    cache: CachedPictures | None = None

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches: uint8 (B, 3, side, side), channels last, in pinned memory for CUDA; and int64 (B,)."""
        generator = torch.Generator().manual_seed((self.seed + number) % 2**63)
        order = torch.randperm(len(self.dataset), generator=generator)
        chunks = [chunk.numpy() for chunk in order.split(self.batch_size)]
        if not self.workers:
            for chunk in chunks:
                images, tasks = self._prepare(chunk, number)
                for task in tasks:
                    self._fill(images, *task)
                yield images, self._labels(chunk)
            return
        pool = ThreadPoolExecutor(self.workers)
        try:
            yield from self._in_advance(pool, chunks, number)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _in_advance(
        self, pool: ThreadPoolExecutor, chunks: list[np.ndarray], epoch: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        waiting: deque[tuple[Tensor, Tensor, list[Future[None]]]] = deque()
        for chunk in chunks:
            images, tasks = self._prepare(chunk, epoch)
            futures = [pool.submit(self._fill, images, *task) for task in tasks]
            waiting.append((images, self._labels(chunk), futures))
            if len(waiting) > BATCHES_AHEAD:
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())

    def _labels(self, chunk: np.ndarray) -> Tensor:
        return torch.from_numpy(self.dataset.label_numbers[chunk])

    def _prepare(
        self, chunk: np.ndarray, epoch: int
    ) -> tuple[Tensor, list[tuple[range, np.ndarray, np.ndarray]]]:
        """An empty batch, and the tasks that fill it: rows of it, images and their numbers."""
        images = torch.empty(
            (len(chunk), 3, self.side, self.side), dtype=torch.uint8, pin_memory=torch.cuda.is_available(),
            memory_format=torch.channels_last,
        )  # fmt: skip
        numbers = draw(self.seed, epoch, chunk)
        step = -(-len(chunk) // (PARTS * max(self.workers, 1)))
        parts = [range(first, min(first + step, len(chunk))) for first in range(0, len(chunk), step)]
        return images, [(part, chunk[part], numbers[part]) for part in parts]

    def _fill(self, images: Tensor, rows: range, chosen: np.ndarray, numbers: np.ndarray) -> None:
        for row, i, own in zip(rows, chosen.tolist(), numbers, strict=True):
            images[row] = self._crop(i, own)

    def _crop(self, i: int, numbers: np.ndarray) -> Tensor:
        if self.cache is not None:
            width, height = self.cache.sizes[i].tolist()
            box = choose_box(numbers, width, height)
            return cut(self.cache.pictures[i], (width, height), box, self.side, is_flipped(numbers))
        return self.dataset.first_decodable(i, lambda data: decode_crop(data, numbers, self.side))


def _finished(images: Tensor, labels: Tensor, futures: list[Future[None]]) -> tuple[Tensor, Tensor]:
    for future in futures:
        future.result()
    return images, labels
