#!/usr/bin/env python3
"""From an archive to a store: how fast, and with how much memory.

    benchmarks/pipeline.py                 the 400 MB archive of 8,189 photographs, in about two minutes
    benchmarks/pipeline.py --ten-times     also the memory for an archive ten times as large
    benchmarks/pipeline.py --million       also a million images of 2 KB: their rate, and opening the store

Y, the yardstick of `partition`, is one process that streams the archive with tarfile and decodes each image
with Pillow at 1/8 of its size. The yardstick "stream" is one process that reads each member, and no more.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import time
from itertools import pairwise
from pathlib import Path

from common.measuring import command, is_installed, median_of, peak_memory, seconds
from common.paths import ROOT, bench_folder
from common.photographs import build_archive
from common.reporting import Figure, print_table
from PIL import Image

RUNS = 3
MEBIBYTE = 2**20
MILLION = 1_000_000
SMALL_IMAGE = 2048  # bytes
DRAWN_IMAGES = 1000  # a million images are copies of these, told apart by a number at their end
IMAGES_OF_1_GB = 20_800
SHARDS = 4
SCRIPT = ROOT / "colourHeuristic.py"
OPEN_MILLION = """
from imagestore.store.reader import ImageStore
store = ImageStore("million.h5")
store.index.offset, store.index.size
assert len(store) == 1_000_000
"""


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ten-times", action="store_true", help="also an archive ten times as large")
    parser.add_argument("--million", action="store_true", help="also a million small images")
    parser.add_argument("--stream", metavar="ARCHIVE", type=Path, help="only read ARCHIVE, as a yardstick")
    parser.add_argument("--decode", action="store_true", help="with --stream: decode each image as well")
    arguments = parser.parse_args()
    if arguments.stream:
        stream(arguments.stream, arguments.decode)
        return
    archive = build_archive()
    figures = partition_figures(archive)
    figures += sort_figures(archive)
    figures += sort_figures(build_archive(bench_folder() / "large.tgz", images=IMAGES_OF_1_GB))
    figures += merge_figures(archive)
    if arguments.ten_times:
        large, workspace = repeat(archive, 10), Workspace("ten-times")
        figures.append(memory_figure("memory, archive ten times as large", large, workspace))
    if arguments.million:
        figures += million_figures()
    print_table("archive to store", figures)


class Workspace:
    """A folder for stores and for the archive's index, which is emptied between runs."""

    def __init__(self, name: str) -> None:
        self.folder = bench_folder() / name
        self.clear()

    def clear(self) -> None:
        """Remove all files."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def remove_stores(self) -> None:
        """Remove all files but the index of the archive."""
        for store in self.folder.glob("*.h5"):
            store.unlink()

    def run(self, *arguments: object) -> None:
        """Run colourHeuristic.py in this folder, with the index in it."""
        command("colourHeuristic.py", *arguments, "--index", self.folder / "index", cwd=self.folder)

    def merge(self, output: str, stores: list[str]) -> None:
        """Run `colourHeuristic.py merge` in this folder."""
        command("colourHeuristic.py", "merge", output, *stores, cwd=self.folder)


# ----- yardsticks -----


def stream(archive: Path, decode: bool = False) -> None:
    """Read each member of an archive; `decode`: decode it at 1/8 of its size too."""
    with tarfile.open(archive, "r|*") as tar:
        for member in tar:
            if member.isfile():
                data = tar.extractfile(member).read()
                if decode:
                    image = Image.open(io.BytesIO(data))
                    image.draft("RGB", (image.width // 8, image.height // 8))
                    image.load()


def stream_in_a_process(archive: Path, *options: str) -> None:
    """Run `stream` as a program: both sides of a comparison include the start-up of Python."""
    subprocess.run([sys.executable, __file__, "--stream", str(archive), *options], check=True)


# ----- partition -----


def partition_figures(archive: Path) -> list[Figure]:
    """`partition` of all images, and its memory."""
    workspace = Workspace("partition")
    yardsticks, timings = [], []
    for _ in range(RUNS):  # in turn, so that a slow moment of the machine hits both
        yardsticks.append(seconds(lambda: stream_in_a_process(archive, "--decode")))
        workspace.clear()
        timings.append(seconds(lambda: workspace.run("partition", archive, "train.h5", "test.h5", 0.8)))
    taken = statistics.median(timings)
    figures = [partition_figure(taken, "Y", statistics.median(yardsticks), "<= 1.3 x (goal 0.9)")]
    if is_installed("tar2sqfs"):
        image = workspace.folder / "images.sqfs"
        pack = f"gzip -dc '{archive}' | tar2sqfs -c lz4 -f -q '{image}'"
        figures.append(partition_figure(taken, "tar2sqfs", median_of(lambda: os.system(pack), RUNS)))
    workspace.clear()
    return [*figures, memory_figure("memory of partition, whole tree", archive, workspace)]


def partition_figure(taken: float, yardstick: str, reference: float, target: str = "") -> Figure:
    """The seconds that `partition` took, beside those of a yardstick."""
    return Figure(
        "partition, 8,189 images",
        taken,
        yardstick=yardstick,
        reference=reference,
        target=target,
        runs=RUNS,
    )


def memory_figure(what: str, archive: Path, workspace: Workspace) -> Figure:
    """The peak memory of all processes of `partition`."""
    arguments = [sys.executable, SCRIPT, "partition", archive, "train.h5", "test.h5", 0.8]
    peak = peak_memory([*arguments, "--index", workspace.folder / "index"], cwd=workspace.folder)
    workspace.clear()
    return Figure(what, peak / MEBIBYTE, "MB", target="<= 400 MB")


def repeat(archive: Path, times: int) -> Path:
    """An archive with `times` copies of each photograph, told apart by a number at their end."""
    path = bench_folder() / f"{archive.stem}-times-{times}.tgz"
    if path.exists():
        return path
    partial = path.with_suffix(".partial")
    with tarfile.open(partial, "w:gz", compresslevel=1) as copy:
        for i in range(times):
            with tarfile.open(archive) as original:
                for member in filter(tarfile.TarInfo.isfile, original):
                    data = original.extractfile(member).read() + b"%d" % i
                    member.name, member.size = f"{i}/{member.name}", len(data)
                    copy.addfile(member, io.BytesIO(data))
    return partial.rename(path)


# ----- sort -----


def sort_figures(archive: Path) -> list[Figure]:
    """`sort` of 64 images in runs of 8, with and without the archive's index."""
    workspace = Workspace("sort")
    arguments = ("sort", archive, "some.h5", 64, 8)
    plain = median_of(lambda: stream_in_a_process(archive), RUNS)
    without = median_of(lambda: workspace.run(*arguments), RUNS, before=workspace.clear)
    indexed = median_of(lambda: workspace.run(*arguments), RUNS, before=workspace.remove_stores)
    workspace.clear()
    what = f"sort 64 of {archive.stat().st_size / 1e9:.1f} GB"
    beside_stream = {"yardstick": "stream", "reference": plain, "runs": RUNS}
    return [
        Figure(f"{what}, with an index", indexed, target="<= 0.5 x (goal 0.6 s)", **beside_stream),
        Figure(f"{what}, without", without, target="<= 1.5 x", **beside_stream),
    ]


