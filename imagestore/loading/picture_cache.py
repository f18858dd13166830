"""Decoded pictures in memory, or in a file that several processes share: what crops are cut from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import interpolate

from imagestore.decode.decode_image import decode_rgb_array
from imagestore.decode.plain_jpeg import plain_jpeg_size
from imagestore.loading.dataset import HDF5Dataset


@dataclass(frozen=True)
class CachedPictures:
    """Each picture squeezed into a square, and its size before."""

    pictures: np.ndarray  # uint8 (N, side, side, 3)
    sizes: np.ndarray  # int32 (N, 2): width and height


def cache_pictures(dataset: HDF5Dataset, side: int, workers: int) -> CachedPictures:
    """Decode all images once, with `workers` threads, into squares of `side` pixels.

    An image that cannot be decoded is replaced by the next one of its label.
    """
    pictures = np.empty((len(dataset), side, side, 3), np.uint8)
    sizes = np.empty((len(dataset), 2), np.int32)

    def fill(i: int) -> None:
        pictures[i], sizes[i] = dataset.first_decodable(i, lambda data: _square(data, side))

    with ThreadPoolExecutor(max(workers, 1)) as pool:
        for _ in pool.map(fill, range(len(dataset))):
            pass
    return CachedPictures(pictures, sizes)


def _square(data: bytes, side: int) -> tuple[np.ndarray, tuple[int, int]]:
    """uint8 (side, side, 3), and the size of the picture as it is stored."""
    pixels = decode_rgb_array(data, (side, side))
    size = plain_jpeg_size(data) or (pixels.shape[1], pixels.shape[0])
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    square = interpolate(image, (side, side), mode="bilinear", antialias=True)[0]
    return square.permute(1, 2, 0).numpy(), size
