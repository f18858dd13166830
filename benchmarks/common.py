"""What the benchmarks share: the archive they run on, medians, one table, memory of a process tree.

Every figure of the README comes from a script of this folder; `make bench` runs them all. A figure
always stands beside a yardstick from the same run, since machines differ and ratios do less so.
Photographs made here are kept in $BENCH_DIR (default: /tmp/$USER/imagestore-bench) and nowhere else.
"""

from __future__ import annotations

import getpass
import importlib.metadata
import io
import json
import multiprocessing
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parent.parent
IMAGES = 8189  # as many as 102flowers.tgz holds
BYTES = 49_000  # an image's mean size there
QUALITIES = range(60, 96, 5)  # of JPEG; the first that makes an image about as large as BYTES is taken
PACKAGES = ("h5py", "numpy", "Pillow", "torch", "torchvision", "fusepy", "mfusepy", "rapidgzip", "isal")


# ----- the archive -----


def bench_folder() -> Path:
    """Where benchmarks keep what takes long to make. Delete it at will."""
    default = Path(tempfile.gettempdir()) / getpass.getuser() / "imagestore-bench"
    folder = Path(os.environ.get("BENCH_DIR", default))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def build_archive(path: Path | None = None, images: int = IMAGES) -> Path:
    """An archive of `images` photographs of about 49 KB each (8,189: 400 MB), made once and kept.

    The photographs of $FLOWERS_TGZ come first, as they are, then flips, hue shifts and crops of
    them, re-encoded, until there are enough. Where FLOWERS_TGZ is unset, drawn flowers serve.
    Deterministic: the same photographs and count give the same archive, with any number of cores.
    """
    kind = "flowers" if os.environ.get("FLOWERS_TGZ") else "drawn"
    path = path or bench_folder() / f"{kind}-{images}.tgz"
    if path.exists():
        return path
    originals = _originals()
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    print(f"making {path} ({images:,} photographs), once", file=sys.stderr)
    try:
        with tarfile.open(partial, "w:gz", compresslevel=1) as archive:
            _add_folder(archive, "jpg")
            for i, data in enumerate(_photographs(originals, images)):
                _add_file(archive, f"jpg/image_{i + 1:05d}.jpg", data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def unpack_archive(path: Path) -> Path:
    """The same images as plain files in a folder beside the archive, made once and kept."""
    folder = path.with_suffix("")
    if not folder.exists():
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        subprocess.run(["tar", "-xf", str(path), "-C", str(partial)], check=True)
        partial.chmod(0o755)
        partial.rename(folder)
    return folder


def _originals() -> list[bytes]:
    given = os.environ.get("FLOWERS_TGZ")
    if not given:
        sys.path.insert(0, str(ROOT))
        from demo.draw_flowers import draw

        given = str(bench_folder() / "drawn.tgz")
        if not Path(given).exists():
            draw(Path(given), count=300)
    with tarfile.open(given) as archive:
        return [archive.extractfile(m).read() for m in archive if m.isfile() and m.name.endswith(".jpg")]


def _photographs(originals: list[bytes], count: int) -> Iterator[bytes]:
    yield from originals[:count]
    more = ((i, originals[i % len(originals)]) for i in range(len(originals), count))
    with multiprocessing.get_context("spawn").Pool() as pool:
        yield from pool.imap(_variant, more, chunksize=16)


def _variant(job: tuple[int, bytes]) -> bytes:
    """A photograph cropped, mirrored or not, its hue turned; the same for the same (index, photograph)."""
    index, original = job
    random_numbers = random.Random(index)
    image = _crop(Image.open(io.BytesIO(original)).convert("RGB"), random_numbers)
    if random_numbers.random() < 0.5:
        image = ImageOps.mirror(image)
    return _encode(_turn_hue(image, random_numbers.randrange(256)), random_numbers)


def _crop(image: Image.Image, random_numbers: random.Random) -> Image.Image:
    """Between 85 % and 100 % of each side, then brought back to the size it had."""
    width, height = image.size
    w, h = (round(side * random_numbers.uniform(0.85, 1)) for side in (width, height))
    x, y = random_numbers.randint(0, width - w), random_numbers.randint(0, height - h)
    return image.resize((width, height), Image.Resampling.BILINEAR, box=(x, y, x + w, y + h))


def _turn_hue(image: Image.Image, turn: int) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    turned = hue.point([(level + turn) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def _encode(image: Image.Image, random_numbers: random.Random) -> bytes:
    """As JPEG, of about the size that photographs there have: BYTES, give or take a half."""
    wanted = BYTES * random_numbers.uniform(0.5, 1.25)
    for quality in QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        if buffer.tell() >= wanted:
            break
    return buffer.getvalue()


def _add_folder(archive: tarfile.TarFile, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    archive.addfile(entry)


def _add_file(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime = len(data), 1_234_567_890
    archive.addfile(entry, io.BytesIO(data))


# ----- measuring -----


def seconds(action: Callable[[], object]) -> float:
    """How long one call takes, by the wall clock."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def median_of(
    action: Callable[[], object], runs: int = 3, before: Callable[[], object] | None = None
) -> float:
    """The median of `runs` timings of `action`, in seconds; `before` runs ahead of each, untimed."""
    timings = []
    for _ in range(runs):
        if before:
            before()
        timings.append(seconds(action))
    return statistics.median(timings)


def command(*arguments: object, **options: object) -> subprocess.CompletedProcess:
    """Run a script of the checkout, or a program where the first argument is no script; it must succeed."""
    first, *rest = map(str, arguments)
    program = [sys.executable, str(ROOT / first)] if first.endswith(".py") else [first]
    return subprocess.run(program + rest, check=True, capture_output=True, text=True, **options)


def drop_caches() -> bool:
    """Forget every file the kernel keeps in memory, where root may; returns whether it did."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
    except OSError:
        return False
    return True


@dataclass
class PeakMemory:
    """The most memory (bytes) that a process and its descendants held, sampled every 20 ms.

    Proportional set size where /proc gives it (pages shared by n processes count 1/n in each), so
    that forked workers do not count their parent's pages again.
    """

    pid: int
    peak: int = 0
    _done: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> PeakMemory:
        """Start sampling."""
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop sampling; `peak` stays."""
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(0.02):
            self.peak = max(self.peak, sum(map(memory_of, process_tree(self.pid))))


def peak_memory(arguments: Sequence[object], **options: object) -> tuple[int, float]:
    """Run a program to its end: (peak bytes of its whole process tree, seconds)."""
    start = time.perf_counter()
    process = subprocess.Popen(
        list(map(str, arguments)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )
    with PeakMemory(process.pid) as memory:
        status = process.wait()
    if status:
        raise subprocess.CalledProcessError(status, arguments)
    return memory.peak, time.perf_counter() - start


def process_tree(pid: int) -> list[int]:
    """A process and all its descendants that live now."""
    found = [pid]
    for parent in found:  # grows while it is walked
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:
                continue
    return found


def memory_of(pid: int) -> int:
    """Proportional set size of one process in bytes; 0 when it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))


# ----- reporting -----


@dataclass(frozen=True)
class Figure:
    """One line of the table: what was measured, beside its yardstick from the same run."""

    what: str
    value: float
    unit: str = "s"
    yardstick: str = ""
    reference: float | None = None  # the yardstick's own figure, in `unit`
    wanted: str = ""  # as "<= 1.3 x (goal 0.9)"
    runs: int = 1

    def row(self) -> list[str]:
        """The cells of its line."""
        ratio = f"{self.value / self.reference:.2f} x" if self.reference else ""
        reference = f"{_short(self.reference)} {self.unit}" if self.reference is not None else ""
        value = f"{_short(self.value)} {self.unit}"
        return [self.what, value, self.yardstick, reference, ratio, self.wanted, str(self.runs)]


HEADINGS = ["what", "here", "yardstick", "its figure", "ratio", "wanted", "runs"]


def print_table(title: str, figures: Sequence[Figure]) -> None:
    """Print the figures as one Markdown table, under the hardware and the versions they stand for.

    Also appends them to $BENCH_RESULTS where run.py set it, for the one table of `make bench`.
    """
    rows = [HEADINGS, *(figure.row() for figure in figures)]
    print(f"\n### {title}\n\n{machine()}\n\n{markdown(rows)}", flush=True)
    if results := os.environ.get("BENCH_RESULTS"):
        with open(results, "a") as file:
            file.writelines(json.dumps([title, *row]) + "\n" for row in rows[1:])


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the headings first, as a Markdown table."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def machine() -> str:
    """The hardware and the versions that the figures stand for."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(filter(None, map(_version, PACKAGES)))
    return (
        f"{_processor()}, {len(os.sched_getaffinity(0))} CPUs, {memory:.0f} GiB; "
        f"{platform.system()} {platform.release()}; Python {platform.python_version()}; {versions}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return ""


def _short(value: float) -> str:
    """Three significant digits, thousands separated: 0.0123, 4.56, 1,234."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def have(program: str) -> bool:
    """Whether a program that serves as a yardstick is installed; says so where it is not."""
    found = shutil.which(program) is not None
    if not found:
        print(f"{program} is not installed: left out of the comparison", file=sys.stderr)
    return found
