#!/usr/bin/env python3
"""`h5vfs.py pack` and `unpack` of 8,189 photographs (400 MB), beside tar.

    benchmarks/folders.py [--runs 3]

`pack` is measured beside `tar cf` of the same folder, both with a sync of the file that they write. `unpack`
of the packed file is measured beside `tar xzf`; neither is synced. `unpack --format` writes the same
photographs from a labelled store. Each figure is that of a whole process, with its start-up. The jobs take
turns, so that a slow moment of the machine hits all. What is read is in the kernel's cache. Nothing is
removed between two jobs: for minutes after many files were removed, ext4 takes several times as long to make
a new one, as it looks through their inodes (`recently_deleted` in fs/ext4/ialloc.c). So a run takes 2 GB.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from common.measuring import command, seconds
from common.paths import bench_folder
from common.reporting import Figure, print_table
from mount import make_folder, make_store

IMAGES = 8189
FORMATS = ("imagefolder", "webdataset", "parquet")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    folder = make_folder(IMAGES)
    with tempfile.TemporaryDirectory(dir=bench_folder()) as scratch:
        print_table("folders", figures(folder, make_store(folder), Path(scratch), runs))


def figures(folder: Path, store: Path, scratch: Path, runs: int) -> list[Figure]:
    """`pack`, `unpack` and the other formats, each beside tar."""
    packed, tar, tgz = scratch / "packed.h5", scratch / "folder.tar", scratch / "folder.tgz"
    jobs = {
        "tar cf": lambda files: tar_and_sync(folder, tar),
        "pack": lambda files: command("h5vfs.py", "pack", folder, packed),
        "tar xzf": lambda files: command("tar", "-xzf", tgz, "-C", scratch, f"--one-top-level={files.name}"),
        "unpack": lambda files: command("h5vfs.py", "unpack", packed, files),
    }
    for name in FORMATS:
        jobs[name] = lambda files, name=name: command("h5vfs.py", "unpack", "--format", name, store, files)
    command("tar", "-cf", tgz, "-I", "gzip -1", "-C", folder, ".")
    command("h5vfs.py", "pack", folder, packed)
    taken = take_turns(jobs, scratch, runs)
    pairs = [("pack", "tar cf", "<= 1.5 x"), ("unpack", "tar xzf", "<= 1.2 x")]
    pairs += [(name, "tar xzf", "") for name in FORMATS]
    return [
        Figure(
            job if job in ("pack", "unpack") else f"unpack --format {job}", taken[job],
            yardstick=yardstick, reference=taken[yardstick], target=target, runs=runs,
        )
        for job, yardstick, target in pairs
    ]  # fmt: skip


def tar_and_sync(folder: Path, tar: Path) -> None:
    """Make a tar of a folder, and wait until the disk has it."""
    subprocess.run(["tar", "-cf", str(tar), "-C", str(folder), "."], check=True)
    with tar.open("rb") as file:
        os.fsync(file.fileno())


def take_turns(jobs: dict[str, Callable[[Path], object]], scratch: Path, runs: int) -> dict[str, float]:
    """The median seconds of each job, which gets the path of a new folder.

    Nothing that was written before waits for the disk meanwhile.
    """
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for run in range(runs):
        for name, job in jobs.items():
            os.sync()
            times[name].append(seconds(partial(job, scratch / f"{name} {run}")))
    return {name: statistics.median(taken) for name, taken in times.items()}


if __name__ == "__main__":
    main()
