#!/usr/bin/env python3
"""Archives of other kinds, labels of others, and shards: how long `partition` takes of the same photographs.

    FLOWERS_TGZ=photographs.tgz benchmarks/sources.py

Default: 8,189 photographs (400 MB). Each figure is that of a whole process, with its start-up. The jobs of a
table take turns, so that a slow moment of the machine hits all. Yardsticks:

- `.tgz`: `partition` of the same photographs as one `.tgz`;
- tar2sqfs: packs the photographs into a SquashFS image, and stores no labels;
- stream: `tarfile` in mode `r|gz` reads each member, and no more.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tarfile
import zipfile
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from common.measuring import command, is_installed, seconds
from common.paths import bench_folder
from common.photographs import build_archive
from common.reporting import Figure, print_table

RUNS = 3
SHARDS = 8
SPECIES = 102
STORES = ("train.h5", "test.h5", "0.8")
STREAM = """
import sys, tarfile
with tarfile.open(sys.argv[1], "r|gz") as tar:
    for info in tar:
        if info.isreg():
            tar.extractfile(info).read()
"""


def main() -> None:
    """Measure, and print the tables."""
    archive = build_archive()
    folder = bench_folder() / f"sources-{archive.stem}"
    if not folder.exists():
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        write_sources(archive, partial)
        partial.rename(folder)
    figures = source_figures(archive, folder) + label_figures(archive, folder)
    print_table("other sources, and labels of others", figures)


# ----- the same photographs in other archives -----


def write_sources(archive: Path, folder: Path) -> None:
    """Write the photographs as a zip, a .tar.zst and shards, and a table with a label for each."""
    import zstandard

    with tarfile.open(archive) as tar:
        members = [member for member in tar if member.isfile()]
        numbered = list(enumerate(members))
        with zipfile.ZipFile(folder / "photographs.zip", "w") as zip_file:
            for member in members:
                zip_file.writestr(member.name, tar.extractfile(member).read())
        for shard, part in groupby(numbered, key=lambda pair: pair[0] * SHARDS // len(members)):
            with tarfile.open(folder / f"shard-{shard:04}.tgz", "w:gz", compresslevel=1) as shard_file:
                for _, member in part:
                    shard_file.addfile(member, tar.extractfile(member))
    with (
        tarfile.open(archive) as tar,
        (folder / "photographs.tar.zst").open("wb") as file,
        zstandard.ZstdCompressor(level=1).stream_writer(file) as compressed,
        tarfile.open(fileobj=compressed, mode="w|") as copy,
    ):
        for member in filter(tarfile.TarInfo.isfile, tar):
            copy.addfile(member, tar.extractfile(member))
    lines = "".join(f"{member.name},species {number % SPECIES}\n" for number, member in numbered)
    (folder / "labels.csv").write_text(f"name,label\n{lines}", encoding="utf-8")


# ----- figures -----


def source_figures(archive: Path, folder: Path) -> list[Figure]:
    """`partition` with colours as labels: each source beside one .tgz."""
    jobs = {
        ".tgz": lambda: partition(folder, archive),
        ".zip": lambda: partition(folder, "photographs.zip"),
        ".tar.zst": lambda: partition(folder, "photographs.tar.zst"),
        f"{SHARDS} shards": lambda: partition(folder, f"shard-{{0000..{SHARDS - 1:04}}}.tgz"),
    }
    taken = take_turns(jobs)
    targets = {".zip": "<= 1.1 x", ".tar.zst": "<= 1.1 x", f"{SHARDS} shards": "<= 1 x"}
    return [
        _figure(f"partition, {kind}", taken[kind], ".tgz", taken[".tgz"], targets[kind]) for kind in targets
    ]


def label_figures(archive: Path, folder: Path) -> list[Figure]:
    """`partition` that only takes the labels of a table."""
    options = ("--labels", "labels.csv", "--no-palette")
    one, shards = "labels of a CSV", f"labels of a CSV, {SHARDS} shards"
    image = folder / "images.sqfs"
    jobs = {
        one: lambda: partition(folder, archive, *options),
        shards: lambda: partition(folder, f"shard-{{0000..{SHARDS - 1:04}}}.tgz", *options),
        "stream": lambda: command(sys.executable, "-c", STREAM, archive),
    }
    if is_installed("tar2sqfs"):
        pack = f"gzip -dc '{archive}' | tar2sqfs -c lz4 -f -q '{image}'"
        jobs["tar2sqfs"] = lambda: command("sh", "-c", pack)
    taken = take_turns(jobs)
    image.unlink(missing_ok=True)
    figures = [_figure(one, taken[one], "stream", taken["stream"], "<= 2 x")]
    if "tar2sqfs" in taken:
        figures.append(_figure(one, taken[one], "tar2sqfs", taken["tar2sqfs"], "<= 1.5 x"))
    return [*figures, _figure(shards, taken[shards], one, taken[one], "<= 1 x")]


def partition(folder: Path, source: object, *options: object) -> None:
    """Run `partition` without an index, and remove what it wrote."""
    cache = folder / "cache"
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    command("colourHeuristic.py", "partition", source, *STORES, *options, cwd=folder, env=environment)
    for store in STORES[:2]:
        (folder / store).unlink()
    shutil.rmtree(cache, ignore_errors=True)  # a zip has an index of its own, and leaves none here


def take_turns(jobs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The median seconds of each job."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(RUNS):
        for name, job in jobs.items():
            times[name].append(seconds(job))
    return {name: statistics.median(taken) for name, taken in times.items()}


def _figure(what: str, taken: float, yardstick: str, reference: float, target: str) -> Figure:
    return Figure(what, taken, yardstick=yardstick, reference=reference, target=target, runs=RUNS)


if __name__ == "__main__":
    main()
