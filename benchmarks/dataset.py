#!/usr/bin/env python3
"""Images to a training loop: a store through HDF5Dataset, beside torchvision's ImageFolder on plain files.

Both sides read the same photographs (the first 1,600), give them to the same transform (a square of 224
pixels) and hand out batches of 64 through the same DataLoader, in the same random order; files are in
the kernel's cache. A cached epoch is a pass over the images that train_model.py keeps in memory.
"""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from common import ROOT, Figure, bench_folder, build_archive, command, print_table, seconds
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torchvision import transforms
from torchvision.datasets import ImageFolder

sys.path.insert(0, str(ROOT))

from imagestore.training.batches import decode_all
from imagestore.training.dataset import HDF5Dataset

IMAGES = 1600
RUNS = 3
SIDE = 224  # pixels
SMALL = 32  # pixels: what train_model.py looks at
BATCH = 64  # images
RESIZE = transforms.Resize((SIDE, SIDE), antialias=True)
TRANSFORM = transforms.Compose([RESIZE, transforms.ToTensor()])


def store_and_folder() -> tuple[Path, Path]:
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


def epoch(dataset: Dataset, workers: int) -> float:
    """Seconds for every image of a dataset once, in a random order."""
    sampler = RandomSampler(dataset, generator=torch.Generator().manual_seed(1))
    loader = DataLoader(dataset, BATCH, sampler=sampler, num_workers=workers)

    def all_of_it() -> None:
        assert sum(len(labels) for _, labels in loader) == len(dataset)

    return seconds(all_of_it)


def in_turn(*actions: Callable[[], float]) -> list[float]:
    """The median of RUNS timings of each, taken in turn, so that a slow moment of the machine meets all."""
    rounds = [[action() for action in actions] for _ in range(RUNS)]
    return [statistics.median(timings) for timings in zip(*rounds, strict=True)]


def loader_figures(store: Path, folder: Path, workers: int) -> list[Figure]:
    """Images a second through a DataLoader: with the very same pixels, and decoded no larger than needed."""
    plain, same, draft = in_turn(
        lambda: epoch(ImageFolder(str(folder), TRANSFORM), workers),
        lambda: epoch(HDF5Dataset(store, TRANSFORM), workers),
        lambda: epoch(HDF5Dataset(store, TRANSFORM, size=SIDE), workers),
    )
    who = f"{workers} workers" if workers else "one process"
    return [
        Figure(f"{what}, {who}", IMAGES / time, "images/s", "ImageFolder", IMAGES / plain, "", RUNS)
        for what, time in (("HDF5Dataset", same), (f"HDF5Dataset, size={SIDE}", draft))
    ]


def cached_figures(store: Path, folder: Path) -> list[Figure]:
    """What train_model.py does: decode once, small, with two threads; then each epoch from memory."""
    small = transforms.Compose([transforms.Resize((SMALL, SMALL), antialias=True), transforms.PILToTensor()])
    dataset = HDF5Dataset(store, size=SMALL)
    decoded = decode_all(dataset, range(len(dataset)), workers=2)
    order = torch.randperm(len(decoded), generator=torch.Generator().manual_seed(1))
    plain, first, later = in_turn(
        lambda: epoch(ImageFolder(str(folder), small), workers=2),
        lambda: seconds(lambda: decode_all(dataset, range(len(dataset)), workers=2)),
        lambda: seconds(lambda: sum(len(labels) for _, labels in decoded.batches(order, BATCH))),
    )
    return [
        Figure(f"{what} of {SMALL} pixels", IMAGES / time, "images/s", "ImageFolder, 2 workers",
               IMAGES / plain, "", RUNS)
        for what, time in (("first epoch", first), ("cached epoch", later))
    ]  # fmt: skip


def reading_figures(store: Path, folder: Path) -> list[Figure]:
    """Opening, and the bytes alone, without decoding them."""
    images, files = HDF5Dataset(store, size=SMALL), ImageFolder(str(folder)).samples
    opening, listing, reading, files_reading = in_turn(
        lambda: seconds(lambda: HDF5Dataset(store, size=SMALL)),
        lambda: seconds(lambda: ImageFolder(str(folder))),
        lambda: seconds(lambda: [images.read(i) for i in range(len(images))]),
        lambda: seconds(lambda: [Path(path).read_bytes() for path, _ in files]),
    )
    return [
        Figure("opening", 1000 * opening, "ms", "ImageFolder", 1000 * listing, "", RUNS),
        Figure("bytes only", IMAGES / reading, "images/s", "plain files", IMAGES / files_reading, "", RUNS),
    ]


def check_same(store: Path, folder: Path) -> None:
    """Both sides see the same pixels and labels, else the comparison is none."""
    ours, theirs = HDF5Dataset(store, TRANSFORM), ImageFolder(str(folder), TRANSFORM)
    assert [ours.path_of(i) for i in range(len(ours))] == [
        str(Path(path).relative_to(folder)) for path, _ in theirs.samples
    ]
    for i in range(0, IMAGES, 97):
        assert torch.equal(ours[i][0], theirs[i][0])
        assert ours[i][1] == theirs[i][1]


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)  # as in the workers; decoding is what is measured
    store, folder = store_and_folder()
    check_same(store, folder)
    figures = reading_figures(store, folder)
    for workers in (0, 2):
        figures += loader_figures(store, folder, workers)
    print_table("dataset", figures + cached_figures(store, folder))


if __name__ == "__main__":
    main()
