#!/usr/bin/env python3
"""Images for a training loop: a store through HDF5Dataset, beside files through torchvision's ImageFolder.

Both read the same 1,600 photographs, transform them to squares of 224 pixels, and give batches of 64 through
the same DataLoader in the same random order. The files are in the kernel's cache.

Batches are what train_model.py is fed with: two processes decode. Whole pictures and random crops
(RandomResizedCrop(224) and a flip) are compared with ImageFolder and its two workers; crops also with
WebDataset, if that is installed. A cached epoch is cut from pictures in memory. A plot of the crops follows
the table.
"""

from __future__ import annotations

import importlib.util
import io
import shutil
import statistics
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from common.measuring import command, seconds
from common.paths import bench_folder
from common.photographs import build_archive
from common.reporting import Figure, print_table
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from imagestore.loading.batches import Batches
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.squares import Squares, empty_squares, fill_squares
from imagestore.loading.views import View
from imagestore.processes import Stop

IMAGES = 1600
RUNS = 3
SIDE = 224  # pixels
SMALL_SIDE = 32  # pixels: the size for which train_model.py decodes
BATCH = 64  # images
TRANSFORM = transforms.Compose([transforms.Resize((SIDE, SIDE), antialias=True), transforms.ToTensor()])
CROP = [v2.RandomResizedCrop(SIDE, antialias=True), v2.RandomHorizontalFlip()]
CROP_OF_PICTURE = v2.Compose([*CROP, v2.PILToTensor()])
CROP_OF_TENSOR = v2.Compose(CROP)
CROP_VIEW = View(SIDE, augment="crop", seed=1)
WORKERS = 2
BAR = 40  # characters for the fastest


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)  # as in DataLoader workers: decoding is measured
    store, folder = make_store_and_folder()
    check_same_images(store, folder)
    figures = reading_figures(store, folder)
    for workers in (0, 2):
        figures += loader_figures(store, folder, workers)
    for side in (SMALL_SIDE, SIDE):
        figures += whole_figures(store, folder, side)
    crops = crop_figures(store, folder)
    print_table("dataset", figures + crops)
    print(plot(crops))


def make_store_and_folder() -> tuple[Path, Path]:
    """The same images as a store and as a folder, made once and kept."""
    store, folder = bench_folder() / f"dataset-{IMAGES}.h5", bench_folder() / f"dataset-{IMAGES}"
    if not store.exists():
        command("colourHeuristic.py", "sort", build_archive(), store, IMAGES, 8, "--seed", 1)
    if not folder.exists():
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        command("h5vfs.py", "unpack", store, partial)
        partial.rename(folder)
    return store, folder


def check_same_images(store: Path, folder: Path) -> None:
    """Check that both sides give the same pixels and labels."""
    ours, theirs = HDF5Dataset(store, TRANSFORM), ImageFolder(str(folder), TRANSFORM)
    assert [ours.path_of(i) for i in range(len(ours))] == [
        str(Path(path).relative_to(folder)) for path, _ in theirs.samples
    ]
    for i in range(0, IMAGES, 97):
        assert torch.equal(ours[i][0], theirs[i][0])
        assert ours[i][1] == theirs[i][1]


def reading_figures(store: Path, folder: Path) -> list[Figure]:
    """Opening, and reading the bytes without decoding them."""
    images, files = HDF5Dataset(store, size=SMALL_SIDE), ImageFolder(str(folder)).samples
    opening, listing, reading, files_reading = medians_in_turn(
        lambda: seconds(lambda: HDF5Dataset(store, size=SMALL_SIDE)),
        lambda: seconds(lambda: ImageFolder(str(folder))),
        lambda: seconds(lambda: [images.read(i) for i in range(len(images))]),
        lambda: seconds(lambda: [Path(path).read_bytes() for path, _ in files]),
    )
    return [
        Figure("opening", 1000 * opening, "ms", yardstick="ImageFolder", reference=1000 * listing, runs=RUNS),
        rate_figure("bytes only", reading, "plain files", files_reading),
    ]


def loader_figures(store: Path, folder: Path, workers: int) -> list[Figure]:
    """An epoch through a DataLoader: with the same pixels as ImageFolder, and decoded at the needed size."""
    plain, same_pixels, needed_size = medians_in_turn(
        lambda: epoch_seconds(ImageFolder(str(folder), TRANSFORM), workers),
        lambda: epoch_seconds(HDF5Dataset(store, TRANSFORM), workers),
        lambda: epoch_seconds(HDF5Dataset(store, TRANSFORM, size=SIDE), workers),
    )
    processes = f"{workers} workers" if workers else "one process"
    return [
        rate_figure(f"HDF5Dataset, {processes}", same_pixels, "ImageFolder", plain),
        rate_figure(f"HDF5Dataset, size={SIDE}, {processes}", needed_size, "ImageFolder", plain),
    ]


def whole_figures(store: Path, folder: Path, side: int) -> list[Figure]:
    """Epochs of whole pictures, as train_model.py reads them: the first, and those from the cache."""
    dataset, view = HDF5Dataset(store), View(side)
    squares = cache_of(dataset, view)
    resize = [transforms.Resize((side, side), antialias=True), transforms.PILToTensor()]
    plain, first, later = medians_in_turn(
        lambda: epoch_seconds(ImageFolder(str(folder), transforms.Compose(resize)), WORKERS),
        lambda: seconds(lambda: count_images(Batches(dataset, view, WORKERS).epoch(0, BATCH))),
        lambda: seconds(lambda: count_images(Batches(dataset, view, WORKERS, None, squares).epoch(0, BATCH))),
    )
    return [
        rate_figure(f"first epoch of {side} pixels", first, "ImageFolder, 2 workers", plain, ">= 1 x"),
        rate_figure(f"cached epoch of {side} pixels", later, "ImageFolder, 2 workers", plain),
    ]


