#!/usr/bin/env python3
"""Archive to store: how fast, and with how much memory.

    benchmarks/pipeline.py                 the 400 MB archive of 8,189 photographs, in about two minutes
    benchmarks/pipeline.py --ten-times     also the memory for an archive ten times as large
    benchmarks/pipeline.py --million       also a million images of 2 KB: their rate, and opening the store

Y, the yardstick of `partition`, is one process that streams the archive with tarfile and decodes every
image with Pillow at 1/8 of its size. A stream is one process that reads every member and keeps nothing.
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
from pathlib import Path

from common import (
    ROOT,
    Figure,
    bench_folder,
    build_archive,
    command,
    have,
    median_of,
    peak_memory,
    print_table,
)
from PIL import Image

RUNS = 3
MEGABYTE = 2**20
MILLION = 1_000_000
SMALL_IMAGE = 2048  # bytes
SHARDS = 4

SCRIPT = ROOT / "colourHeuristic.py"


def stream(archive: Path, decode: bool = False) -> None:
    """Read every member of an archive, one after the other, and decode it at 1/8 size if asked to."""
    with tarfile.open(archive, "r|*") as tar:
        for member in tar:
            if member.isfile():
                data = tar.extractfile(member).read()
                if decode:
                    image = Image.open(io.BytesIO(data))
                    image.draft("RGB", (image.width // 8, image.height // 8))
                    image.load()


def in_a_process(*arguments: object) -> None:
    """Run this script as a yardstick: start-up counts on both sides."""
    subprocess.run([sys.executable, __file__, *map(str, arguments)], check=True)


class Place:
    """A folder for the stores and the archive indexes that are made here, emptied between runs."""

    def __init__(self, name: str) -> None:
        self.folder = bench_folder() / name
        self.clear()

    def clear(self) -> None:
        """Start from nothing."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def remove_stores(self) -> None:
        """Keep the index of the archive only."""
        for store in self.folder.glob("*.h5"):
            store.unlink()

    def run(self, *arguments: object) -> None:
        """Run colourHeuristic.py here."""
        command("colourHeuristic.py", *arguments, "--index", self.folder / "index", cwd=self.folder)


def partition_figures(archive: Path) -> list[Figure]:
    """partition of everything, start-up included, and its memory."""
    place = Place("partition")
    arguments = ("partition", archive, "train.h5", "test.h5", 0.8)
    yardsticks, timings = [], []
    for _ in range(RUNS):  # in turn, so that a slow moment of the machine meets both
        yardsticks.append(median_of(lambda: in_a_process("--stream", archive, "--decode"), 1))
        timings.append(median_of(lambda: place.run(*arguments), 1, before=place.clear))
    y, seconds = statistics.median(yardsticks), statistics.median(timings)
    figures = [Figure("partition, 8,189 images", seconds, "s", "Y", y, "<= 1.3 x (goal 0.9)", RUNS)]
    if have("tar2sqfs"):
        image = place.folder / "images.sqfs"
        packing = median_of(
            lambda: os.system(f"gzip -dc '{archive}' | tar2sqfs -c lz4 -f -q '{image}'"), RUNS
        )
        figures.append(Figure("partition, 8,189 images", seconds, "s", "tar2sqfs", packing, "", RUNS))
    place.clear()
    return [*figures, memory_figure("memory of partition, whole tree", archive, place)]


def memory_figure(what: str, archive: Path, place: Place) -> Figure:
    """The peak of partition's whole process tree."""
    arguments = [sys.executable, SCRIPT, "partition", archive, "train.h5", "test.h5", 0.8]
    peak, _ = peak_memory([*arguments, "--index", place.folder / "index"], cwd=place.folder)
    place.clear()
    return Figure(what, peak / MEGABYTE, "MB", wanted="<= 400 MB")


def sort_figures(archive: Path) -> list[Figure]:
    """sort of 64 images in runs of 8, with and without the archive's index."""
    place = Place("sort")
    arguments = ("sort", archive, "some.h5", 64, 8)
    plain = median_of(lambda: in_a_process("--stream", archive), RUNS)
    without = median_of(lambda: place.run(*arguments), RUNS, before=place.clear)
    indexed = median_of(lambda: place.run(*arguments), RUNS, before=place.remove_stores)
    size = f"{archive.stat().st_size / 1e9:.1f} GB"
    place.clear()
    return [
        Figure(
            f"sort 64 of {size}, with an index", indexed, "s", "stream", plain, "<= 0.5 x (goal 0.6 s)", RUNS
        ),
        Figure(f"sort 64 of {size}, without", without, "s", "stream", plain, "<= 1.5 x", RUNS),
    ]