# ----- merge -----


def merge_figures(archive: Path) -> list[Figure]:
    """`merge` of shards, and of one store."""
    workspace = Workspace("merge")
    shards = [f"shard{k}.h5" for k in range(1, SHARDS + 1)]
    for k, shard in enumerate(shards, 1):
        workspace.run("partition", archive, shard, "test.h5", 1, "--shard", f"{k}/{SHARDS}")
    workspace.merge("one.h5", shards)
    figures = [
        merge_figure(workspace, f"{SHARDS} stores", shards),
        merge_figure(workspace, "one store", ["one.h5"]),
    ]
    workspace.clear()
    return figures


def merge_figure(workspace: Workspace, what: str, stores: list[str]) -> Figure:
    """`merge` beside a plain copy of the same bytes, both as far as the disk, in turn."""
    output = workspace.folder / "all.h5"
    copy = f"cat {' '.join(stores)} > all.h5 && sync all.h5"
    copying, merging = [], []
    for _ in range(RUNS):
        output.unlink(missing_ok=True)
        copying.append(seconds(lambda: command("sh", "-c", copy, cwd=workspace.folder)))
        output.unlink()
        merging.append(seconds(lambda: workspace.merge("all.h5", stores)))
    return Figure(
        f"merge, 8,189 images of {what}",
        statistics.median(merging),
        yardstick="cat, sync",
        reference=statistics.median(copying),
        runs=RUNS,
    )


# ----- a million images -----


def million_figures() -> list[Figure]:
    """The rates of labelling in the first and the last tenth of a million images; opening the store."""
    archive = bench_folder() / "million.tar"
    if not archive.exists():
        draw_million(archive)
    workspace = Workspace("million")
    first, last = labelling_rates(archive, workspace)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    opening = [sys.executable, "-c", OPEN_MILLION]
    taken = median_of(lambda: command(*opening, cwd=workspace.folder, env=environment), RUNS)
    return [
        Figure(
            "a million images: last tenth",
            last,
            "images/s",
            yardstick="first tenth",
            reference=first,
            target="0.8 to 1.2 x",
        ),
        Figure("a million images: open the store", taken, target="<= 5 s", runs=RUNS),
    ]


def labelling_rates(archive: Path, workspace: Workspace) -> tuple[float, float]:
    """Images per second in the first and in the last tenth of a run, by its progress lines."""
    process = subprocess.Popen(
        [sys.executable, SCRIPT, "sort", archive, "million.h5", str(MILLION), str(MILLION)],
        cwd=workspace.folder, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    progress = [(0, time.perf_counter())]  # (images, seconds)
    for line in process.stderr:
        if line.startswith("labelling: "):
            progress.append((int(line.split()[1].replace(",", "")), time.perf_counter()))
    assert process.wait() == 0
    rates = [(images - before) / (end - start) for (before, start), (images, end) in pairwise(progress)]
    tenth = max(1, len(rates) // 10)
    return statistics.mean(rates[1 : tenth + 1]), statistics.mean(rates[-tenth:])


def draw_million(path: Path) -> None:
    """Write an archive of a million drawn images of SMALL_IMAGE bytes."""
    pictures = [draw_small_picture(i) for i in range(DRAWN_IMAGES)]
    with tarfile.open(path, "w") as tar:
        for i in range(MILLION):
            data = (pictures[i % len(pictures)] + b"%d" % i).ljust(SMALL_IMAGE, b"\0")
            member = tarfile.TarInfo(f"jpg/{i // 1000:04d}/image_{i:07d}.jpg")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def draw_small_picture(i: int) -> bytes:
    """A JPEG of noise with a rectangle whose colour depends on `i`."""
    picture = Image.effect_noise((40, 40), 60).convert("RGB")
    picture.paste((i * 37 % 256, i * 91 % 256, i * 153 % 256), (4, 4, 36, 30))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
