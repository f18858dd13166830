#!/usr/bin/env python3
"""A store as a file system of fsspec, beside the same images as plain files.

    benchmarks/filesystem.py [--images 1645] [--runs 7]

Images and files are in the kernel's cache. Each figure is a median; the jobs take turns, so that a slow
moment of the machine hits all. The contents are thrown away before the next job.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import fsspec
from common.measuring import seconds
from common.reporting import Figure, print_table
from mount import make_folder, make_store

from imagestore import ImageStoreFileSystem

ALL_IMAGES = 8189


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1645)
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    folder = make_folder(ALL_IMAGES)
    store = make_store(folder)
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))[: arguments.images]
    print_table("filesystem", figures(store, folder, names, arguments.runs))


def figures(store: Path, folder: Path, names: list[str], runs: int) -> list[Figure]:
    """Reading through the file system, beside plain files; and what comes before it."""
    ours, local = ImageStoreFileSystem(store), fsspec.filesystem("file")
    paths = [f"{folder}/{name}" for name in names]
    jobs = {
        "files": lambda: [Path(path).read_bytes() for path in paths],
        "local": lambda: local.cat(paths),
        "cat": lambda: ours.cat(names),
        "one": lambda: [ours.cat_file(name) for name in names],
        "open": lambda: [ours.open(name).read() for name in names],
        "local open": lambda: [local.open(path).read() for path in paths],
        "find": lambda: ours.find(""),
        "local find": lambda: local.find(str(folder)),
        "start": lambda: ImageStoreFileSystem(store),
    }
    assert jobs["files"]() == jobs["one"]() == [*jobs["cat"]().values()]
    taken = take_turns(jobs, runs)

    def figure(what: str, job: str, yardstick: str, reference: str, target: str = "") -> Figure:
        return Figure(
            what, taken[job], yardstick=yardstick, reference=taken[reference], target=target, runs=runs
        )

    count = f"{len(names):,} images"
    return [
        figure(f"fs.cat of {count}", "cat", "plain files", "files", "<= 1.3 x"),
        figure(f"fs.cat of {count}", "cat", "fsspec's local cat", "local"),
        figure(f"fs.cat_file of {count}, one after the other", "one", "plain files", "files"),
        figure(f"fs.open and read of {count}", "open", "fsspec's local open", "local open"),
        figure(f"fs.find of {ALL_IMAGES:,} images", "find", "fsspec's local find", "local find"),
        Figure("a second file system of a store that is open", taken["start"], runs=runs),
    ]


def take_turns(jobs: dict[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """The median seconds of each job."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(runs):
        for name, job in jobs.items():
            times[name].append(seconds(job))
    return {name: statistics.median(taken) for name, taken in times.items()}


if __name__ == "__main__":
    main()
