"""Small stores with labels that are easy to learn, made by plain h5py; for several of the tests."""

from __future__ import annotations

import io
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

COLOURS = {"blue": (40, 60, 200), "green": (40, 150, 60), "red": (200, 40, 50)}


def picture(colour: tuple[int, int, int], seed: int, size: tuple[int, int] = (96, 72)) -> bytes:
    """A JPEG that is mostly of one colour, with noise and a patch of another."""
    random = np.random.default_rng(seed)
    pixels = np.tile(np.array(colour, np.float64), (size[1], size[0], 1))
    pixels[: size[1] // 4, : size[0] // 2] = random.integers(0, 256, 3)
    pixels += random.normal(0, 12, pixels.shape)
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


def make_store(
    path: Path, count: int, first: int = 0, colours: dict[str, tuple[int, int, int]] = COLOURS
) -> Path:
    """A store of `count` pictures, their labels in turn; `first` numbers them, so that others differ."""
    names = list(colours)
    with h5py.File(path, "w") as file:
        for i in range(first, first + count):
            label = names[i % len(names)]
            file[f"{label}/image_{i:04d}.jpg"] = np.frombuffer(picture(colours[label], i), np.uint8)
    return path


def add(path: Path, name: str, data: bytes) -> None:
    """Put one more file into a store, whatever it holds."""
    with h5py.File(path, "a") as file:
        file[name] = np.frombuffer(data, np.uint8)
