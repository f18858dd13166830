"""Streamed batches: equal to those from memory, and their workers end in good order."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.decoded_cache import decode_into_memory
from imagestore.loading.streamed_batches import StreamedBatches
from tests.helpers.small_stores import add, make_store


@pytest.mark.parametrize("workers", [0, 2])
def test_memory_and_stream_give_the_same_batches(broken_stores: list[Path], workers: int) -> None:
    """In an order that jumps between the stores, with two images that cannot be decoded."""
    dataset = HDF5Dataset(broken_stores, size=16)
    positions = np.r_[0, 4:20]
    order = torch.randperm(17, generator=torch.Generator().manual_seed(3))
    memory = list(decode_into_memory(dataset, positions, workers=2).iterate(order, 4))
    assert sum(len(labels) for _, labels in memory) == 15
    streamed = list(StreamedBatches(dataset, positions, workers).iterate(order, 4))
    assert len(streamed) == 5
    for (images, labels), (streamed_images, streamed_labels) in zip(memory, streamed, strict=True):
        assert torch.equal(images, streamed_images)
        assert torch.equal(labels, streamed_labels)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_batch_without_decodable_images_is_empty(broken_stores: list[Path], workers: int) -> None:
    dataset = HDF5Dataset(broken_stores, size=16)
    broken = [dataset.path_of(i) for i in range(20)].index("white/text.jpg")
    ((images, labels),) = StreamedBatches(dataset, np.array([broken]), workers).iterate(torch.tensor([0]), 4)
    assert (len(images), len(labels)) == (0, 0)


@pytest.mark.parametrize("workers", [0, 2])
def test_images_that_are_skipped_are_named_once(
    broken_stores: list[Path], workers: int, capsys: pytest.CaptureFixture
) -> None:
    stream = StreamedBatches(HDF5Dataset(broken_stores, size=16), np.arange(20), workers)
    for _ in range(2):  # epochs
        assert sum(len(labels) for _, labels in stream.iterate(torch.arange(20), 4)) == 18
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["skipped blue/half.jpg", "skipped white/text.jpg"]
    assert all(line.startswith("train_model: ") and line.count(": ") >= 2 for line in lines)


def test_ten_skipped_images_are_named_and_all_counted(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    store = make_store(tmp_path / "a.h5", 3)
    for i in range(12):
        add(store, f"red/text_{i:02d}.jpg", b"not an image at all")
    stream = StreamedBatches(HDF5Dataset(store, size=16), np.arange(15), workers=1)
    list(stream.iterate(torch.arange(15), 4))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11 and lines[0].startswith("train_model: skipped red/text_00.jpg: ")
    assert lines[-1] == "train_model: skipped 12 images in all, because they cannot be decoded"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_no_signal_ends_the_workers_of_a_stream(two_stores: list[Path], number: signal.Signals) -> None:
    """The parent acts on signals. After the workers have started, it gets signals as before."""
    stream = StreamedBatches(HDF5Dataset(two_stores, size=16), np.arange(18), workers=2)
    batches = stream.iterate(torch.arange(18), 1)
    first = next(batches)
    workers = multiprocessing.active_children()
    assert len(workers) == 2
    for worker in workers:
        os.kill(worker.pid, number)
    assert sum(len(labels) for _, labels in [first, *batches]) == 18
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
