#!/usr/bin/env python3
"""A mounted image store, beside a plain folder and squashfuse_ll with the same files.

    benchmarks/mount.py [--runs 5] [--images 8189] [--library fusepy|mfusepy]

Each figure of a mount is that of a fresh mount: the kernel has cached nothing of it. The files below it
(store, squashfs image, plain files) are in the kernel's cache, in all three cases. Figures are medians.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from common.measuring import is_installed, seconds
from common.paths import ROOT, bench_folder
from common.photographs import build_archive, unpack_archive
from common.reporting import Figure, print_table
from common.serving import megabytes, processor_seconds

from imagestore.store.record import ImageRecord
from imagestore.store.writer import StoreWriter

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "grey", "black")
LABELS = [shade + colour for shade in ("", "dark-", "light-") for colour in COLOURS]
MODIFIED = 1_234_567_890  # seconds since the epoch
READERS = 4
IMAGES_OF_AN_EPOCH = 2048
MILLION = 1_000_000
TAR = "tar -cf - . | cat"
EPOCH_PROGRAM = """
import sys, torch
from torchvision import datasets, transforms
torch.set_num_threads(1)
shape = transforms.Compose([transforms.Resize((128, 128)), transforms.ToTensor()])
images = datasets.ImageFolder(sys.argv[1], shape)
images = torch.utils.data.Subset(images, range(0, len(images), max(1, len(images) // int(sys.argv[2]))))
for batch in torch.utils.data.DataLoader(images, 64, shuffle=True, num_workers=2):
    pass
"""

Mount = Callable[[], contextlib.AbstractContextManager[Path]]  # mounts; gives the mountpoint; unmounts


def main() -> None:
    """Measure one FUSE package after the other, and print a table for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--images", type=int, default=8189)
    parser.add_argument(
        "--epochs", type=int, default=3, help="runs of the ImageFolder epoch; 0 leaves it out"
    )
    parser.add_argument("--no-million", action="store_true", help="leave out the store of a million images")
    parser.add_argument("--library", action="append", choices=("fusepy", "mfusepy"))
    arguments = parser.parse_args()
    folder = make_folder(arguments.images)
    for library in arguments.library or ("mfusepy", "fusepy"):
        figures = library_figures(library, folder, arguments.runs, arguments.epochs)
        if not arguments.no_million:
            figures += million_figures(library, arguments.runs)
        print_table(f"Mount ({library})", figures)


# ----- the files -----


def make_folder(images: int) -> Path:
    """Photographs as plain files in thirty folders, made once and kept."""
    folder = bench_folder() / f"mount-{images}"
    if folder.exists():
        return folder
    flat = unpack_archive(build_archive(images=images))
    with tempfile.TemporaryDirectory(dir=bench_folder()) as scratch:
        partial = Path(scratch) / "folder"
        for i, path in enumerate(sorted(flat.rglob("*.jpg"))):
            label_folder = partial / LABELS[i * 7919 % len(LABELS)]
            label_folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, label_folder / path.name)
        partial.rename(folder)
    return folder


def make_store(folder: Path) -> Path:
    """A store of the files in a folder, made once and kept."""
    store = folder.with_suffix(".h5")
    if not store.exists():
        with StoreWriter(store) as writer:
            for path in sorted(folder.rglob("*.jpg")):
                add_image(writer, path.parent.name, path.name, path.read_bytes())
            writer.publish()
    return store


def make_million() -> Path:
    """A store of a million small images, made once (in some minutes) and kept."""
    store = bench_folder() / "million.h5"
    if not store.exists():
        print("making a store of a million images, once", file=sys.stderr)
        with StoreWriter(store) as writer:
            for i in range(MILLION):
                add_image(writer, LABELS[i % len(LABELS)], f"image_{i:07d}.jpg", b"%08d" % i)
            writer.publish()
    return store


def add_image(writer: StoreWriter, label: str, name: str, data: bytes) -> None:
    """Add one image to a store."""
    image = ImageRecord(
        label=label.encode(), name=name.encode(), member=f"jpg/{name}".encode(), size=len(data),
        crc32=zlib.crc32(data), mtime=MODIFIED,
    )  # fmt: skip
    writer.add(image, data)


def make_squashfs(folder: Path) -> Path:
    """A squashfs image of the files in a folder, made once and kept. squashfuse_ll reads zstd fastest."""
    image = folder.with_suffix(".sqfs")
    if not image.exists():
        tar = subprocess.Popen(["tar", "-cf", "-", "-C", str(folder), "."], stdout=subprocess.PIPE)
        subprocess.run(
            ["tar2sqfs", "--quiet", "--compressor", "zstd", str(image)], stdin=tar.stdout, check=True
        )
        tar.wait()
    return image


# ----- mounting -----


@contextlib.contextmanager
def mounted(*command: str) -> Iterator[Path]:
    """Mount with a command that takes the mountpoint as its last argument; unmount at the end."""
    with tempfile.TemporaryDirectory() as mountpoint:
        subprocess.run([*command, mountpoint], check=True, capture_output=True, timeout=60)
        try:
            yield Path(mountpoint)
        finally:
            subprocess.run(["umount" if os.geteuid() == 0 else "fusermount", mountpoint], check=True)


def mount_command(library: str, *stores: Path) -> list[str]:
    """The command that mounts stores, without the mountpoint."""
    return [sys.executable, str(ROOT / "h5vfs.py"), "--library", library, *map(str, stores)]


def seconds_until_listed(library: str, store: Path) -> float:
    """The time until the mount command has returned and the root folder is listed."""
    start = time.perf_counter()
    with mounted(*mount_command(library, store)) as mountpoint:
        os.listdir(mountpoint)
        return time.perf_counter() - start


def server_megabytes(library: str, store: Path, script: str) -> float:
    """The memory of all processes of the mount after a shell command in it, in MB."""
    with mounted(*mount_command(library, store)) as mountpoint:
        run_shell(script, mountpoint)
        return megabytes(mountpoint)


# ----- one run -----


def measure(mount: Mount, lists: list[str]) -> dict[str, float]:
    """The seconds of each job, each on a fresh mount, and the processor time of the mount in two of them.

    `lists` are files with the names of images.
    """
    times = {}
    with mount() as folder:
        times["find"] = shell_seconds("find . -type f", folder)
    with mount() as folder:
        times["ls"], times["ls again"] = shell_seconds("ls -lR", folder), shell_seconds("ls -lR", folder)
    with mount() as folder:
        times["tar"] = shell_seconds(TAR, folder)
        times["tar, processor"] = processor_seconds(folder)
        times["tar again"] = shell_seconds(TAR, folder)
    with mount() as folder:
        times["parallel"] = seconds(lambda: read_in_parallel(folder, lists))
        times["parallel, processor"] = processor_seconds(folder)
    return times


def shell_seconds(script: str, folder: Path) -> float:
    """The time of a shell command in a folder."""
    return seconds(lambda: run_shell(script, folder))


def run_shell(script: str, folder: Path) -> None:
    """Run a shell command in a folder."""
    subprocess.run(["sh", "-c", script], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def read_in_parallel(folder: Path, lists: list[str]) -> None:
    """Read the files of each list in a process of its own."""
    readers = [
        subprocess.Popen(["xargs", "-a", names, "cat"], cwd=folder, stdout=subprocess.DEVNULL)
        for names in lists
    ]
    statuses = [reader.wait() for reader in readers]
    assert not any(statuses)


def split_names(folder: Path, scratch: Path, readers: int = READERS) -> list[str]:
    """A file in `scratch` for each reader, with the names of its share of the images."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))
    lists = [scratch / f"list{i}" for i in range(readers)]
    for i, path in enumerate(lists):
        path.write_text("\n".join(names[i::readers]) + "\n")
    return [str(path) for path in lists]


# ----- figures -----


@dataclass(frozen=True)
class Medians:
    """The median seconds of each job; `squashfuse` is empty if squashfuse_ll is not installed."""

    ours: dict[str, float]
    folder: dict[str, float]
    squashfuse: dict[str, float]


def library_figures(library: str, folder: Path, runs: int, epochs: int) -> list[Figure]:
    """The figures of one FUSE package, beside the plain folder and squashfuse_ll."""
    store = make_store(folder)
    has_squashfuse = is_installed("tar2sqfs") and is_installed("squashfuse_ll")
    image = make_squashfs(folder) if has_squashfuse else None
    run_shell(f"cat {store} {image or store} > /dev/null; {TAR}", folder)  # into the kernel's cache

    def ours() -> contextlib.AbstractContextManager[Path]:
        return mounted(*mount_command(library, store))

    medians = measure_in_turn(ours, folder, image, runs)
    start = statistics.median(seconds_until_listed(library, store) for _ in range(runs))
    figures = [
        Figure("mount command returns, listed", start, target="<= 0.6 s (goal 0.3 s)", runs=runs),
        *job_figures(medians, runs),
        *processor_figures(medians, runs, len(list(folder.rglob("*.jpg")))),
        Figure("memory after tar", server_megabytes(library, store, TAR), "MB", target="< 150 MB"),
    ]
    return figures + ([epoch_figure(folder, ours, epochs)] if epochs else [])


def measure_in_turn(ours: Mount, folder: Path, image: Path | None, runs: int) -> Medians:
    """Measure the mounts in turn, `runs` times, so that a slow moment of the machine hits all."""
    mounts: dict[str, Mount] = {"ours": ours, "folder": lambda: contextlib.nullcontext(folder)}
    if image is not None:
        mounts["squashfuse"] = lambda: mounted("squashfuse_ll", str(image))
    times: dict[str, list[dict[str, float]]] = {name: [] for name in mounts}
    with tempfile.TemporaryDirectory() as scratch:
        lists = split_names(folder, Path(scratch))
        for _ in range(runs):
            for name, mount in mounts.items():
                times[name].append(measure(mount, lists))
    medians = {
        name: {job: statistics.median(run[job] for run in all_runs) for job in all_runs[0]}
        for name, all_runs in times.items()
    }
    return Medians(medians["ours"], medians["folder"], medians.get("squashfuse", {}))


def job_figures(medians: Medians, runs: int) -> list[Figure]:
    """Listing and reading, each beside its yardstick."""

    def figure(what: str, job: str, yardstick: str, target: str = "") -> Figure:
        references = medians.folder if yardstick == "folder" else medians.squashfuse
        return Figure(
            what,
            medians.ours[job],
            yardstick=yardstick,
            reference=references.get(job),
            target=target,
            runs=runs,
        )

    return [
        figure("first find -type f", "find", "folder", "+ 0.05 s (goal + 0.01 s)"),
        figure("first find -type f", "find", "squashfuse_ll"),
        figure("first ls -lR", "ls", "squashfuse_ll", "<= 0.1 x"),
        figure("second ls -lR", "ls again", "folder", "<= 1.0 x"),
        figure("first tar", "tar", "squashfuse_ll", "<= 0.75 x (goal 0.6 x)"),
        figure("second tar", "tar again", "folder", "<= 2 x (goal 1.1 x)"),
        figure("four readers, first time", "parallel", "squashfuse_ll", "<= 0.75 x (goal 0.5 x)"),
        figure("four readers, first time", "parallel", "folder"),
    ]


def processor_figures(medians: Medians, runs: int, images: int) -> list[Figure]:
    """The processor time of all serving processes for an image that is read for the first time."""
    rows = {"tar, processor": "tar, listing included", "parallel, processor": "four readers by name"}
    return [
        Figure(
            f"processor time for an image, {what}",
            medians.ours[job] / images * 1e6,
            "us",
            yardstick="squashfuse_ll",
            reference=medians.squashfuse[job] / images * 1e6 if medians.squashfuse else None,
            target="(goal 1.0 x)",
            runs=runs,
        )
        for job, what in rows.items()
    ]


def epoch_figure(folder: Path, mount: Mount, epochs: int) -> Figure:
    """An epoch of an ImageFolder through fresh mounts and in the plain folder, in turn."""
    in_folder, in_mount = [], []
    for _ in range(epochs):
        in_folder.append(epoch_seconds(folder))
        with mount() as mountpoint:
            in_mount.append(epoch_seconds(mountpoint))
    return Figure(
        f"epoch of ImageFolder ({IMAGES_OF_AN_EPOCH:,} images, 2 workers)",
        statistics.median(in_mount),
        yardstick="folder",
        reference=statistics.median(in_folder),
        target="<= 1.15 x (goal 1.02 x)",
        runs=epochs,
    )


def epoch_seconds(folder: Path) -> float:
    """The time of one epoch of an ImageFolder with two workers."""
    command = [sys.executable, "-c", EPOCH_PROGRAM, str(folder), str(IMAGES_OF_AN_EPOCH)]
    return seconds(lambda: subprocess.run(command, check=True, capture_output=True))


def million_figures(library: str, runs: int) -> list[Figure]:
    """The start and the memory of a mount with a million images."""
    store = make_million()
    start = statistics.median(seconds_until_listed(library, store) for _ in range(runs))
    megabytes = server_megabytes(library, store, "find . -type f")
    return [
        Figure("a million images: listed", start, target="<= 1 s (goal 0.5 s)", runs=runs),
        Figure("a million images: memory after find", megabytes, "MB", target="<= 150 MB"),
    ]


if __name__ == "__main__":
    main()
