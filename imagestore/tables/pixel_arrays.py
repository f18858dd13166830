"""Datasets of an HDF5 file whose rows are pictures as pixels: which ones there are, and how to read them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import h5py
import numpy as np

from imagestore.decode.grey_levels import scale_to_levels, usual_range
from imagestore.tables.matlab_data import is_of_matlab

CHANNELS = (1, 3, 4)  # grey, RGB, RGBA
SMALLEST_COLOUR_SIDE, SMALLEST_GREY_SIDE = 2, 5  # pixels: arrays of grey that are smaller are boxes, points …
MOST_BYTES_AT_ONCE = 64 << 20  # of rows, also where the chunks of the file are larger
# Numbers in a row: height and width. Many people store MNIST and its kin so.
FLATTENED = {784: (28, 28)}
SMALLEST_FLATTENED_SIDE = 8  # pixels
BYTES_AT_ONCE = 4 << 20  # of rows that are not in chunks


def is_pixel_array(dataset: h5py.Dataset) -> bool:
    """Whether the rows of a dataset are pictures by its shape and its type."""
    try:
        kind = dataset.dtype.kind
    except TypeError:  # a type that NumPy lacks
        return False
    if kind not in "uifb" or _is_picture_of_matlab(dataset):
        return False
    return _first_channel_axis(dataset.shape) is not None or _has_pictures_last(dataset)


def _is_picture_of_matlab(dataset: h5py.Dataset) -> bool:
    """Whether a dataset has the shape (3, W, H), which MATLAB gives to one picture: perhaps their mean."""
    shape = dataset.shape or ()
    return len(shape) == 3 and shape[0] in CHANNELS and is_of_matlab(dataset)


def _has_pictures_last(dataset: h5py.Dataset) -> bool:
    """Whether a dataset has the shape (3, W, H, N), which MATLAB gives to an array of N x H x W x 3."""
    shape = dataset.shape or ()
    is_reversed = _first_channel_axis(shape) is None and _first_channel_axis(shape[::-1]) == 3
    return is_reversed and is_of_matlab(dataset)


def is_flattened(dataset: h5py.Dataset) -> bool:
    """Whether the rows of a dataset have the length of a flattened picture of FLATTENED."""
    return _row_length(dataset) in FLATTENED


def shape_if_flattened(dataset: h5py.Dataset) -> str:
    """The shape of the pictures if the rows of a dataset may be flattened ones; else empty.

    Such rows are not taken: those of colour pictures come in two orders, and many are features.
    """
    length = _row_length(dataset)
    for channels, form in ((3, "{0} x {0} x 3"), (1, "{0} x {0}")):
        side = math.isqrt(length // channels)
        if side >= SMALLEST_FLATTENED_SIDE and channels * side * side == length:
            return form.format(side)
    return ""


def _row_length(dataset: h5py.Dataset) -> int:
    """The length of the rows of a table of numbers; 0 for other datasets."""
    try:
        kind = dataset.dtype.kind
    except TypeError:  # a type that NumPy lacks
        return 0
    return dataset.shape[1] if kind in "uifb" and len(dataset.shape or ()) == 2 else 0


def _first_channel_axis(shape: tuple[int, ...] | None) -> int | None:
    """The axis of the channels: 3 of N x H x W x C, 1 of N x C x H x W, 0 if there is none; else None."""
    if shape is None or 0 in shape:
        return None
    if len(shape) == 3:
        is_one_picture = shape[2] in CHANNELS
        return None if is_one_picture or min(shape[1:]) < SMALLEST_GREY_SIDE else 0
    if len(shape) != 4:
        return None
    for channels in ((3,), CHANNELS):  # three is the surest sign
        for axis, sides in ((3, shape[1:3]), (1, shape[2:])):
            if shape[axis] in channels and min(sides) >= SMALLEST_COLOUR_SIDE:
                return axis
    return None


@dataclass
class PixelArray:
    """A dataset of pictures, flattened ones too. Raises the errors of h5py if the file is damaged.

    In a file of MATLAB, the axes are in reverse order: an array of H x W x 3 x N has the shape (N, 3, W, H).
    """

    dataset: h5py.Dataset

    def __post_init__(self) -> None:
        """Look at the shape, and at the chunks."""
        self._has_pictures_last = _has_pictures_last(self.dataset)
        turn = slice(None, None, -1 if self._has_pictures_last else 1)
        self._shape, chunks = self.dataset.shape[turn], (self.dataset.chunks or ())[turn]
        self._axis = _first_channel_axis(self._shape)
        # Whoever turns the axes around before MATLAB saves them writes (N, H, W, 3).
        self._has_width_first = is_of_matlab(self.dataset) and self._axis in (0, 1)
        self._range: tuple[float, float] | None = None  # of the numbers from black to white
        row_bytes = max(1, self.dataset.dtype.itemsize * int(np.prod(self._shape[1:], dtype=np.int64)))
        rows = chunks[0] if chunks else BYTES_AT_ONCE // row_bytes
        self.rows_at_once = max(1, min(rows, MOST_BYTES_AT_ONCE // row_bytes))

    def __len__(self) -> int:
        """The number of pictures."""
        return self._shape[0]

    def pictures(self, first: int, end: int) -> np.ndarray:
        """Pictures `first` to `end` - 1: uint8 (n, H, W) or (n, H, W, C)."""
        values = self._rows(first, end)
        if self._axis is None:
            values = values.reshape(-1, *FLATTENED[self._shape[1]])
        if self._axis == 1:
            values = np.moveaxis(values, 1, 3)
        if self._has_width_first:
            values = values.swapaxes(1, 2)
        return np.ascontiguousarray(self._to_8_bits(values))

    def _rows(self, first: int, end: int) -> np.ndarray:
        return self.dataset[..., first:end].T if self._has_pictures_last else self.dataset[first:end]

    def _to_8_bits(self, values: np.ndarray) -> np.ndarray:
        """Numbers of other types are scaled as those of grey images are; see decode/grey_levels.py."""
        if values.dtype == np.uint8:
            return values
        if self._range is None:
            self._range = self._black_and_white()
        return scale_to_levels(values, *self._range)

    def _black_and_white(self) -> tuple[float, float]:
        """The numbers that stand for black and for white in all pictures. It may look at them all."""
        blocks = (
            self._rows(first, first + self.rows_at_once) for first in range(0, len(self), self.rows_at_once)
        )
        return black_and_white(self.dataset.dtype, blocks)


def black_and_white(dtype: np.dtype, blocks: Iterable[np.ndarray]) -> tuple[float, float]:
    """The numbers of a type that stand for black and for white. It may look at all numbers, in `blocks`."""
    if dtype.kind == "b":
        return 0.0, 1.0
    if dtype.kind == "u" and dtype.itemsize == 2:
        return 0.0, 65535.0
    smallest, largest = np.inf, -np.inf
    for values in blocks:
        finite = values[np.isfinite(values)]
        if finite.size:
            smallest, largest = min(smallest, float(finite.min())), max(largest, float(finite.max()))
    if smallest > largest:  # no number is finite
        return 0.0, 1.0
    return usual_range(smallest, largest, floats=dtype.kind == "f")
