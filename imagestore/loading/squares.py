"""Decoded pictures as squares of one side: what views are cut from in each epoch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from imagestore.decode.decode_image import decode_rgb_array
from imagestore.decode.plain_jpeg import plain_jpeg_size
from imagestore.loading.ahead import run_ahead
from imagestore.loading.dataset import UNDECODABLE, HDF5Dataset
from imagestore.loading.pixel_processes import PixelProcesses, are_worth_it
from imagestore.loading.views import resize
from imagestore.processes import Stop

IMAGES_OF_A_TASK = 8
TASKS_AT_ONCE = 8  # between two looks for a stop; more if there are more workers
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
    """Decode the pictures at `positions`, int64 (N,), with `workers` threads or processes.

    Returns a line for each that cannot be decoded, by its row: its path, and why. Ends early if `stop` is
    requested. `count_finished` gets the number of pictures finished since its last call.
    """
    side = squares.pixels.shape[1]
    fill = partial(_fill, dataset, side)
    at_once = IMAGES_OF_A_TASK * max(workers, TASKS_AT_ONCE)
    jobs = list(_parts(range(len(positions)), at_once))
    make = _by_processes if are_worth_it(workers, len(positions)) else _by_threads
    reasons: dict[int, str] = {}
    with contextlib.closing(make(squares, fill, positions, jobs, workers)) as parts:
        for rows, filled in parts:
            for part, (sizes, failed) in zip(_parts(rows, IMAGES_OF_A_TASK), filled, strict=True):
                squares.sizes[part.start : part.stop] = sizes
                reasons |= {part[row]: line for row, line in failed.items()}
            count_finished(len(rows))
            if stop.requested:
                break
    return reasons


def _by_threads(
    squares: Squares, fill: _Fill, positions: np.ndarray, jobs: Sequence[range], workers: int
) -> Iterator[tuple[range, list[_Filled]]]:
    def task(rows: range) -> Callable[[], _Filled]:
        part = slice(rows.start, rows.stop)
        return partial(fill, positions[part], squares.pixels[part].reshape(-1))

    tasks = ((rows, [task(part) for part in _parts(rows, IMAGES_OF_A_TASK)]) for rows in jobs)
    return run_ahead(tasks, workers)


def _by_processes(
    squares: Squares, fill: _Fill, positions: np.ndarray, jobs: Sequence[range], workers: int
) -> Iterator[tuple[range, list[_Filled]]]:
    size = squares.pixels[0].nbytes if len(positions) else 1
    requests = (
        [((part.start - rows.start) * size, positions[part.start : part.stop])
         for part in _parts(rows, IMAGES_OF_A_TASK)]
        for rows in jobs
    )  # fmt: skip
    with contextlib.closing(
        PixelProcesses(workers, max(map(len, jobs), default=1) * size, fill)
    ) as processes:
        for rows, (filled, memory) in zip(jobs, processes.run(requests), strict=True):
            pixels = squares.pixels[rows.start : rows.stop].reshape(-1)
            pixels[:] = memory[: pixels.size]
            yield rows, filled


_Filled = tuple[np.ndarray, dict[int, str]]  # int32 (n, 2): sizes; and why rows cannot be decoded
_Fill = Callable[[np.ndarray, np.ndarray], _Filled]


def _fill(dataset: HDF5Dataset, side: int, positions: np.ndarray, memory: np.ndarray) -> _Filled:
    """Decode pictures into `memory`, uint8 (bytes,). What cannot be decoded is black."""
    pixels = memory[: len(positions) * 3 * side * side].reshape(-1, side, side, 3)
    sizes, failed = np.zeros((len(positions), 2), np.int32), {}
    for row, i in enumerate(positions.tolist()):
        try:
            pixels[row], sizes[row] = dataset.decode(i, partial(decode_square, side=side))
        except UNDECODABLE as error:
            failed[row] = f"{dataset.path_of(i)}: {error}"
            pixels[row] = 0
    return sizes, failed


def decode_square(data: bytes, side: int) -> tuple[np.ndarray, tuple[int, int]]:
    """uint8 (side, side, 3), and the (width, height) of the picture as it is stored. Raises NotAnImage."""
    pixels = decode_rgb_array(data, (side, side))
    size = plain_jpeg_size(data) or (pixels.shape[1], pixels.shape[0])
    return resize(pixels, side), size


def _parts(rows: range, size: int) -> Iterator[range]:
    return (rows[first : first + size] for first in range(0, len(rows), size))
