#!/usr/bin/env python3
"""The time to read an archive, with its index and without, beside a plain pass over it.

    FLOWERS_TGZ=photographs.tgz benchmarks/archive.py [ARCHIVE…]

Default: archives of 400 MB (8,189 photographs) and 1 GB (20,800). Each figure is that of a whole process,
with its start-up:

- plain stream, the yardstick: `tarfile` in mode `r|*` reads each member;
- first pass: all members with their checksums; the pass writes the index;
- 64 members in runs of 8, without an index (so that a first pass is needed) and with one;
- the processor time of a first pass, since labelling workers need the same cores;
- peak memory, and the size of the index.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

from common.measuring import command, peak_memory, seconds
from common.paths import ROOT, bench_folder
from common.photographs import build_archive
from common.reporting import Figure, print_table

IMAGES_OF_1_GB = 20_800
RUNS = 5
PLAIN, FIRST, SAMPLE = "plain stream", "first pass", "64 in runs of 8"
PROGRAMS = {  # their arguments: the archive, and the path of its index
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
from imagestore.sources.open_archive import open_archive
with open_archive(Path(sys.argv[1]), Path(sys.argv[2])) as archive:
    for _ in archive.stream():
        pass
""",
    SAMPLE: """
import random, sys
from pathlib import Path
from imagestore.sources.open_archive import open_archive
from imagestore.labelling.choose_members import choose_runs
with open_archive(Path(sys.argv[1]), Path(sys.argv[2])) as archive:
    for member in choose_runs(archive.members(), 64, 8, random.Random()):
        archive.read(member)
""",
}
NO_INDEX, WITH_INDEX = f"{SAMPLE}, no index", f"{SAMPLE}, with the index"
JOBS = {PLAIN: PLAIN, FIRST: FIRST, NO_INDEX: SAMPLE, WITH_INDEX: SAMPLE}  # each job and its program
TARGETS = {NO_INDEX: "<= 1.5 x", WITH_INDEX: "<= 0.5 x (goal 0.6 s)"}


def main() -> None:
    """Measure each archive, and print one table."""
    archives = [Path(argument).resolve() for argument in sys.argv[1:]] or [
        build_archive(),
        build_archive(bench_folder() / "large.tgz", IMAGES_OF_1_GB),
    ]
    with tempfile.TemporaryDirectory(dir=bench_folder()) as folder:
        figures = [figure for archive in archives for figure in measure(archive, Path(folder) / "index")]
    print_table("Reading an archive", figures)


def measure(archive: Path, index: Path) -> list[Figure]:
    """The figures of one archive. The jobs take turns, so that a slow moment of the machine hits all."""
    wall: dict[str, list[float]] = {job: [] for job in JOBS}
    processor: dict[str, list[float]] = {job: [] for job in JOBS}
    for _ in range(RUNS):
        for job, program in JOBS.items():
            if job in (FIRST, NO_INDEX):
                index.unlink(missing_ok=True)
            before = _processor_seconds()
            arguments = _command(program, archive, index)
            wall[job].append(seconds(lambda arguments=arguments: command(*arguments)))
            processor[job].append(_processor_seconds() - before)
    figures = [_time_figure(archive, job, wall, job) for job in (FIRST, NO_INDEX, WITH_INDEX)]
    figures.append(_time_figure(archive, f"{FIRST}, processor time", processor, FIRST))
    return figures + _size_figures(archive, index)


def _time_figure(archive: Path, what: str, times: dict[str, list[float]], job: str) -> Figure:
    return Figure(
        f"{_size(archive)}: {what}",
        statistics.median(times[job]),
        yardstick=PLAIN,
        reference=statistics.median(times[PLAIN]),
        target=TARGETS.get(job, ""),
        runs=RUNS,
    )


def _size_figures(archive: Path, index: Path) -> list[Figure]:
    """The peak memory of each program, and the size of the index."""
    peaks = {program: peak_memory(_command(program, archive, index)) / 1e6 for program in PROGRAMS}
    figures = [
        Figure(
            f"{_size(archive)}: memory, {program}",
            peaks[program],
            "MB",
            yardstick=PLAIN,
            reference=peaks[PLAIN],
            target="<= 400 MB",
        )
        for program in (FIRST, SAMPLE)
    ]
    return [*figures, Figure(f"{_size(archive)}: size of the index", index.stat().st_size / 1e6, "MB")]


def _command(program: str, archive: Path, index: Path) -> list[str]:
    setup = f"import sys; sys.path.insert(0, {str(ROOT)!r})"
    return [sys.executable, "-c", setup + PROGRAMS[program], str(archive), str(index)]


def _processor_seconds() -> float:
    """The processor time of all child processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _size(archive: Path) -> str:
    return f"{archive.stat().st_size / 1e6:,.0f} MB"


if __name__ == "__main__":
    main()
