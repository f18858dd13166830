"""Decoded images in a file: whole or not there, found again, and never that of another store."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from imagestore.console import UserError
from imagestore.loading import decoded_cache
from imagestore.loading.batches import Batches
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.decoded_cache import choose_cache, make_batches
from imagestore.processes import Stop
from tests.helpers.small_stores import COLOURS, add, picture


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("SLURM_TMPDIR", str(folder))
    return folder


def batches(stores: list[Path], cache: str, stop: Stop | None = None) -> Batches:
    dataset = HDF5Dataset(stores, size=16)
    return make_batches(dataset, [np.arange(len(dataset))], cache, 2, stop or Stop())[0]


def all_of(made: Batches) -> list[torch.Tensor]:
    order = torch.arange(len(made)).flip(0)
    return [part for batch in made.iterate(order, 5) for part in batch]


def test_ram_disk_and_none_give_the_same_batches(broken_stores: list[Path], scratch: Path) -> None:
    expected = all_of(batches(broken_stores, "none"))
    for cache in ("ram", "disk", "disk", "auto"):
        made = all_of(batches(broken_stores, cache))
        assert all(torch.equal(*pair) for pair in zip(made, expected, strict=True))


def test_a_file_is_found_again(
    broken_stores: list[Path], scratch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Images that cannot be decoded are named again."""
    batches(broken_stores, "disk")
    (file,) = scratch.glob("*/*")
    first = capsys.readouterr().err
    assert f"cache: wrote {file}" in first
    monkeypatch.setattr(decoded_cache, "decode_into_memory", None)
    batches(broken_stores, "disk")
    again = capsys.readouterr().err
    assert f"cache: found {file}" in again
    for text in (first, again):
        assert [name in text for name in ("blue/half.jpg", "white/text.jpg")] == [True, True]


def test_a_file_of_a_store_that_changed_is_not_taken(two_stores: list[Path], scratch: Path) -> None:
    batches(two_stores, "disk")
    add(two_stores[0], "red/new.jpg", picture(COLOURS["red"], 5))
    assert len(batches(two_stores, "disk")) == 19
    os.utime(two_stores[1], ns=(1, 1))
    batches(two_stores, "disk")
    assert len(list(scratch.glob("*/*"))) == 3


def test_a_cut_file_is_made_again(two_stores: list[Path], scratch: Path) -> None:
    expected = all_of(batches(two_stores, "disk"))
    (file,) = scratch.glob("*/*")
    file.write_bytes(file.read_bytes()[:-1])
    made = all_of(batches(two_stores, "disk"))
    assert all(torch.equal(*pair) for pair in zip(made, expected, strict=True))


def test_a_stop_leaves_no_file(two_stores: list[Path], scratch: Path) -> None:
    stop = Stop()
    stop.signum = signal.SIGTERM
    assert len(batches(two_stores, "disk", stop)) == 0
    assert list(scratch.glob("*/*")) == []


def test_what_has_no_room_is_refused(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cache in ("ram", "disk"):
        with pytest.raises(UserError, match="--cache none"):
            choose_cache(cache, 2**60)
    assert choose_cache("none", 2**60)[0] == "none"
    assert choose_cache("auto", 2**60)[0] == "none"
    monkeypatch.setattr(decoded_cache, "available_memory", lambda: 0)
    assert choose_cache("auto", 1000)[0] == "disk"
    monkeypatch.delenv("SLURM_TMPDIR")
    monkeypatch.delenv("TMPDIR", raising=False)
    assert choose_cache("auto", 1000)[0] == "none"
