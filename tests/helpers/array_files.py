"""HDF5 files as other programs write them: pictures as pixels or as bytes, with labels beside them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from PIL import Image


def pixels_of(images: Sequence[bytes]) -> np.ndarray:
    """uint8 (n, H, W, 3): the pixels of encoded pictures of one size."""
    return np.stack([np.asarray(Image.open(io.BytesIO(image)).convert("RGB")) for image in images])


def write_datasets(path: Path, **datasets: object) -> Path:
    """An HDF5 file with these datasets; `a__b` is the dataset `a/b`."""
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name.replace("__", "/")] = values
    return path


def add_vlen_bytes(path: Path, name: str, images: Sequence[bytes]) -> None:
    """Add a dataset of variable length to a file, whose elements are images."""
    with h5py.File(path, "a") as file:
        dataset = file.create_dataset(name, (len(images),), h5py.vlen_dtype(np.uint8))
        for i, image in enumerate(images):
            dataset[i] = np.frombuffer(image, np.uint8)


def padded_rows(images: Sequence[bytes]) -> np.ndarray:
    """uint8 (n, longest): the bytes of each image, and zeros behind them."""
    width = max(map(len, images))
    return np.stack([np.frombuffer(image.ljust(width, b"\0"), np.uint8) for image in images])
