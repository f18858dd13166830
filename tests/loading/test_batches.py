"""Batches: the same with any number of workers and any cache, also with pictures that cannot be decoded."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from imagestore.loading import pixel_processes
from imagestore.loading.batches import Batch, Batches
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.squares import Squares, empty_squares, fill_squares
from imagestore.loading.views import View
from imagestore.open_files import MostRecent
from imagestore.processes import Stop
from imagestore.store.reader import ImageStore, StoreError
from tests.helpers.images import encode
from tests.helpers.small_stores import add, make_store

VIEWS = [
    View(16),
    View(16, "centre"),
    View(16, "whole", "flip", 3),
    View(16, "centre", "crop", 3),
    View(80, "centre"),
]


def squares_of(dataset: HDF5Dataset, view: View) -> Squares:
    squares = empty_squares(len(dataset), view.side_to_keep)
    fill_squares(squares, dataset, np.arange(len(dataset)), 2, Stop())
    return squares


def joined(batches: list[Batch]) -> list[torch.Tensor]:
    return [torch.cat(parts) for parts in zip(*batches, strict=True)]


def are_equal(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return all(torch.equal(*pair) for pair in zip(some, others, strict=True))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("cached", [False, True])
def test_any_number_of_workers_makes_the_same_batches(
    broken_stores: list[Path], view: View, cached: bool
) -> None:
    dataset = HDF5Dataset(broken_stores)
    squares = squares_of(dataset, view) if cached else None
    made = [[*Batches(dataset, view, workers, squares=squares).epoch(1, 7)] for workers in (0, 1, 3)]
    images, labels, positions = joined(made[0])
    assert (images.shape, images.dtype) == ((18, 3, view.side, view.side), torch.uint8)
    assert sorted(dataset.path_of(i) for i in range(20) if i not in positions.tolist()) == [
        "blue/half.jpg", "white/text.jpg",
    ]  # fmt: skip
    assert labels.tolist() == [dataset.targets[i] for i in positions]
    assert [len(batch.labels) for batch in made[0]] == [len(batch.labels) for batch in made[2]]
    for other in made[1:]:
        assert are_equal(joined(other), [images, labels, positions])


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("cached", [False, True])
def test_lent_batches_are_the_same_until_the_next_one(
    broken_stores: list[Path], view: View, cached: bool
) -> None:
    dataset = HDF5Dataset(broken_stores)
    squares = squares_of(dataset, view) if cached else None
    chunks = [*torch.arange(20).split(2), torch.arange(0), *torch.arange(20).split(7)]
    expected = [*Batches(dataset, view, 0, squares=squares).iterate(chunks, 1)]
    for workers in (0, 1, 2, 3):
        lent = Batches(dataset, view, workers, squares=squares, lends=True).iterate(chunks, 1)
        for batch, same in zip(lent, expected, strict=True):
            time.sleep(0.02)  # in which the processes would overwrite it
            assert are_equal([*batch], [*same])
            assert batch.images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("cached", [False, True])
def test_what_is_seen_depends_on_the_image_alone(broken_stores: list[Path], cached: bool) -> None:
    """In any order, in batches of any size, among any other images and stores, an image has the same crop."""
    view = View(24, augment="crop", seed=5)

    def seen(stores: list[Path], positions: range, batch_size: int) -> dict[str, torch.Tensor]:
        dataset = HDF5Dataset(stores)
        squares = squares_of(dataset, view) if cached else None
        batches = Batches(dataset, view, 1, squares=squares)
        made = joined([*batches.iterate(torch.tensor(positions).split(batch_size), 2)])
        return {dataset.path_of(i): image for image, _, i in zip(*made, strict=True)}

    expected = seen(broken_stores, range(20), 6)
    for stores, positions in ((broken_stores[::-1], range(19, -1, -1)), (broken_stores[1:], range(5))):
        for path, image in seen(stores, positions, 4).items():
            assert torch.equal(image, expected[path])


def test_an_epoch_has_an_order_and_crops_of_its_own(two_stores: list[Path]) -> None:
    batches = Batches(HDF5Dataset(two_stores), View(16, augment="crop"))
    first, same, second = (joined([*batches.epoch(number, 5)]) for number in (0, 0, 1))
    assert are_equal(first, same)
    assert sorted(first[2].tolist()) == sorted(second[2].tolist()) == list(range(18))
    assert first[2].tolist() != second[2].tolist()
    in_order = [images[positions.argsort()] for images, _, positions in (first, second)]
    assert not any(torch.equal(*pair) for pair in zip(*in_order, strict=True))


def test_a_plain_view_is_not_augmented(two_stores: list[Path]) -> None:
    dataset = HDF5Dataset(two_stores, size=16)
    for augment in ("none", "flip", "crop"):
        images, _, _ = joined([*Batches(dataset, View(16, augment=augment)).in_order(5)])
        assert torch.equal(images, torch.stack([image for image, _ in dataset]))


def test_half_of_the_pictures_are_mirrored(two_stores: list[Path]) -> None:
    batches = Batches(HDF5Dataset(two_stores), View(16, augment="flip"))
    plain, flipped = (joined([*batches.iterate([torch.arange(18)], epoch)])[0] for epoch in (None, 0))
    mirrored = [torch.equal(image, other.flip(2)) for image, other in zip(plain, flipped, strict=True)]
    assert 4 < sum(mirrored) < 14
    assert all(torch.equal(plain[i], flipped[i]) for i in range(18) if not mirrored[i])


def test_the_memory_is_as_convolutions_want_it(broken_stores: list[Path]) -> None:
    for images, _, _ in Batches(HDF5Dataset(broken_stores), View(16)).epoch(0, 7):
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_a_batch_without_decodable_images_is_empty(broken_stores: list[Path]) -> None:
    dataset = HDF5Dataset(broken_stores)
    broken = [dataset.path_of(i) for i in range(20)].index("white/text.jpg")
    for _ in range(2):  # the second time it is known
        (batch,) = Batches(dataset, View(16)).iterate([torch.tensor([broken])])
        assert [len(part) for part in batch] == [0, 0, 0]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_images_that_are_skipped_are_named_once(
    broken_stores: list[Path], workers: int, capsys: pytest.CaptureFixture
) -> None:
    batches = Batches(HDF5Dataset(broken_stores), View(16), workers)
    assert batches.decodable_count == 20
    for _ in range(2):  # epochs
        assert sum(len(labels) for _, labels, _ in batches.iterate(torch.arange(20).split(4))) == 18
    assert (len(batches), batches.decodable_count, batches.skipped.count) == (20, 18, 2)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["skipped blue/half.jpg", "skipped white/text.jpg"]
    assert all(line.startswith("imagestore: ") and line.count(": ") >= 2 for line in lines)


def test_ten_skipped_images_are_named_and_all_counted(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    store = make_store(tmp_path / "a.h5", 3)
    for i in range(12):
        add(store, f"red/text_{i:02d}.jpg", b"not an image at all")
    [*Batches(HDF5Dataset(store), View(16)).iterate(torch.arange(15).split(4))]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11 and lines[0].startswith("imagestore: skipped red/text_00.jpg: ")
    assert lines[-1] == "imagestore: skipped 12 images in all, because they cannot be decoded"


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("error", [MemoryError("none left"), OSError(24, "Too many open files")])
def test_an_error_that_is_no_damage_is_raised(
    tmp_path: Path, workers: int, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = HDF5Dataset(make_store(tmp_path / "a.h5", 9))

    def fail(position: int) -> bytes:
        raise error

    monkeypatch.setattr(dataset, "read", fail)
    with pytest.raises(type(error)):
        list(Batches(dataset, View(32), workers).epoch(0, 4))
    assert threads_of_decoding() == 0


def threads_of_decoding() -> int:
    return sum(thread.name.startswith("decode") for thread in threading.enumerate())


def test_leaving_an_epoch_early_ends_its_threads(
    two_stores: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixel_processes, "FEWEST_IMAGES", 1000)
    batches = Batches(HDF5Dataset(two_stores), View(32), workers=2).epoch(0, 2)
    next(batches)
    assert threads_of_decoding() > 0  # a thread that has nothing to do takes the work of the next
    batches.close()
    assert threads_of_decoding() == 0


def test_two_workers_decode_in_processes_and_cut_in_threads(two_stores: list[Path]) -> None:
    dataset, view = HDF5Dataset(two_stores), View(32)
    squares = empty_squares(len(dataset), 32)
    fill_squares(squares, dataset, np.arange(len(dataset)), 0, Stop())
    for kept, has_threads in ((None, False), (squares, True)):
        batches = Batches(dataset, view, 2, squares=kept).epoch(0, 2)
        next(batches)
        assert (threads_of_decoding() > 0) == has_threads
        batches.close()


def test_some_images_of_a_dataset(two_stores: list[Path]) -> None:
    """Positions are those among the images of the Batches."""
    dataset = HDF5Dataset(two_stores, size=16)
    batches = Batches(dataset, View(16), positions=np.array([17, 3, 5]))
    images, labels, positions = joined([*batches.iterate(torch.tensor([2, 0]).split(1))])
    assert positions.tolist() == [2, 0]
    assert labels.tolist() == batches.labels[[2, 0]].tolist() == [dataset.targets[i] for i in (5, 17)]
    assert torch.equal(images[1], dataset[17][0])


def test_an_image_costs_no_python_object(tmp_path: Path) -> None:
    """Of a dataset, its keys and its order: a million of them would take hundreds of megabytes."""
    count = 5000
    with h5py.File(tmp_path / "many.h5", "w") as file:
        data = np.frombuffer(encode(Image.new("RGB", (2, 2)), "PNG"), np.uint8)
        for i in range(count):
            file[f"{'ab'[i % 2]}/{i}.png"] = data
    next(Batches(HDF5Dataset(make_store(tmp_path / "few.h5", 3)), View(8)).epoch(0, 2))  # imports
    tracemalloc.start()
    try:
        batches = Batches(HDF5Dataset(tmp_path / "many.h5"), View(8), workers=2)
        epoch = batches.epoch(0, 10)
        next(epoch)
        objects = sum(each.count for each in tracemalloc.take_snapshot().statistics("filename"))
        epoch.close()
    finally:
        tracemalloc.stop()
    assert objects < count


def test_a_lack_of_open_files_is_no_fault_of_an_image(two_stores: list[Path]) -> None:
    """Where there are so many stores that each is opened again for each image."""
    stores = [ImageStore(path, recent=MostRecent(1)) for path in two_stores]
    batches = Batches(HDF5Dataset(stores), View(8), workers=0)
    opened, limits = [], resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                opened.append(os.open(two_stores[0], os.O_RDONLY))
        with pytest.raises(OSError, match="Too many open files"):
            next(batches.in_order(4))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in opened:
            os.close(descriptor)
    assert len(next(batches.in_order(4)).labels) == 4


def test_images_that_cannot_be_read_do_not_shift_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker reads several images before it decodes the first."""
    dataset = HDF5Dataset(make_store(tmp_path / "a.h5", 30))
    expected = next(Batches(dataset, View(16)).in_order(30)).images
    read, cannot_be_read = dataset.read, {0, 5, *range(8, 20), 29}

    def read_some(i: int) -> bytes:
        if i in cannot_be_read:
            raise StoreError("damaged")
        return read(i)

    monkeypatch.setattr(dataset, "read", read_some)
    batch = next(Batches(dataset, View(16)).in_order(30))
    kept = [i for i in range(30) if i not in cannot_be_read]
    assert batch.positions.tolist() == kept
    assert torch.equal(batch.images, expected[kept])
