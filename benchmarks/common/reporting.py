"""The table of figures, under the hardware and versions that they stand for."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

HEADINGS = ["what", "here", "yardstick", "its figure", "ratio", "wanted", "runs"]
PACKAGES = ("h5py", "numpy", "Pillow", "torch", "torchvision", "fusepy", "mfusepy", "rapidgzip", "isal")


@dataclass(frozen=True)
class Figure:
    """One line of the table: a measured value, beside that of a yardstick from the same run."""

    what: str
    value: float
    unit: str = "s"
    _: KW_ONLY
    yardstick: str = ""
    reference: float | None = None  # the value of the yardstick, in `unit`
    target: str = ""  # such as "<= 1.3 x (goal 0.9)"
    runs: int = 1

    def row(self) -> list[str]:
        """The cells of the line, in the order of HEADINGS."""
        value, reference, ratio = f"{_short(self.value)} {self.unit}", "", ""
        if self.reference is not None:
            reference = f"{_short(self.reference)} {self.unit}"
        if self.reference:
            ratio = f"{self.value / self.reference:.2f} x"
        return [self.what, value, self.yardstick, reference, ratio, self.target, str(self.runs)]


def print_table(title: str, figures: Sequence[Figure]) -> None:
    """Print the figures as one Markdown table.

    The rows are also appended to the file $BENCH_RESULTS, which run.py sets: it prints one table of all.
    """
    rows = [figure.row() for figure in figures]
    print(f"\n### {title}\n\n{machine()}\n\n{markdown([HEADINGS, *rows])}", flush=True)
    if results := os.environ.get("BENCH_RESULTS"):
        with open(results, "a", encoding="utf-8") as file:
            file.writelines(json.dumps([title, *row]) + "\n" for row in rows)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the headings first, as a Markdown table."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def machine() -> str:
    """The hardware, and the versions of the system and the packages."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(filter(None, map(_version, PACKAGES)))
    return (
        f"{_processor()}, {len(os.sched_getaffinity(0))} CPUs, {memory:.0f} GiB; "
        f"{platform.system()} {platform.release()}; Python {platform.python_version()}; {versions}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
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
