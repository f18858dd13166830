"""The features of all images as a .npy file that numpy can map into memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from imagestore.files.atomic_write import write_whole


class FeaturesFile:
    """A float32 array (N, F) that is being written, some rows at a time. The memory does not grow with N."""

    def __init__(self, file: BinaryIO) -> None:
        """Write into an empty file."""
        self._file = file
        self.rows = self.columns = 0

    def add(self, features: np.ndarray) -> None:
        """Append rows, float32 (B, F). Raises OSError."""
        if not self.rows:
            self.columns = features.shape[1]
            self.write_header()
        self._file.write(np.ascontiguousarray(features, "<f4").data)
        self.rows += len(features)

    def write_header(self) -> None:
        """Write how many rows there are, at the start. Raises OSError.

        NumPy leaves room for a longer number, so the numbers stay where they are.
        """
        self._file.seek(0)
        description = {"descr": "<f4", "fortran_order": False, "shape": (self.rows, self.columns)}
        np.lib.format.write_array_header_1_0(self._file, description)


@contextlib.contextmanager
def features_file(path: Path) -> Iterator[FeaturesFile]:
    """An array that is at `path` when the block ends, whole. If the block raises, it is not there.

    Raises UserError, OSError.
    """
    with write_whole(path) as temporary, temporary.open("wb") as file:
        features = FeaturesFile(file)
        yield features
        features.write_header()
