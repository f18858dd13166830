"""Which images are held back for validation."""

from __future__ import annotations

import numpy as np

from imagestore.console import UserError
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.image_keys import content_keys
from imagestore.loading.random_numbers import mix
from imagestore.store.labels import TRAIN, VAL

SEEDS_APART = 0x9E3779B97F4A7C15  # from the keys of one --seed to those of the next


def choose_parts(
    dataset: HDF5Dataset, fraction: float, seed: int, use_val: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Positions to train on and positions to validate with, int64, ascending.

    If the stores have parts (train/, val/, test/), all images to train on are in train/. With `use_val`, the
    images to validate with are in val/. Otherwise they are a `fraction` of all images, or of train/. Raises
    UserError if there are parts but no train/.
    """
    if dataset.split is None:
        return split_for_validation(dataset, fraction, seed)
    training = np.flatnonzero(dataset.split == TRAIN)
    if not len(training):
        raise UserError(f"{dataset.stores[0].path}: holds val/ or test/, but no train/ to train on")
    if use_val:
        return training, np.flatnonzero(dataset.split == VAL)
    return split_for_validation(dataset, fraction, seed, training)


def split_for_validation(
    dataset: HDF5Dataset, fraction: float, seed: int, among: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Positions to train on and positions to validate with, int64, ascending.

    `fraction` (0 to below 1) is the share to validate with. If it is above 0, at least one image is held
    back, but one image always stays to train on. The checksum of an image and the seed decide on its side. If
    the store has no checksum, the path takes its place. So the order of the stores does not matter, and a
    picture that is stored twice is always on one side. `among` are the positions to divide, by default all.
    """
    among = np.arange(len(dataset)) if among is None else among
    apart = np.uint64((seed % 2**32 - 1) * SEEDS_APART % 2**64)
    keys = mix(content_keys(dataset)[among].astype(np.uint64) + apart)
    held_back = round(len(among) * fraction)
    if fraction > 0:
        held_back = min(max(held_back, 1), len(among) - 1)
    validation = keys < np.sort(keys)[held_back]  # bool (len(among),)
    return among[~validation], among[validation]
