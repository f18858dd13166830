"""Batches from memory and streamed: the choice between the two, equal batches, signals."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from imagestore.loading import decoded_cache
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.decoded_cache import MemoryBatches, decode_into_memory, decoded_bytes, make_batches
from imagestore.loading.disk_cache import SCRATCH
from imagestore.processes import Stop
from tests.helpers.small_stores import add, make_store

ALL_BYTES = 18 * 3 * 16 * 16  # of the pictures of `two_stores` at 16 x 16 pixels, RGB


def stopped() -> Stop:
    stop = Stop()
    stop.signum = signal.SIGTERM
    return stop


# ----- in memory or streamed -----


@pytest.mark.parametrize(("cache", "in_memory"), [(ALL_BYTES, True), (ALL_BYTES - 1, False), (0, False)])
def test_images_are_in_memory_if_all_fit(two_stores: list[Path], cache: int, in_memory: bool) -> None:
    """All parts together must fit, not each part alone."""
    dataset = HDF5Dataset(two_stores, size=16)
    parts = [np.arange(9), np.arange(9, 18)]
    made = make_batches(dataset, parts, cache, workers=1, stop=Stop())
    assert [isinstance(batches, MemoryBatches) for batches in made] == [in_memory, in_memory]
    assert [len(batches) for batches in made] == [9, 9]
    assert torch.cat([batches.labels for batches in made]).tolist() == dataset.targets


@pytest.mark.parametrize(("available", "in_memory"), [(2 * ALL_BYTES, True), (2 * ALL_BYTES - 1, False)])
def test_half_of_the_available_memory_is_used(
    two_stores: list[Path], available: int, in_memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoded_cache, "available_memory", lambda: available)
    for name in SCRATCH:
        monkeypatch.delenv(name, raising=False)
    dataset = HDF5Dataset(two_stores, size=16)
    (batches,) = make_batches(dataset, [np.arange(18)], None, workers=1, stop=Stop())
    assert isinstance(batches, MemoryBatches) == in_memory


def test_decoded_bytes_are_those_of_the_tensor(two_stores: list[Path]) -> None:
    images = decode_into_memory(HDF5Dataset(two_stores, size=16), range(18), workers=1).images
    assert images.nbytes == decoded_bytes(18, 16) == ALL_BYTES


# ----- images that cannot be decoded -----


def test_images_that_cannot_be_decoded_are_named(broken_stores: list[Path]) -> None:
    dataset = HDF5Dataset(broken_stores, size=16)
    memory = decode_into_memory(dataset, range(len(dataset)), workers=3)
    assert (len(dataset), len(memory), memory.decodable_count) == (20, 20, 18)
    assert [line.split(":")[0] for line in memory.skipped] == ["blue/half.jpg", "white/text.jpg"]
    assert np.bincount(memory.labels[memory.decodable]).tolist() == [4, 4, 4, 6]


def test_ten_skipped_images_are_named_and_all_counted(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    store = make_store(tmp_path / "a.h5", 3)
    for i in range(12):
        add(store, f"red/text_{i:02d}.jpg", b"not an image at all")
    make_batches(HDF5Dataset(store, size=16), [np.arange(15)], 10**6, workers=2, stop=Stop())
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines[:-1]] == [
        f"skipped red/text_{i:02d}.jpg" for i in range(10)
    ]
    assert lines[-1] == "train_model: skipped 12 images in all, because they cannot be decoded"


# ----- signals -----


def test_a_signal_ends_the_decoding_early(two_stores: list[Path]) -> None:
    dataset = HDF5Dataset(two_stores, size=16)
    memory = decode_into_memory(dataset, range(18), workers=2, stop=stopped())
    assert (len(memory), memory.decodable_count, memory.skipped) == (18, 0, [])


def test_decoding_counts_the_finished_images(two_stores: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded_cache, "IMAGES_BETWEEN_CHECKS", 7)
    counts: list[int] = []
    dataset = HDF5Dataset(two_stores, size=16)
    decode_into_memory(dataset, range(18), workers=2, count_finished=counts.append)
    assert counts == [7, 7, 4]
