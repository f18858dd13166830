"""Numbers that stand for images: what an image's order and its random draws are functions of.

The key of an image does not depend on its position or on its store. So the shards of an archive train as
their merge does.
"""

from __future__ import annotations

import numpy as np
import torch
from isal.isal_zlib import crc32
from torch import Tensor

from imagestore import stored_names
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.random_numbers import mix, mix_images
from imagestore.store.index import StoreIndex
from imagestore.store.reader import ImageStore

AT_ONCE = 1 << 16  # images whose names are hashed at once: each byte of a name takes 8 bytes meanwhile
BYTES = np.uint64(256)  # values of a byte
ORDER = np.uint64(0x6F72646572)  # keeps the order of an epoch apart from crops and flips


def image_keys(dataset: HDF5Dataset) -> np.ndarray:
    """uint64 (N,): a function of each image's member and checksum, as the store keeps them.

    If it keeps no member, the path of the image in the store takes its place.
    """
    return np.concatenate([_keys_of(store.index) for store in dataset.stores])[dataset.positions]


def content_keys(dataset: HDF5Dataset) -> np.ndarray:
    """uint32 (N,): the checksum of each image, or of its path if the store has no checksum for it.

    A picture that is stored twice, by two names, has one content key.
    """
    return np.concatenate([_checksums_of(store) for store in dataset.stores])[dataset.positions]


def epoch_order(keys: np.ndarray, seed: int, epoch: int) -> Tensor:
    """int64 (N,): the order of an epoch for images with these keys, uint64 (N,)."""
    drawn = mix(mix_images(keys, seed, epoch) ^ ORDER)
    return torch.from_numpy(np.argsort(drawn, kind="stable"))


def _keys_of(index: StoreIndex) -> np.ndarray:
    """uint64 (images of the store,)."""
    members = _hashes(index.column("member_end"), index.column("member_text"))
    has_member = np.diff(index.column("member_end"), prepend=0) > 0
    names = members if has_member.all() else np.where(has_member, members, _paths(index))
    with np.errstate(over="ignore"):
        return mix(names + mix(index.crc32.astype(np.uint64)))


def _paths(index: StoreIndex) -> np.ndarray:
    labels = [mix(_hash(label)) for label in index.label_bytes]
    names = _hashes(index.column("name_end"), index.column("name_text"))
    with np.errstate(over="ignore"):
        return names + np.repeat(np.array(labels, np.uint64), np.diff(index.start))


def _hash(text: bytes) -> np.uint64:
    return _hashes(np.array([len(text)]), np.frombuffer(text, np.uint8))[0]


def _hashes(ends: np.ndarray, text: np.ndarray) -> np.ndarray:
    """uint64 (n,): the hash of each of the joined texts, which end at `ends`.

    It is the sum of a random number for each byte and its place (Zobrist's hashing).
    """
    hashes = np.empty(len(ends), np.uint64)
    for first in range(0, len(ends), AT_ONCE):
        until = ends[first : first + AT_ONCE]
        start = int(ends[first - 1]) if first else 0
        begins = np.r_[start, until[:-1]]
        place = np.arange(start, int(until[-1])) - np.repeat(begins, until - begins)
        numbers = mix(place.astype(np.uint64) * BYTES + text[start : int(until[-1])])
        sums = np.r_[np.zeros(1, np.uint64), np.cumsum(numbers, dtype=np.uint64)]
        hashes[first : first + AT_ONCE] = sums[until - start] - sums[begins - start]
    return hashes


def _checksums_of(store: ImageStore) -> np.ndarray:
    checksums = store.index.crc32.copy()
    for i in np.flatnonzero(store.index.has_crc == 0).tolist():
        checksums[i] = crc32(stored_names.encode(store.path_of(i)))
    return checksums