def cache_of(dataset: HDF5Dataset, view: View) -> Squares:
    """All pictures in memory, at the side that a view needs."""
    squares = empty_squares(len(dataset), view.side_to_keep)
    assert not fill_squares(squares, dataset, np.arange(len(dataset)), WORKERS, Stop())
    return squares


def crop_figures(store: Path, folder: Path) -> list[Figure]:
    """An epoch of random crops: ImageFolder, WebDataset, and the ways of this suite."""
    dataset = HDF5Dataset(store)
    first = Batches(dataset, CROP_VIEW, WORKERS)
    later = Batches(dataset, CROP_VIEW, WORKERS, squares=cache_of(dataset, CROP_VIEW))
    lent = replace(later, lends=True)
    timers = {
        "ImageFolder": lambda: epoch_seconds(ImageFolder(str(folder), CROP_OF_PICTURE), WORKERS),
        "HDF5Dataset": lambda: epoch_seconds(HDF5Dataset(store, CROP_OF_PICTURE), WORKERS),
        "HDF5Dataset, as_tensor": lambda: epoch_seconds(
            HDF5Dataset(store, CROP_OF_TENSOR, as_tensor=True), WORKERS
        ),
        f"HDF5Dataset, as_tensor, size={SIDE}": lambda: epoch_seconds(
            HDF5Dataset(store, CROP_OF_TENSOR, SIDE, as_tensor=True), WORKERS
        ),
        "Batches": lambda: seconds(lambda: count_images(first.epoch(0, BATCH))),
        "making the cache": lambda: seconds(lambda: cache_of(dataset, CROP_VIEW)),
        "Batches, from the cache": lambda: seconds(lambda: count_images(later.epoch(0, BATCH))),
        "Batches, from the cache, lent": lambda: seconds(lambda: count_images(lent.epoch(0, BATCH))),
    }
    targets = {
        "HDF5Dataset, as_tensor": ">= 1.9 x", "Batches": ">= 2.3 x (goal 3)",
        "Batches, from the cache": ">= 6 x (goal 9)",
    }  # fmt: skip
    if importlib.util.find_spec("webdataset"):
        timers["WebDataset"] = lambda: seconds(lambda: count_images(web_loader(folder)))
    taken = dict(zip(timers, medians_in_turn(*timers.values()), strict=True))
    return [
        rate_figure(f"crops: {what}", taken[what], "ImageFolder", taken["ImageFolder"], targets.get(what, ""))
        for what in timers
    ]


def count_images(batches: Iterable[Sequence[torch.Tensor]]) -> None:
    """Take all batches, and check that no image is missing."""
    count = sum(len(batch[1]) for batch in batches)
    assert count == IMAGES, count


def web_loader(folder: Path) -> DataLoader:
    """The same files through WebDataset: a shard for each worker, shuffled as its documentation shows."""
    import webdataset

    shards = [str(path) for path in make_shards(folder)]
    crops = (
        webdataset.WebDataset(shards, shardshuffle=False).shuffle(500).decode("pil").to_tuple("jpg", "cls")
    )
    dataset: IterableDataset = crops.map_tuple(CROP_OF_PICTURE, lambda label: label)
    return DataLoader(dataset, BATCH, num_workers=WORKERS)


def make_shards(folder: Path) -> list[Path]:
    """The files of a folder as tars for WebDataset, made once and kept."""
    shards = [folder.with_name(f"{folder.name}-{worker}.tar") for worker in range(WORKERS)]
    samples = ImageFolder(str(folder)).samples
    for worker, shard in enumerate(shards):
        if shard.exists():
            continue
        partial = shard.with_suffix(".partial")
        with tarfile.open(partial, "w") as tar:
            for i, (path, label) in enumerate(samples[worker::WORKERS]):
                tar.add(path, f"{i:06d}.jpg")
                member = tarfile.TarInfo(f"{i:06d}.cls")
                member.size = len(text := str(label).encode())
                tar.addfile(member, io.BytesIO(text))
        partial.rename(shard)
    return shards


def plot(figures: Sequence[Figure]) -> str:
    """A bar for each figure, the fastest the longest."""
    fastest = max(figure.value for figure in figures)
    width = max(len(figure.what) for figure in figures)
    bars = {figure.what: "█" * round(BAR * figure.value / fastest) for figure in figures}
    return "\n".join(f"{each.what:{width}}  {bars[each.what]} {each.value:,.0f} images/s" for each in figures)


def epoch_seconds(dataset: Dataset, workers: int) -> float:
    """The time for all images of a dataset, in a random order."""
    sampler = RandomSampler(dataset, generator=torch.Generator().manual_seed(1))
    loader = DataLoader(dataset, BATCH, sampler=sampler, num_workers=workers)

    def load_all() -> None:
        assert sum(len(labels) for _, labels in loader) == len(dataset)

    return seconds(load_all)


def medians_in_turn(*timers: Callable[[], float]) -> list[float]:
    """The median of RUNS timings of each timer. They take turns, so that a slow moment hits all."""
    rounds = [[timer() for timer in timers] for _ in range(RUNS)]
    return [statistics.median(timings) for timings in zip(*rounds, strict=True)]


def rate_figure(
    what: str, taken: float, yardstick: str, taken_by_yardstick: float, target: str = ""
) -> Figure:
    """Images per second, from the seconds that all IMAGES took."""
    return Figure(
        what,
        IMAGES / taken,
        "images/s",
        yardstick=yardstick,
        reference=IMAGES / taken_by_yardstick,
        target=target,
        runs=RUNS,
    )


if __name__ == "__main__":
    main()
