"""Decoded images in a file: whole or not there, found again, and never that of another store."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from imagestore.loading import make_batches as module
from imagestore.loading.batches import Batches
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.disk_cache import file_for, one_at_a_time
from imagestore.loading.make_batches import Part, make_batches
from imagestore.loading.views import View
from imagestore.processes import Stop
from tests.helpers.small_stores import COLOURS, add, picture

VIEW = View(16)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("SLURM_TMPDIR", str(folder))
    return folder


def batches(stores: list[Path], cache: str, stop: Stop | None = None, view: View = VIEW) -> Batches:
    dataset = HDF5Dataset(stores)
    part = Part(dataset, np.arange(len(dataset)))
    (made,), kind = make_batches([part], view, cache, 2, stop or Stop())
    assert cache in (kind, "auto")
    return made


def all_of(made: Batches) -> list[torch.Tensor]:
    order = torch.arange(len(made)).flip(0)
    return [part for batch in made.iterate(order.split(5)) for part in batch]


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
    (file,) = scratch.glob("*/*.decoded")
    first = capsys.readouterr().err
    assert f"cache: wrote {file}" in first
    monkeypatch.setattr(module, "fill_squares", None)
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
    batches(two_stores, "disk", view=View(16, "centre"))
    batches(two_stores, "disk", view=View(16, augment="crop", seed=7))  # cut from the same squares
    assert len(list(scratch.glob("*/*.decoded"))) == 4


def test_a_cut_file_is_made_again(two_stores: list[Path], scratch: Path) -> None:
    expected = all_of(batches(two_stores, "disk"))
    (file,) = scratch.glob("*/*.decoded")
    file.write_bytes(file.read_bytes()[:-1])
    made = all_of(batches(two_stores, "disk"))
    assert all(torch.equal(*pair) for pair in zip(made, expected, strict=True))


def test_a_stop_leaves_no_file(two_stores: list[Path], scratch: Path) -> None:
    stop = Stop()
    stop.signum = signal.SIGTERM
    batches(two_stores, "disk", stop)
    assert list(scratch.glob("*/*.decoded")) == []


def test_two_processes_make_one_file(
    broken_stores: list[Path], scratch: Path, capsys: pytest.CaptureFixture
) -> None:
    """Two threads stand for them: a lock is that of an opened file."""
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(lambda _: all_of(batches(broken_stores, "disk")), range(2))
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))
    messages = capsys.readouterr().err
    assert [messages.count(f"cache: {what} ") for what in ("wrote", "found")] == [1, 1]


def test_a_stop_ends_the_wait_for_another_process(two_stores: list[Path], scratch: Path) -> None:
    path = file_for(HDF5Dataset(two_stores), np.arange(18), 16)
    stop = Stop()
    with ThreadPoolExecutor() as pool, one_at_a_time(path, Stop()):
        waiting = pool.submit(batches, two_stores, "disk", stop)
        with pytest.raises(TimeoutError):
            waiting.result(0.5)
        stop.signum = signal.SIGTERM
        waiting.result(120)
