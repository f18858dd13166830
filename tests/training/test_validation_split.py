"""Which images are held back for validation."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestore.loading.dataset import HDF5Dataset
from imagestore.store.open_stores import open_stores
from imagestore.training.validation_split import split_for_validation


@given(fraction=st.floats(0, 0.99), seed=st.integers(0, 2**40))
def test_a_split_has_each_image_once_and_never_changes(
    two_stores: list[Path], fraction: float, seed: int
) -> None:
    training, validation = split_for_validation(HDF5Dataset(two_stores, size=8), fraction, seed)
    assert sorted([*training, *validation]) == list(range(18))
    assert len(training) >= 1
    assert abs(len(validation) - 18 * fraction) <= 1
    assert (len(validation) > 0) == (fraction > 0)
    again = split_for_validation(HDF5Dataset(two_stores, size=8), fraction, seed)
    assert all(map(np.array_equal, again, (training, validation)))


def test_a_split_depends_on_images_not_on_their_order(two_stores: list[Path]) -> None:
    """The same images are held back if the stores come in another order. Another seed holds back others."""

    def held_back(paths: list[Path], seed: int) -> set[str]:
        dataset = HDF5Dataset(paths, size=8)
        return {dataset.path_of(i) for i in split_for_validation(dataset, 0.4, seed)[1]}

    assert held_back(two_stores, 1) == held_back(two_stores[::-1], 1)
    assert len({frozenset(held_back(two_stores, seed)) for seed in range(6)}) > 1


def test_a_picture_in_two_stores_is_on_one_side(sample_store: Path, tmp_path: Path) -> None:
    """No picture is trained on and validated with. These stores keep checksums."""
    copy = shutil.copy(sample_store, tmp_path / "copy.h5")
    training, validation = split_for_validation(HDF5Dataset([sample_store, copy], size=8), 0.3, seed=1)
    assert {i % 60 for i in training}.isdisjoint({i % 60 for i in validation})
    assert len(validation) == 36


@settings(max_examples=30)
@given(copies=st.integers(2, 4), fraction=st.floats(0.01, 0.9), seed=st.integers(0, 2**40))
def test_copies_are_on_one_side_for_any_fraction(
    two_stores: list[Path], copies: int, fraction: float, seed: int
) -> None:
    """Without checksums, too: then the paths decide."""
    dataset = HDF5Dataset(open_stores(two_stores) * copies, size=8)
    parts = split_for_validation(dataset, fraction, seed)
    training, validation = ({dataset.path_of(i) for i in part} for part in parts)
    assert training.isdisjoint(validation)
    assert training
