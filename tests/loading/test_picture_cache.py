"""The cache of decoded pictures: squares, sizes, and images that cannot be decoded."""

from __future__ import annotations

from pathlib import Path

from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.picture_cache import cache_pictures
from tests.helpers.small_stores import add, make_store


def test_the_cache_knows_the_size_of_each_picture(tmp_path: Path) -> None:
    store = make_store(tmp_path / "a.h5", 3)
    add(store, "red/broken.jpg", b"no picture")
    cache = cache_pictures(HDF5Dataset(store), 24, workers=1)
    assert cache.pictures.shape == (4, 24, 24, 3)
    assert cache.sizes.tolist() == [[96, 72]] * 4
