"""Decoded pictures as squares of one side: what views are cut from in each epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from imagestore.decode.decode_image import decode_rgb_array
from imagestore.decode.plain_jpeg import plain_jpeg_size
from imagestore.loading.ahead import run_ahead
from imagestore.loading.dataset import UNDECODABLE, HDF5Dataset
from imagestore.loading.views import resize
from imagestore.processes import Stop

IMAGES_AT_ONCE = 64  # between two looks for a stop
IMAGES_OF_A_TASK = 8
SIZE_BYTES = 8  # of the width and the height of a picture


@dataclass(frozen=True)
class Squares:
    """Each picture squeezed into a square, and its size before. Both are 0 if it cannot be decoded."""

    pixels: np.ndarray  # uint8 (N, side, side, 3)
    sizes: np.ndarray  # int32 (N, 2): width and height

    @property
    def is_decodable(self) -> np.ndarray:
        """bool (N,)."""
        return self.sizes[:, 0] > 0


def square_bytes(count: int, side: int) -> int:
    """The memory that `count` pictures take, in bytes."""
    return count * (3 * side * side + SIZE_BYTES)


def empty_squares(count: int, side: int) -> Squares:
    """Memory for `count` pictures. Raises MemoryError."""
    return Squares(np.empty((count, side, side, 3), np.uint8), np.zeros((count, 2), np.int32))


def fill_squares(
    squares: Squares,
    dataset: HDF5Dataset,
    positions: np.ndarray,
    workers: int,
    stop: Stop,
    count_finished: Callable[[int], object] = lambda count: None,
) -> dict[int, str]:
    """Decode the pictures at `positions`, int64 (N,), with `workers` threads.

    Returns a line for each that cannot be decoded, by its row: its path, and why. Ends early if `stop` is
    requested. `count_finished` gets the number of pictures finished since its last call.
    """
    side = squares.pixels.shape[1]

    def fill(rows: range) -> dict[int, str]:
        failed = {}
        for row in rows:
            i = int(positions[row])
            try:
                pixels, size = dataset.decode(i, partial(decode_square, side=side))
            except UNDECODABLE as error:
                failed[row] = f"{dataset.path_of(i)}: {error}"
            else:
                squares.pixels[row], squares.sizes[row] = pixels, size
        return failed

    jobs = (
        (rows, [partial(fill, task) for task in _parts(rows, IMAGES_OF_A_TASK)])
        for rows in _parts(range(len(positions)), IMAGES_AT_ONCE)
    )
    reasons: dict[int, str] = {}
    for rows, results in run_ahead(jobs, workers):
        for failed in results:
            reasons |= failed
        count_finished(len(rows))
        if stop.requested:
            break
    return reasons


def decode_square(data: bytes, side: int) -> tuple[np.ndarray, tuple[int, int]]:
    """uint8 (side, side, 3), and the (width, height) of the picture as it is stored. Raises NotAnImage."""
    pixels = decode_rgb_array(data, (side, side))
    size = plain_jpeg_size(data) or (pixels.shape[1], pixels.shape[0])
    return resize(pixels, side), size


def _parts(rows: range, size: int) -> Iterator[range]:
    return (rows[first : first + size] for first in range(0, len(rows), size))
