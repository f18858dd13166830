"""Pictures in MATLAB variables, each cell of a cell array or each picture of an array: CellRows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import h5py
import numpy as np

from imagestore.console import UserError, first_line
from imagestore.decode.grey_levels import scale_to_levels
from imagestore.hdf5.open_hdf5 import ERRORS_OF_H5PY
from imagestore.image_formats import begins_as_image, suffix_of
from imagestore.tables.matlab_data import KIND, cells_of, value_of_cell
from imagestore.tables.pixel_arrays import (
    CHANNELS,
    SMALLEST_COLOUR_SIDE,
    SMALLEST_GREY_SIDE,
    PixelArray,
    black_and_white,
    is_pixel_array,
)
from imagestore.tables.png import encode_png
from imagestore.tables.row_archive import FEWEST_DIGITS, Row, damaged_at


class Cells(Protocol):
    """The cells of a variable, in the order of MATLAB."""

    def __len__(self) -> int:
        """The number of cells."""

    def __getitem__(self, place: int) -> np.ndarray | None:
        """The array in a cell, with its axes as in MATLAB; None if there is none. Raises IndexError."""


class CellsInHdf5:
    """Those of a dataset of references."""

    def __init__(self, dataset: h5py.Dataset) -> None:
        """Read the references."""
        self._cells = cells_of(dataset)

    def __len__(self) -> int:
        return len(self._cells)

    def __getitem__(self, place: int) -> np.ndarray | None:
        return value_of_cell(self._cells[place])


class CellsInMemory:
    """Those of an array of objects, as scipy reads a cell array."""

    def __init__(self, values: np.ndarray) -> None:
        """Take the values."""
        self._values = values.flatten("F")

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, place: int) -> np.ndarray | None:
        value = self._values[place]
        return value if isinstance(value, np.ndarray) and value.size else None


class PicturesOfArray:
    """The pictures of an array of MATLAB in memory, such as H x W x 3 x N, as uint8."""

    def __init__(self, values: np.ndarray) -> None:
        """Take an array for which `holds_pictures` is true."""
        self._array = PixelArray(_AsDataset(values))

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, place: int) -> np.ndarray:
        if not 0 <= place < len(self):
            raise IndexError(place)
        return self._array.pictures(place, place + 1)[0]


class _AsDataset:
    """An array of MATLAB as HDF5 would have it: with its axes in reverse order."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values.T
        self.shape, self.dtype, self.chunks = self._values.shape, self._values.dtype, None
        self.attrs = {KIND: b"array"}

    def __getitem__(self, index: object) -> np.ndarray:
        return self._values[index]


def holds_pictures(values: np.ndarray) -> bool:
    """Whether an array of MATLAB has pictures by its shape and type."""
    return values.ndim > 2 and is_pixel_array(_AsDataset(values))


def holds_images(cells: Cells) -> bool:
    """Whether the first cell that is not empty holds an image, as pixels or as bytes."""
    first = next((value for value in cells if value is not None), None)
    return first is not None and (_is_picture(first) or _bytes_in(first) is not None)


class CellRows:
    """The images in cells. A cell that holds something else is a row without bytes."""

    def __init__(
        self, path: Path, name: str, cells: Cells, labels: Sequence[str | None], close: Callable[[], None]
    ) -> None:
        """`name` is that of the variable. `close` closes its file."""
        self._path, self.name, self._cells, self._labels, self._close = path, name, cells, labels, close
        self._digits = max(FEWEST_DIGITS, len(str(len(cells))))
        self._range: tuple[float, float] | None = None  # of the numbers from black to white

    def __iter__(self) -> Iterator[Row]:
        """See Rows."""
        for place, label in enumerate(self._labels):
            try:
                data = self._image(place)
            except ERRORS_OF_H5PY as error:
                raise damaged_at(self._path, f"picture {place:,} of {self.name}", error) from error
            yield Row(place, f"{self.name}/{place:0{self._digits}d}{suffix_of(data or b'')}", data, label)

    def read(self, place: int) -> bytes:
        """See Rows."""
        try:
            return self._image(place) or b""
        except ERRORS_OF_H5PY as error:
            raise UserError(f"{self._path} is damaged at picture {place:,} ({first_line(error)})") from error

    def _image(self, place: int) -> bytes | None:
        value = self._cells[place]
        if value is None:
            return None
        if _is_picture(value):
            return encode_png(np.ascontiguousarray(self._to_8_bits(value)))
        return _bytes_in(value)

    def _to_8_bits(self, values: np.ndarray) -> np.ndarray:
        """Numbers of other types are scaled by the smallest and the largest of all cells."""
        if values.dtype == np.uint8:
            return values
        if self._range is None:
            self._range = black_and_white(values.dtype, self._numbers_to_scale())
        return scale_to_levels(values, *self._range)

    def _numbers_to_scale(self) -> Iterable[np.ndarray]:
        values = (self._cells[place] for place in range(len(self._cells)))
        return (
            value for value in values if value is not None and _is_picture(value) and value.dtype != np.uint8
        )

    def close(self) -> None:
        """See Rows."""
        self._close()


def _is_picture(value: np.ndarray) -> bool:
    """Whether an array is a picture: H x W x C, or H x W of small whole numbers or truth values.

    Other matrices are mostly measurements.
    """
    if value.ndim == 3:
        is_coloured = value.shape[2] in CHANNELS and min(value.shape[:2]) >= SMALLEST_COLOUR_SIDE
        return is_coloured and value.dtype.kind in "uifb"
    is_grey = value.dtype.kind == "b" or (value.dtype.kind == "u" and value.dtype.itemsize <= 2)
    return value.ndim == 2 and min(value.shape) >= SMALLEST_GREY_SIDE and is_grey


def _bytes_in(value: np.ndarray) -> bytes | None:
    """The bytes of an image in a row or column of bytes; None if it holds something else."""
    is_row = value.dtype in (np.uint8, np.int8) and value.size == max(value.shape, default=0)
    data = value.tobytes() if is_row else b""
    return data if begins_as_image(data) else None
