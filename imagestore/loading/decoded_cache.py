"""Decoded images in memory, or in a file on the node's scratch (--cache); otherwise they are streamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from imagestore.console import UserError, note, progress
from imagestore.decode.errors import NotAnImage
from imagestore.loading.batches import Batches
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.disk_cache import SCRATCH, DecodedFile, file_for, load, make, scratch_folder
from imagestore.loading.free_memory import available_memory
from imagestore.loading.skipped_images import SkippedImages
from imagestore.loading.streamed_batches import StreamedBatches
from imagestore.processes import Stop
from imagestore.store.reader import StoreError

IMAGES_BETWEEN_CHECKS = 256  # decoding checks for a signal after so many images


def make_batches(
    dataset: HDF5Dataset,
    parts: Sequence[np.ndarray],
    cache: int | str | None,
    workers: int,
    stop: Stop,
) -> list[Batches]:
    """The batches of each part (positions in the dataset, int64 (N,)).

    `cache` is "ram", "disk", "none", "auto" (also as None), or a number of bytes. In memory or on the disk,
    all images are decoded now. With "none" they are streamed. "auto" is the first that has room: half of the
    memory that is left, then the node's scratch, if a variable names it. With a number of bytes, the images
    are in memory if they fit, and else streamed. All give the same batches. If `stop` is requested, decoding
    ends early. Raises UserError if what was asked for has no room.
    """
    needed = decoded_bytes(sum(map(len, parts)), dataset.size)
    kind, why = choose_cache(cache, needed)
    if isinstance(cache, str) or (cache is None and kind != "ram"):
        note(f"train_model: cache: {kind}, {_megabytes(needed)} of decoded images: {why}")
    if kind == "ram":
        return [_decode_part(dataset, part, workers, stop) for part in parts]
    if kind == "disk":
        return [_decode_part_to_disk(dataset, part, workers, stop) for part in parts]
    return [StreamedBatches(dataset, part, workers) for part in parts]


def choose_cache(cache: int | str | None, needed: int) -> tuple[str, str]:
    """ "ram", "disk" or "none" for `needed` bytes, and why. Raises UserError."""
    if isinstance(cache, int):
        return ("ram" if needed <= cache else "none"), f"--cache {cache}"
    memory = available_memory()
    if cache == "ram" and needed > memory:
        raise UserError(
            f"--cache ram: takes {_megabytes(needed)}, and {_megabytes(memory)} of memory are left: "
            "use --cache disk or --cache none"
        )
    if cache == "disk" and needed > _room_on_scratch():
        raise UserError(
            f"--cache disk: takes {_megabytes(needed)}, and {scratch_folder()[0]} has room for "
            f"{_megabytes(_room_on_scratch())}: set TMPDIR, or use --cache none"
        )
    if cache in ("ram", "disk", "none"):
        return cache, f"--cache {cache}"
    if needed <= memory // 2:
        return "ram", "they fit into half of the memory that is left"
    is_named = any(os.environ.get(name) for name in SCRATCH)
    if is_named and needed <= _room_on_scratch() // 2:
        return "disk", f"more than half of the memory that is left; {scratch_folder()[1]} has room"
    return "none", "more than half of the memory that is left, and no $TMPDIR with twice the room"


def _room_on_scratch() -> int:
    try:
        return shutil.disk_usage(scratch_folder()[0]).free
    except OSError:
        return 0


def _megabytes(count: int) -> str:
    return f"{-(-count // 2**20):,} MB"


def decoded_bytes(count: int, size: int) -> int:
    """The memory, in bytes, of `count` decoded images of size x size pixels."""
    return count * 3 * size * size


def _decode_part(dataset: HDF5Dataset, part: np.ndarray, workers: int, stop: Stop) -> MemoryBatches:
    """Decode images with a progress bar, and tell the user which of them cannot be decoded."""
    with progress(len(part), "decoding") as bar:
        batches = decode_into_memory(dataset, part, workers, bar.update, stop)
    _note_skipped(batches.skipped)
    return batches


def _decode_part_to_disk(dataset: HDF5Dataset, part: np.ndarray, workers: int, stop: Stop) -> MemoryBatches:
    """The images of a file on the node's scratch, which is made if it is missing."""
    path = file_for(dataset, part)
    if (content := load(path, len(part), dataset.size)) is not None:
        note(f"train_model: cache: found {path}")
        broken = part[~content.decodable].tolist()
        _note_skipped([*dataset.items_and_skipped(broken)[1].values()])
    else:
        content = _make_file(path, dataset, part, workers, stop)
    if content is None:  # stopped: nothing is trained
        return decode_into_memory(dataset, part[:0], workers)
    labels = torch.from_numpy(dataset.label_numbers[part])
    return MemoryBatches(torch.from_numpy(content.images), labels, torch.from_numpy(content.decodable))


def _make_file(
    path: Path, dataset: HDF5Dataset, part: np.ndarray, workers: int, stop: Stop
) -> DecodedFile | None:
    def fill(images: np.ndarray) -> np.ndarray:
        with progress(len(part), "decoding") as bar:
            made = decode_into_memory(dataset, part, workers, bar.update, stop, torch.from_numpy(images))
        if stop.requested:
            raise _Stopped
        _note_skipped(made.skipped)
        return made.decodable.numpy()

    try:
        content = make(path, len(part), dataset.size, fill)
    except _Stopped:
        return None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; set TMPDIR, or use --cache none") from None
    if content is None:
        raise UserError(f"{path}: was removed while it was made; use --cache none")
    note(f"train_model: cache: wrote {path}")
    return content


class _Stopped(Exception):
    """Decoding has ended early: the file is not whole."""


def _note_skipped(lines: Sequence[str]) -> None:
    skipped = SkippedImages("train_model")
    for line in lines:
        skipped.add(line)
    skipped.note_count()


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
    images: Tensor | None = None,
) -> MemoryBatches:
    """Decode the images at `positions` with `workers` threads (Pillow releases Python's lock).

    `count_finished` gets the number of images that have been finished since its last call. Ends early if
    `stop` is requested: the images that remain count as not decodable. `images`, uint8 (N, 3, size, size), is
    where they go, if it is given.
    """
    positions = np.asarray(positions)
    if images is None:
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