def merge_figures(archive: Path) -> list[Figure]:
    """merge of shards and of one store, start-up included."""
    place = Place("merge")
    shards = [f"shard{k}.h5" for k in range(1, SHARDS + 1)]
    for k, shard in enumerate(shards, 1):
        place.run("partition", archive, shard, "test.h5", 1, "--shard", f"{k}/{SHARDS}")
    merge(place, "one.h5", shards)
    figures = [merge_figure(place, f"{SHARDS} stores", shards), merge_figure(place, "one store", ["one.h5"])]
    place.clear()
    return figures


def merge(place: Place, output: str, stores: list[str]) -> None:
    """Run the command in a place."""
    command("colourHeuristic.py", "merge", output, *stores, cwd=place.folder)


def merge_figure(place: Place, what: str, stores: list[str]) -> Figure:
    """merge against plain copying of the same bytes, both to the disk, in turn."""
    output = place.folder / "all.h5"
    plain = f"cat {' '.join(stores)} > all.h5 && sync all.h5"
    copying, merging = [], []
    for _ in range(RUNS):
        output.unlink(missing_ok=True)
        copying.append(median_of(lambda: command("sh", "-c", plain, cwd=place.folder), 1))
        output.unlink()
        merging.append(median_of(lambda: merge(place, "all.h5", stores), 1))
    seconds, yardstick = statistics.median(merging), statistics.median(copying)
    return Figure(f"merge, 8,189 images of {what}", seconds, "s", "cat, sync", yardstick, "", RUNS)


def repeat(archive: Path, times: int) -> Path:
    """An archive with every photograph of `archive` so many times, told apart by a number at the end."""
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


def draw_million(path: Path) -> None:
    """An archive of a million drawn images of about 2 KB."""
    pictures = []
    for i in range(1000):
        picture = Image.effect_noise((40, 40), 60).convert("RGB")
        picture.paste((i * 37 % 256, i * 91 % 256, i * 153 % 256), (4, 4, 36, 30))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=90)
        pictures.append(buffer.getvalue())
    with tarfile.open(path, "w") as tar:
        for i in range(MILLION):
            data = (pictures[i % len(pictures)] + b"%d" % i).ljust(SMALL_IMAGE, b"\0")
            member = tarfile.TarInfo(f"jpg/{i // 1000:04d}/image_{i:07d}.jpg")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def million_figures() -> list[Figure]:
    """The rate of labelling in the first and the last tenth of a million images, and opening the store."""
    archive = bench_folder() / "million.tar"
    if not archive.exists():
        draw_million(archive)
    place = Place("million")
    process = subprocess.Popen(
        [sys.executable, SCRIPT, "sort", archive, "million.h5", str(MILLION), str(MILLION)], cwd=place.folder,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    done = [0]
    times = [time.perf_counter()]
    for line in process.stderr:
        if line.startswith("labelling: "):
            done.append(int(line.split()[1].replace(",", "")))
            times.append(time.perf_counter())
    assert process.wait() == 0
    rates = [(b - a) / (t - s) for a, b, s, t in zip(done, done[1:], times, times[1:], strict=False)]
    tenth = max(1, len(rates) // 10)
    first, last = statistics.mean(rates[1 : tenth + 1]), statistics.mean(rates[-tenth:])
    opening = (
        "from imagestore.store import ImageStore; s = ImageStore('million.h5'); "
        "s.index.offset, s.index.size; assert len(s) == 1_000_000"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    seconds = median_of(
        lambda: subprocess.run(
            [sys.executable, "-c", opening], cwd=place.folder, env=environment, check=True
        ),
        RUNS,
    )
    return [
        Figure("a million images: last tenth", last, "images/s", "first tenth", first, "0.8 to 1.2 x"),
        Figure("a million images: open the store", seconds, "s", wanted="<= 5 s", runs=RUNS),
    ]


def main() -> None:
    """Measure, print the table."""
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
    figures += sort_figures(build_archive(bench_folder() / "large.tgz", images=20_800))
    figures += merge_figures(archive)
    if arguments.ten_times:
        large, place = repeat(archive, 10), Place("ten-times")
        figures.append(memory_figure("memory, archive ten times as large", large, place))
    if arguments.million:
        figures += million_figures()
    print_table("archive to store", figures)


if __name__ == "__main__":
    main()
