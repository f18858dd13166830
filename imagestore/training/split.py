"""Which images are held back for validation."""

from __future__ import annotations

import os

import numpy as np
from isal.isal_zlib import crc32

from imagestore.store.reader import ImageStore
from imagestore.training.dataset import HDF5Dataset


def split(dataset: HDF5Dataset, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions to train on and positions to validate with, int64, ascending.

    `fraction` (0 to below 1) is the share of the latter: at least one of two images, where it is not 0.
    Decided by each image's own checksum (or its path, where the store keeps none): the same picture is
    always on the same side, twice stored or not, whatever the order of the stores.
    """
    keys = _keys(dataset, seed)
    held_back = round(len(dataset) * fraction)
    if fraction > 0:
        held_back = min(max(held_back, 1), len(dataset) - 1)
    validation = keys < np.sort(keys)[held_back]
    return np.flatnonzero(~validation), np.flatnonzero(validation)


def _keys(dataset: HDF5Dataset, seed: int) -> np.ndarray:
    """uint64 (N,): well mixed numbers, by the finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    key = np.concatenate([_checksums(store) for store in dataset.stores]).astype(np.uint64)
    with np.errstate(over="ignore"):
        key += np.uint64(seed % 2**32) * np.uint64(0x9E3779B97F4A7C15)
        key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


def _checksums(store: ImageStore) -> np.ndarray:
    """uint32 (N,): the images' own checksums, their paths' where there is none."""
    checksums = store.index.crc32.copy()
    for i in np.flatnonzero(store.index.has_crc == 0).tolist():
        checksums[i] = crc32(os.fsencode(store.path_of(i)))
    return checksums
