"""The batches of a training: with every cache the same, and signals while it is made."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from imagestore.loading import choose_cache
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.disk_cache import SCRATCH
from imagestore.loading.make_batches import Part, make_batches
from imagestore.loading.views import View
from imagestore.processes import Stop
from tests.helpers.small_stores import add, make_store

ALL_BYTES = 18 * (3 * 16 * 16 + 8)  # of the pictures of `two_stores` at 16 x 16 pixels, RGB, and their sizes


def two_parts(stores: list[Path]) -> list[Part]:
    dataset = HDF5Dataset(stores)
    return [Part(dataset, np.arange(9)), Part(dataset, np.arange(9, len(dataset)))]


@pytest.mark.parametrize(("cache", "kind"), [(ALL_BYTES, "ram"), (ALL_BYTES - 1, "none"), (0, "none")])
def test_images_are_in_memory_if_all_fit(two_stores: list[Path], cache: int, kind: str) -> None:
    """All parts together must fit, not each part alone."""
    parts = two_parts(two_stores)
    made, chosen = make_batches(parts, View(16), cache, workers=1, stop=Stop())
    assert chosen == kind
    assert [batches.squares is not None for batches in made] == [kind == "ram"] * 2
    assert [len(batches) for batches in made] == [9, 9]
    assert torch.cat([batches.labels for batches in made]).tolist() == parts[0].dataset.targets


@pytest.mark.parametrize(("available", "kind"), [(2 * ALL_BYTES, "ram"), (2 * ALL_BYTES - 1, "none")])
def test_half_of_the_available_memory_is_used(
    two_stores: list[Path], available: int, kind: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    """And the user is told what was chosen, and why."""
    monkeypatch.setattr(choose_cache, "available_memory", lambda: available)
    for name in SCRATCH:
        monkeypatch.delenv(name, raising=False)
    assert make_batches(two_parts(two_stores), View(16), None, workers=1, stop=Stop())[1] == kind
    line = f"train_model: cache: {kind}, 1 MB of decoded pictures of 16 pixels: "
    assert capsys.readouterr().err.startswith(line)


def test_images_that_cannot_be_decoded_are_named(
    broken_stores: list[Path], capsys: pytest.CaptureFixture
) -> None:
    for cache in ("ram", "none"):
        made, _ = make_batches(two_parts(broken_stores), View(16), cache, workers=3, stop=Stop())
        for batches in made:
            [*batches.epoch(0, 4)]
        assert [len(batches) for batches in made] == [9, 11]
        assert sum(batches.decodable_count for batches in made) == 18
        lines = [line for line in capsys.readouterr().err.splitlines() if "skipped" in line]
        assert [line.split(": ")[1] for line in lines] == ["skipped blue/half.jpg", "skipped white/text.jpg"]


def test_ten_skipped_images_are_named_and_all_counted(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    store = make_store(tmp_path / "a.h5", 3)
    for i in range(12):
        add(store, f"red/text_{i:02d}.jpg", b"not an image at all")
    make_batches([Part(HDF5Dataset(store), np.arange(15))], View(16), 10**6, workers=2, stop=Stop())
    lines = capsys.readouterr().err.splitlines()[1:]
    assert [line.split(": ")[1] for line in lines[:-1]] == [
        f"skipped red/text_{i:02d}.jpg" for i in range(10)
    ]
    assert lines[-1] == "train_model: skipped 12 images in all, because they cannot be decoded"


def test_a_signal_ends_the_decoding_early(two_stores: list[Path], capsys: pytest.CaptureFixture) -> None:
    stop = Stop()
    stop.signum = signal.SIGTERM
    made, _ = make_batches(two_parts(two_stores), View(16), "ram", 2, stop)
    assert sum(batches.decodable_count for batches in made) <= 18
    assert "skipped" not in capsys.readouterr().err


def test_a_part_may_be_empty(two_stores: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path))
    part = Part(HDF5Dataset(two_stores), np.arange(0))
    for cache in ("ram", "disk", "none"):
        ((batches,), _) = make_batches([part], View(16), cache, 1, Stop())
        assert [*batches.epoch(0, 4)] == []
        assert (len(batches), batches.decodable_count) == (0, 0)
