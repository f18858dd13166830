#!/usr/bin/env python3
"""How a mount grows: 1, 2, 4 and 8 readers by 1, 2 and 4 serving processes, beside squashfuse_ll.

    benchmarks/mount_readers.py [--runs 5] [--images 8189] [--plot FILE.png]

Each figure is the time in which the readers together read all images of a fresh mount, in rounds over all
mounts. The files below are in the kernel's cache. Figures are medians.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
from pathlib import Path

from common.measuring import is_installed, seconds
from common.paths import ROOT
from common.reporting import Figure, machine, print_table
from mount import (
    TAR,
    Mount,
    make_folder,
    make_squashfs,
    make_store,
    mount_command,
    mounted,
    read_in_parallel,
    run_shell,
    split_names,
)

READERS = (1, 2, 4, 8)
PROCESSES = (1, 2, 4)
FOLDER, SQUASHFUSE = "plain folder", "squashfuse_ll"
PLOT = ROOT / "docs" / "images" / "mount-readers.png"


def main() -> None:
    """Measure, print the table, and draw the plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--images", type=int, default=8189)
    parser.add_argument("--plot", type=Path, default=PLOT, help="the picture (default: %(default)s)")
    arguments = parser.parse_args()
    folder = make_folder(arguments.images)
    medians = measure(folder, arguments.runs)
    print_table("Readers of a mount", figures(medians, arguments.runs))
    draw(medians, arguments.images, arguments.plot)


def measure(folder: Path, runs: int) -> dict[tuple[str, int], float]:
    """The median seconds of each mount, by its name and the number of readers."""
    mounts = mounts_of(folder)
    times: dict[tuple[str, int], list[float]] = {(name, n): [] for name in mounts for n in READERS}
    run_shell(f"cat {folder.with_suffix('.h5')} > /dev/null; {TAR}", folder)  # into the kernel's cache
    for _ in range(runs):
        for readers in READERS:
            with tempfile.TemporaryDirectory() as scratch:
                lists = split_names(folder, Path(scratch), readers)
                for name, mount in mounts.items():
                    times[name, readers].append(seconds_of(mount, lists))
    return {key: statistics.median(values) for key, values in times.items()}


def mounts_of(folder: Path) -> dict[str, Mount]:
    """The mounts to compare, by their names in the plot."""
    store = make_store(folder)
    mounts: dict[str, Mount] = {FOLDER: lambda: contextlib.nullcontext(folder)}
    if is_installed("tar2sqfs") and is_installed("squashfuse_ll"):
        image = make_squashfs(folder)
        mounts[SQUASHFUSE] = lambda: mounted("squashfuse_ll", str(image))
    for count in PROCESSES:
        command = [*mount_command("mfusepy", store), "--processes", str(count)]
        mounts[ours(count)] = lambda command=command: mounted(*command)
    return mounts


def ours(processes: int) -> str:
    """The name of a mount by h5vfs.py."""
    return f"h5vfs.py, {processes} process{'es' * (processes > 1)}"


def seconds_of(mount: Mount, lists: list[str]) -> float:
    """The time in which the readers read their lists on a fresh mount."""
    with mount() as mountpoint:
        return seconds(lambda: read_in_parallel(mountpoint, lists))


def figures(medians: dict[tuple[str, int], float], runs: int) -> list[Figure]:
    """A line of the table for each number of processes and readers."""
    return [
        Figure(
            f"{readers} reader{'s' * (readers > 1)}, {ours(processes)}",
            medians[ours(processes), readers],
            yardstick=SQUASHFUSE,
            reference=medians.get((SQUASHFUSE, readers)),
            runs=runs,
        )
        for readers in READERS
        for processes in PROCESSES
    ]


def draw(medians: dict[tuple[str, int], float], images: int, path: Path) -> None:
    """Draw how many images are read in a second, a line for each mount."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    for name in dict.fromkeys(name for name, _ in medians):
        style = "--" if name in (FOLDER, SQUASHFUSE) else "-"
        axes.plot(READERS, [images / medians[name, n] for n in READERS], style, marker="o", label=name)
    axes.set(xscale="log", ylim=(0, None), xlabel="readers", ylabel="images read in a second")
    axes.set_xticks(READERS, map(str, READERS))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    axes.set_title(machine().split(";")[0], fontsize="small")
    figure.savefig(path, dpi=110)
    print(path)


if __name__ == "__main__":
    main()
