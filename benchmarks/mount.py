#!/usr/bin/env python3
"""A mounted image store, beside a plain folder with the same files and squashfuse_ll on a squashfs of them.

    benchmarks/mount.py [--runs 3] [--images 8189] [--library fusepy|mfusepy]

Every figure of a mount is from a fresh mount: what the kernel keeps of it is cold. The files under it
(store, squashfs image, plain files) are in memory, for all three alike. Medians.
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
from pathlib import Path

from common import ROOT, Figure, bench_folder, build_archive, have, memory_of, print_table, unpack_archive

sys.path.insert(0, str(ROOT))

from imagestore.store.record import ImageRecord
from imagestore.store.writer import StoreWriter

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "grey", "black")
LABELS = [shade + colour for shade in ("", "dark-", "light-") for colour in COLOURS]
READERS = 4
IMAGES_OF_AN_EPOCH = 2048
MILLION = 1_000_000
EPOCH = """
import sys, torch
from torchvision import datasets, transforms
torch.set_num_threads(1)
shape = transforms.Compose([transforms.Resize((128, 128)), transforms.ToTensor()])
images = datasets.ImageFolder(sys.argv[1], shape)
images = torch.utils.data.Subset(images, range(0, len(images), max(1, len(images) // int(sys.argv[2]))))
for batch in torch.utils.data.DataLoader(images, 64, shuffle=True, num_workers=2):
    pass
"""


# ----- what is mounted -----


def make_folder(images: int) -> Path:
    """The photographs as plain files in thirty folders, made once and kept."""
    folder = bench_folder() / f"mount-{images}"
    if folder.exists():
        return folder
    flat = unpack_archive(build_archive(images=images))
    with tempfile.TemporaryDirectory(dir=bench_folder()) as scratch:
        partial = Path(scratch) / "folder"
        for i, path in enumerate(sorted(flat.rglob("*.jpg"))):
            label = partial / LABELS[i * 7919 % len(LABELS)]
            label.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, label / path.name)
        partial.rename(folder)
    return folder


def make_store(folder: Path) -> Path:
    """A store of the same files, made once and kept."""
    store = folder.with_suffix(".h5")
    if not store.exists():
        with StoreWriter(store) as writer:
            for path in sorted(folder.rglob("*.jpg")):
                add(writer, path.parent.name, path.name, path.read_bytes())
            writer.publish()
    return store


def make_million() -> Path:
    """A store of a million small images, made once (some minutes) and kept."""
    store = bench_folder() / "million.h5"
    if not store.exists():
        print("making a store of a million images, once", file=sys.stderr)
        with StoreWriter(store) as writer:
            for i in range(MILLION):
                add(writer, LABELS[i % len(LABELS)], f"image_{i:07d}.jpg", b"%08d" % i)
            writer.publish()
    return store


def add(writer: StoreWriter, label: str, name: str, data: bytes) -> None:
    """Add one image to a store."""
    image = ImageRecord(
        label=label.encode(), name=name.encode(), member=f"jpg/{name}".encode(), size=len(data),
        crc32=zlib.crc32(data), mtime=1_234_567_890,
    )  # fmt: skip
    writer.add(image, data)


def make_squashfs(folder: Path) -> Path:
    """A squashfs image of the same files, made once and kept (zstd: squashfuse_ll reads it fastest)."""
    image = folder.with_suffix(".sqfs")
    if not image.exists():
        tar = subprocess.Popen(["tar", "-cf", "-", "-C", str(folder), "."], stdout=subprocess.PIPE)
        subprocess.run(
            ["tar2sqfs", "--quiet", "--compressor", "zstd", str(image)], stdin=tar.stdout, check=True
        )
        tar.wait()
    return image


# ----- mounting -----

Mounted = Callable[[], contextlib.AbstractContextManager[Path]]


@contextlib.contextmanager
def mounted(*command: str) -> Iterator[Path]:
    """Mount with a command, to which the mountpoint is added; unmount in the end."""
    with tempfile.TemporaryDirectory() as mountpoint:
        subprocess.run([*command, mountpoint], check=True, capture_output=True, timeout=60)
        try:
            yield Path(mountpoint)
        finally:
            subprocess.run(["umount" if os.geteuid() == 0 else "fusermount", mountpoint], check=True)


@contextlib.contextmanager
def plain(folder: Path) -> Iterator[Path]:
    """The plain folder, which needs no mounting."""
    yield folder


def h5vfs(library: str, *stores: Path) -> list[str]:
    """The command that mounts stores."""
    return [sys.executable, str(ROOT / "h5vfs.py"), "--library", library, *map(str, stores)]


# ----- what is done there -----


def shell(script: str, folder: Path) -> float:
    """Seconds that a shell command takes in a folder."""
    start = time.perf_counter()
    subprocess.run(["sh", "-c", script], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def read_in_parallel(folder: Path, lists: list[str]) -> float:
    """Seconds in which as many processes as lists read the files named there."""
    start = time.perf_counter()
    readers = [
        subprocess.Popen(["xargs", "-a", names, "cat"], cwd=folder, stdout=subprocess.DEVNULL)
        for names in lists
    ]
    failed = [reader.wait() for reader in readers]
    assert not any(failed)
    return time.perf_counter() - start


def epoch(folder: Path) -> float:
    """Seconds of one epoch of an ImageFolder with two workers."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", EPOCH, str(folder), str(IMAGES_OF_AN_EPOCH)], check=True, capture_output=True
    )
    return time.perf_counter() - start


def epochs_in_turn(folder: Path, mount: Mounted, runs: int) -> tuple[float, float]:
    """Medians of an epoch in the plain folder and through fresh mounts."""
    direct, through = [], []
    for _ in range(runs):
        direct.append(epoch(folder))
        with mount() as mountpoint:
            through.append(epoch(mountpoint))
    return statistics.median(direct), statistics.median(through)


TAR = "tar -cf - . | cat"


def measure(mount: Mounted, lists: list[str]) -> dict[str, float]:
    """One run of everything, each on a fresh mount."""
    figures = {}
    with mount() as folder:
        figures["find"] = shell("find . -type f", folder)
    with mount() as folder:
        figures["ls"], figures["ls again"] = shell("ls -lR", folder), shell("ls -lR", folder)
    with mount() as folder:
        figures["tar"], figures["tar again"] = shell(TAR, folder), shell(TAR, folder)
    with mount() as folder:
        figures["parallel"] = read_in_parallel(folder, lists)
    return figures


def ready(library: str, store: Path) -> float:
    """Seconds until the mount command returns and the root is listed."""
    start = time.perf_counter()
    with mounted(*h5vfs(library, store)) as folder:
        os.listdir(folder)
        return time.perf_counter() - start


def memory(library: str, store: Path, script: str) -> float:
    """MB that the serving process holds after a shell command in the mount."""
    with tempfile.TemporaryDirectory() as mountpoint:
        server = subprocess.Popen([*h5vfs(library, store), "-f", mountpoint], stderr=subprocess.DEVNULL)
        try:
            while not os.path.ismount(mountpoint):
                time.sleep(0.02)
            shell(script, Path(mountpoint))
            return memory_of(server.pid) / 1e6
        finally:
            server.terminate()
            server.wait(timeout=30)


# ----- reporting -----


def split_names(folder: Path, scratch: Path) -> list[str]:
    """Files that list a quarter of the images each."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))
    lists = [scratch / f"list{i}" for i in range(READERS)]
    for i, path in enumerate(lists):
        path.write_text("\n".join(names[i::READERS]) + "\n")
    return [str(path) for path in lists]


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure over all runs."""
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def report(library: str, runs: int, folder: Path, epochs: int, million: bool) -> None:
    """Measure one library beside its yardsticks, in turns, and print the table."""
    store, image = (
        make_store(folder),
        make_squashfs(folder) if have("tar2sqfs") and have("squashfuse_ll") else None,
    )
    contenders: dict[str, Mounted] = {
        "here": lambda: mounted(*h5vfs(library, store)),
        "folder": lambda: plain(folder),
    }
    if image:
        contenders["squash"] = lambda: mounted("squashfuse_ll", str(image))
    shell(f"cat {store} {image or store} > /dev/null; {TAR}", folder)  # into memory
    with tempfile.TemporaryDirectory() as scratch:
        lists = split_names(folder, Path(scratch))
        found = {name: [] for name in contenders}
        for _ in range(runs):
            for name, mount in contenders.items():
                found[name].append(measure(mount, lists))
    here, flat, squash = (
        medians(found[name]) if name in found else {} for name in ("here", "folder", "squash")
    )
    start = statistics.median(ready(library, store) for _ in range(runs))

    def row(what: str, key: str, reference: dict[str, float], yardstick: str, wanted: str) -> Figure:
        return Figure(what, here[key], "s", yardstick, reference.get(key), wanted, runs)

    figures = [
        Figure("mount command returns, listed", start, wanted="<= 0.6 s (goal 0.3 s)", runs=runs),
        row("first find -type f", "find", flat, "folder", "+ 0.05 s (goal + 0.01 s)"),
        row("first find -type f", "find", squash, "squashfuse_ll", ""),
        row("first ls -lR", "ls", squash, "squashfuse_ll", "<= 0.5 x (goal 0.25 x)"),
        row("second ls -lR", "ls again", flat, "folder", "<= 1.5 x (goal 1.0 x)"),
        row("first tar", "tar", squash, "squashfuse_ll", "<= 1.0 x (goal 0.6 x)"),
        row("second tar", "tar again", flat, "folder", "<= 2 x (goal 1.1 x)"),
        row("four readers, first time", "parallel", squash, "squashfuse_ll", "<= 1.0 x (goal 0.5 x)"),
        Figure("memory after tar", memory(library, store, TAR), "MB", wanted="< 150 MB"),
    ]
    if epochs:
        direct, through = epochs_in_turn(folder, contenders["here"], epochs)
        what = f"epoch of ImageFolder ({IMAGES_OF_AN_EPOCH:,} images, 2 workers)"
        figures.append(Figure(what, through, "s", "folder", direct, "<= 1.15 x (goal 1.02 x)", epochs))
    if million:
        store = make_million()
        start = statistics.median(ready(library, store) for _ in range(runs))
        figures.append(Figure("a million images: listed", start, wanted="<= 1 s (goal 0.5 s)", runs=runs))
        used = memory(library, store, "find . -type f")
        figures.append(Figure("a million images: memory after find", used, "MB", wanted="<= 150 MB"))
    print_table(f"Mount ({library})", figures)


def main() -> None:
    """Measure each library in turn."""
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
        report(library, arguments.runs, folder, arguments.epochs, not arguments.no_million)


if __name__ == "__main__":
    main()
