"""Batches of random crops: the same with any number of workers, with pictures that cannot be decoded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from imagestore.loading.cropped_batches import CroppedBatches
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.picture_cache import cache_pictures
from tests.helpers.small_stores import make_store


def epoch(batches: CroppedBatches, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = zip(*batches.epoch(number), strict=True)
    assert [len(each) for each in labels] == [8, 8, 4]
    return torch.cat(images), torch.cat(labels)


@pytest.mark.parametrize("cached", [False, True])
def test_any_number_of_workers_makes_the_same_batches(broken_stores: list[Path], cached: bool) -> None:
    dataset = HDF5Dataset(broken_stores)
    cache = cache_pictures(dataset, 40, workers=2) if cached else None
    first, *others = (epoch(CroppedBatches(dataset, 32, 8, 1, workers, cache), 0) for workers in (0, 1, 2))
    assert first[0].shape == (20, 3, 32, 32)
    assert first[0].dtype == torch.uint8
    for images, labels in others:
        assert torch.equal(images, first[0])
        assert torch.equal(labels, first[1])
    other_epoch = epoch(CroppedBatches(dataset, 32, 8, 1, 0, cache), 1)
    assert not torch.equal(other_epoch[0], first[0])


def test_a_cache_changes_no_draw(two_stores: list[Path]) -> None:
    """Crops from the cache show the same parts, at the resolution of the cache."""
    dataset = HDF5Dataset(two_stores)
    plain = torch.cat([images for images, _ in CroppedBatches(dataset, 32, 8, 1).epoch(0)])
    cache = cache_pictures(dataset, 96, workers=1)
    cached = torch.cat([images for images, _ in CroppedBatches(dataset, 32, 8, 1, 0, cache).epoch(0)])
    assert (plain.float() - cached.float()).abs().mean() < 6


def test_an_error_that_is_no_damage_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = HDF5Dataset(make_store(tmp_path / "a.h5", 9))

    def fail(position: int) -> bytes:
        raise MemoryError("none left")

    monkeypatch.setattr(dataset, "read", fail)
    with pytest.raises(MemoryError):
        list(CroppedBatches(dataset, 32, 4, workers=2).epoch(0))


def test_leaving_an_epoch_early_ends_its_workers(two_stores: list[Path]) -> None:
    batches = CroppedBatches(HDF5Dataset(two_stores), 32, 2, workers=2).epoch(0)
    next(batches)
    batches.close()
