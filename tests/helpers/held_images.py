"""HDF5 files that keep images in the ways of other programs: not as 1-D arrays of unsigned bytes."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from tests.helpers.images import encode

LABELS = ("rose", "tulip")
BYTES_OF_ANY_LENGTH = h5py.vlen_dtype(np.uint8)


def picture(number: int, format: str = "JPEG") -> bytes:
    """A small image, another one for each number, and not all of one size in bytes."""
    noise = np.random.default_rng(number).integers(0, 256, (24 + number % 5, 32, 3), np.uint8)
    return encode(Image.fromarray(noise), format)


def as_array(data: bytes) -> np.ndarray:
    """Bytes as uint8 (n,)."""
    return np.frombuffer(data, np.uint8)


def padded(pictures: list[bytes]) -> np.ndarray:
    """Images as uint8 (n, longest), each row filled up with zeros."""
    longest = max(map(len, pictures))
    return np.array([as_array(data.ljust(longest, b"\0")) for data in pictures])


def add_vlen(file: h5py.File, path: str, pictures: list[bytes], **options: object) -> h5py.Dataset:
    """Add a dataset with one element of variable length for each image; `options` are those of h5py."""
    dataset = file.create_dataset(path, (len(pictures),), BYTES_OF_ANY_LENGTH, **options)
    for number, data in enumerate(pictures):
        dataset[number] = as_array(data)
    return dataset


def make_vlen(path: Path, count: int = 10, **options: object) -> dict[str, bytes]:
    """A dataset of images of variable length for each label; returns the images by their shown paths."""
    contents = {}
    with h5py.File(path, "w") as file:
        for first, label in enumerate(LABELS):
            pictures = [picture(100 * first + number) for number in range(count)]
            add_vlen(file, f"{label}/images", pictures, **options)
            names = (f"{label}/images/{number:06d}.jpg" for number in range(count))
            contents |= dict(zip(names, pictures, strict=True))
    return contents
