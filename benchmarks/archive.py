#!/usr/bin/env python3
"""How fast an archive is read, with its index and without, beside a plain pass over it.

    FLOWERS_TGZ=photographs.tgz benchmarks/archive.py [ARCHIVE…]

Default: 400 MB (8,189 photographs) and 1 GB (20,800). Each figure is a whole process, start-up included:

- plain stream, the yardstick: `tarfile` in mode `r|gz` reads every member;
- first pass: every member with its checksum, leaving an index;
- 64 members in runs of 8, without an index (a first pass comes with it) and with one;
- the processor time of a first pass, since labelling workers need the same cores; and peak memory.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

import common

IMAGES_OF_1_GB = 20_800
RUNS = 5
PLAIN, FIRST, SAMPLE = "plain stream", "first pass", "64 in runs of 8"
JOBS = {  # programs, each given the archive and where its index is
    PLAIN: """
import sys, tarfile
with tarfile.open(sys.argv[1], "r|*") as tar:
    for info in tar:
        if info.isreg():
            tar.extractfile(info).read()
""",
    FIRST: """
import sys
from pathlib import Path
from imagestore.archive import open_archive
with open_archive(Path(sys.argv[1]), Path(sys.argv[2])) as archive:
    for _ in archive.stream():
        pass
""",
    SAMPLE: """
import random, sys
from pathlib import Path
from imagestore.archive import choose_runs, open_archive
with open_archive(Path(sys.argv[1]), Path(sys.argv[2])) as archive:
    for member in choose_runs(archive.members(), 64, 8, random.Random()):
        archive.read(member)
""",
}
NO_INDEX, WITH_INDEX = f"{SAMPLE}, no index", f"{SAMPLE}, with the index"
WANTED = {NO_INDEX: "<= 1.5 x", WITH_INDEX: "<= 0.5 x (goal 0.6 s)"}


def measure(archive: Path, index: Path) -> list[common.Figure]:
    """The table's lines for one archive. The jobs take turns, so that a slow moment hits all of them."""
    walls: dict[str, list[float]] = {what: [] for what in (PLAIN, FIRST, NO_INDEX, WITH_INDEX)}
    processor: dict[str, list[float]] = {what: [] for what in walls}
    for _ in range(RUNS):
        for what in walls:
            if what in (FIRST, NO_INDEX):
                index.unlink(missing_ok=True)
            before = _processor_seconds()
            walls[what].append(common.seconds(lambda what=what: common.command(*_job(what, archive, index))))
            processor[what].append(_processor_seconds() - before)
    figures = [_figure(archive, what, walls, what) for what in (FIRST, NO_INDEX, WITH_INDEX)]
    figures.append(_figure(archive, f"{FIRST}, processor time", processor, FIRST))
    return figures + _sizes(archive, index)


def _figure(archive: Path, title: str, seconds: dict[str, list[float]], what: str) -> common.Figure:
    value, yardstick = statistics.median(seconds[what]), statistics.median(seconds[PLAIN])
    title = f"{_name(archive)}: {title}"
    return common.Figure(title, value, "s", PLAIN, yardstick, WANTED.get(what, ""), RUNS)


def _sizes(archive: Path, index: Path) -> list[common.Figure]:
    """Peak memory of each job, and how large the index is."""
    peaks = {what: common.peak_memory(_job(what, archive, index))[0] / 1e6 for what in (PLAIN, FIRST, SAMPLE)}
    figures = [
        common.Figure(
            f"{_name(archive)}: memory, {what}", peaks[what], "MB", PLAIN, peaks[PLAIN], "<= 400 MB"
        )
        for what in (FIRST, SAMPLE)
    ]
    size = index.stat().st_size / 1e6
    return [*figures, common.Figure(f"{_name(archive)}: size of the index", size, "MB")]


def _job(what: str, archive: Path, index: Path) -> list[str]:
    program = next(text for title, text in JOBS.items() if what.startswith(title))
    setup = f"import sys; sys.path.insert(0, {str(common.ROOT)!r})"
    return [sys.executable, "-c", setup + program, str(archive), str(index)]


def _processor_seconds() -> float:
    """What all child processes that have ended took so far."""
    times = os.times()
    return times.children_user + times.children_system


def _name(archive: Path) -> str:
    return f"{archive.stat().st_size / 1e6:,.0f} MB"


def main() -> None:
    """Measure each archive, print one table."""
    archives = [Path(argument).resolve() for argument in sys.argv[1:]] or [
        common.build_archive(),
        common.build_archive(common.bench_folder() / "large.tgz", IMAGES_OF_1_GB),
    ]
    with tempfile.TemporaryDirectory(dir=common.bench_folder()) as folder:
        figures = [line for archive in archives for line in measure(archive, Path(folder) / "index")]
    common.print_table("Reading an archive", figures)


if __name__ == "__main__":
    main()
