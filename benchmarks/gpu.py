#!/usr/bin/env python3
"""A GPU's rate with resnet18 in 16 bits: from the store, from the cache, and from data that is on the device.

The steps are those of train_model.py: random crops of 224 pixels, batches of 128. Without CUDA there is
nothing to measure. `gpu.py cpu` tries the program without a GPU, on a few images.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count, cycle, islice

import numpy as np
import torch
from common.measuring import command
from common.paths import bench_folder
from common.photographs import build_archive
from common.reporting import Figure, print_table
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchvision.models import resnet18

from imagestore.loading.batches import Batches
from imagestore.loading.copy_ahead import copy_ahead
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.squares import empty_squares, fill_squares
from imagestore.loading.views import View
from imagestore.processes import Stop, cpu_count

BATCH, STEPS, RUNS, SIDE = 128, 100, 3, 224
IMAGES = 1600
REPEATS = 8  # of each image in an epoch, so that an epoch takes longer than the start of its workers


def main() -> None:
    """Print the table."""
    device = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        print("no CUDA device: nothing is measured", file=sys.stderr)
        return
    steps, batch = (STEPS, BATCH) if device.type == "cuda" else (2, 8)
    dataset = HDF5Dataset(make_store())
    positions = np.tile(np.arange(len(dataset)), REPEATS if device.type == "cuda" else 1)
    view = View(SIDE, "centre", "crop")
    streamed = Batches(dataset, view, cpu_count(), positions, lends=device.type == "cuda")
    on_device = next(iter(streamed.epoch(0, batch)))
    rates = {
        name: rate(steps, device, batches)
        for name, batches in (
            ("on the device", cycle([(on_device.images.to(device), on_device.labels.to(device))])),
            ("cache", endless(cached(streamed), batch, device)),
            ("store", endless(streamed, batch, device)),
        )
    }
    best = rates["on the device"]
    print_table(
        "gpu",
        [
            Figure(f"resnet18, 16 bits, from the {name}", rates[name], "images/s",
                   yardstick="data on the device", reference=best, target=target, runs=RUNS)
            for name, target in (("cache", ">= 0.9 x with 16 cores"), ("store", ""))
        ],
    )  # fmt: skip


def make_store() -> str:
    """The photographs of the other benchmarks as a store, made once and kept."""
    store = bench_folder() / f"gpu-{IMAGES}.h5"
    if not store.exists():
        command("colourHeuristic.py", "sort", build_archive(images=IMAGES), store, IMAGES, 8, "--seed", 1)
    return str(store)


def cached(batches: Batches) -> Batches:
    """The same batches from pictures in memory."""
    squares = empty_squares(len(batches), batches.view.side_to_keep)
    fill_squares(squares, batches.dataset, batches.positions, batches.workers, Stop())
    return replace(batches, squares=squares)


def endless(batches: Batches, batch: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Images and labels of one epoch after the other."""
    for epoch in count():
        for made in copy_ahead(batches.epoch(epoch, batch), device):
            yield made.images, made.labels


def rate(steps: int, device: torch.device, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Images a second of training steps, the median of some runs."""
    network = resnet18(num_classes=100).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters())
    source = iter(batches)

    def train() -> float:
        started, seen = time.perf_counter(), 0
        for images, labels in islice(source, steps):
            seen += len(labels)
            pixels = images.float() / 255
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss = cross_entropy(network(pixels), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return seen / (time.perf_counter() - started)

    train()  # the first steps choose algorithms
    return statistics.median(train() for _ in range(RUNS))


if __name__ == "__main__":
    main()
