#!/usr/bin/env python3
"""Many stores as one: opening them, their memory, and the order of an epoch.

    benchmarks/many_stores.py

A thousand stores of 20 images, and 300 stores of 10,000, all tiny: a glob names them. The time is that
of a new process after its imports, and the memory is what comes on top of these. The stores are made once and
kept (2 GB). All but four of the 300 are copies: opening and ordering them costs the same.
"""

from __future__ import annotations

import io
import json
import shutil
import statistics
import sys
from pathlib import Path

from common.measuring import command
from common.paths import ROOT, bench_folder
from common.reporting import Figure, print_table
from mount import add_image
from PIL import Image

from imagestore.store.writer import StoreWriter

RUNS = 3
LABELS = ("red", "green", "blue", "white", "black")
MADE = 4  # stores of a folder, if it holds copies
OPEN = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.image_keys import epoch_order, image_keys

def memory():
    lines = open("/proc/self/status", encoding="ascii").read().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return sum(int(fields[name].split()[0]) for name in ("RssAnon", "RssShmem")) / 1000  # MB

before, start = memory(), time.perf_counter()
dataset = HDF5Dataset([sys.argv[2]])
opened, with_dataset = time.perf_counter() - start, memory()
start = time.perf_counter()
keys = image_keys(dataset)
of_keys, start = time.perf_counter() - start, time.perf_counter()
order = epoch_order(keys, 1, 1)
print(json.dumps([len(dataset), opened, with_dataset - before, of_keys, time.perf_counter() - start,
                  memory() - before]))
"""


def main() -> None:
    """Measure, and print the table."""
    figures = [figure for stores, images in ((1000, 20), (300, 10_000)) for figure in measure(stores, images)]
    print_table("many stores as one", figures)


def measure(stores: int, images: int) -> list[Figure]:
    """Figures of a folder of `stores` stores, `images` images each."""
    pattern = make_stores(stores, images) / "part-*.h5"
    runs = [json.loads(command(sys.executable, "-c", OPEN, ROOT, pattern).stdout) for _ in range(RUNS)]
    count, opened, memory, of_keys, order, memory_of_all = map(statistics.median, zip(*runs, strict=True))
    what = f"{stores:,} stores, {int(count):,} images"
    return [
        Figure(f"open {what}", opened, target="<= 5 s", runs=RUNS),
        Figure(f"memory of {what}", memory, "MB", target="<= 200 MB", runs=RUNS),
        Figure(f"keys of all images, once: {what}", of_keys, runs=RUNS),
        Figure(f"order of an epoch: {what}", order, runs=RUNS),
        Figure(f"memory with the order: {what}", memory_of_all, "MB", runs=RUNS),
    ]


def make_stores(stores: int, images: int) -> Path:
    """A folder of stores, made once and kept."""
    folder = bench_folder() / f"stores-{stores}-{images}"
    if folder.exists():
        return folder
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for number in range(MADE):
        make_store(partial / f"part-{number:04}.h5", number * images, images)
    for number in range(MADE, stores):
        shutil.copy(partial / f"part-{number % MADE:04}.h5", partial / f"part-{number:04}.h5")
    partial.rename(folder)
    return folder


def make_store(path: Path, first: int, count: int) -> None:
    """A store of pictures of 2 x 2 pixels; `first` numbers them."""
    with StoreWriter(path) as writer:
        for i in range(first, first + count):
            add_image(writer, LABELS[i % len(LABELS)], f"image_{i:07}.png", tiny_picture(i))
        writer.publish()


def tiny_picture(number: int) -> bytes:
    """A PNG, another one for each number."""
    encoded = io.BytesIO()
    Image.new("RGB", (2, 2), (number % 256, number // 256 % 256, number // 65536)).save(encoded, "PNG")
    return encoded.getvalue()


if __name__ == "__main__":
    main()
