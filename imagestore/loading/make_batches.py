"""The batches that a training is fed with, and the cache behind them (--cache)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from imagestore.console import UserError, note
from imagestore.loading.batches import Batches
from imagestore.loading.choose_cache import choose_cache, megabytes
from imagestore.loading.dataset import UNDECODABLE, HDF5Dataset
from imagestore.loading.disk_cache import file_for, load, make, one_at_a_time
from imagestore.loading.skipped_images import SkippedImages
from imagestore.loading.squares import (
    Squares,
    decode_square,
    empty_squares,
    fill_squares,
    square_bytes,
)
from imagestore.loading.views import View
from imagestore.processes import Stop
from imagestore.progress import progress


@dataclass(frozen=True)
class Part:
    """Some images of a dataset, such as those to validate with."""

    dataset: HDF5Dataset
    positions: np.ndarray  # int64 (N,)


def make_batches(
    parts: Sequence[Part],
    view: View,
    cache: int | str | None,
    workers: int,
    stop: Stop,
    lends: bool = False,
) -> tuple[list[Batches], str]:
    """The batches of each part, and the cache that was chosen: "ram", "disk" or "none".

    `cache` is as choose_cache.py has it. With "ram" and "disk", all pictures are decoded now. If `stop` is
    requested meanwhile, decoding ends early, and the batches are not to be used. Raises UserError if what was
    asked for has no room, MemoryError.
    """
    side = view.side_to_keep
    needed = square_bytes(sum(len(part.positions) for part in parts), side)
    kind, why = choose_cache(cache, needed)
    note(f"train_model: cache: {kind}, {megabytes(needed)} of decoded pictures of {side} pixels: {why}")
    made = []
    for part in parts:
        skipped = SkippedImages("train_model")
        squares = _decoded(part, side, kind, workers, stop, skipped)
        made.append(Batches(part.dataset, view, workers, part.positions, squares, lends, skipped))
    return made, kind


def _decoded(
    part: Part, side: int, kind: str, workers: int, stop: Stop, skipped: SkippedImages
) -> Squares | None:
    if kind == "none":
        return None
    if kind == "disk":
        return _on_disk(part, side, workers, stop, skipped)
    squares = empty_squares(len(part.positions), side)
    _fill(squares, part, workers, stop, skipped)
    return squares


def _fill(squares: Squares, part: Part, workers: int, stop: Stop, skipped: SkippedImages) -> None:
    """Decode pictures with a progress bar, and tell the user which of them cannot be decoded."""
    with progress(len(part.positions), "decoding") as bar:
        failed = fill_squares(squares, part.dataset, part.positions, workers, stop, bar.update)
    if not stop.requested:
        _note(failed, skipped)


def _note(failed: Mapping[int, str], skipped: SkippedImages) -> None:
    for _, line in sorted(failed.items()):
        skipped.add(line)
    skipped.note_count()


def _on_disk(part: Part, side: int, workers: int, stop: Stop, skipped: SkippedImages) -> Squares | None:
    """The pictures in a file on the node's scratch, which is made if it is missing. None if stopped."""
    path = file_for(part.dataset, part.positions, side)
    if not len(part.positions):  # nothing can be mapped
        return None
    try:
        with one_at_a_time(path, stop):
            squares = load(path, len(part.positions), side)
            if squares is None:
                return _make_file(path, part, side, workers, stop, skipped)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; set TMPDIR, or use --cache none") from None
    note(f"train_model: cache: found {path}")
    _note(_reasons(squares, part), skipped)
    return squares


def _reasons(squares: Squares, part: Part) -> dict[int, str]:
    """Why pictures of a file that was found cannot be decoded."""
    failed = {}
    for row in np.flatnonzero(~squares.is_decodable).tolist():
        i = int(part.positions[row])
        try:
            part.dataset.decode(i, partial(decode_square, side=squares.pixels.shape[1]))
        except UNDECODABLE as error:
            failed[row] = f"{part.dataset.path_of(i)}: {error}"
    return failed


def _make_file(
    path: Path, part: Part, side: int, workers: int, stop: Stop, skipped: SkippedImages
) -> Squares | None:
    def fill(squares: Squares) -> None:
        _fill(squares, part, workers, stop, skipped)
        if stop.requested:
            raise _Stopped

    try:
        squares = make(path, len(part.positions), side, fill)
    except _Stopped:
        return None
    if squares is None:
        raise UserError(f"{path}: was removed while it was made; use --cache none")
    note(f"train_model: cache: wrote {path}")
    return squares


class _Stopped(Exception):
    """Decoding has ended early: the file is not whole."""
