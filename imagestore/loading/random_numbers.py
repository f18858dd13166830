"""Random numbers by counters: each is a function of the seed, the epoch and the image alone."""

from __future__ import annotations

import numpy as np


def mix(number: np.ndarray) -> np.ndarray:
    """uint64: well mixed numbers, by the finaliser of SplitMix64 (Steele, Lea and Flood, 2014)."""
    with np.errstate(over="ignore"):
        number = number + np.uint64(0x9E3779B97F4A7C15)
        number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return number ^ (number >> np.uint64(31))


def mix_images(keys: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """uint64 (n,): a number for each image in an epoch. `keys` is uint64 (n,), see image_keys.py."""
    with np.errstate(over="ignore"):
        epochs = mix(mix(np.array([seed % 2**64], np.uint64)) + np.uint64(epoch % 2**64))
        return mix(epochs + keys)


def mix_counted(numbers: np.ndarray, count: int) -> np.ndarray:
    """uint64 (n, count): `count` numbers from each of `numbers`, uint64 (n,)."""
    with np.errstate(over="ignore"):
        return mix(numbers[:, None] + np.arange(count, dtype=np.uint64)[None])
