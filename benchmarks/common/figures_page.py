"""docs/figures.md: a section for each benchmark, with its table, the machine, the versions and the day.

A run replaces the sections of the benchmarks that it ran, and leaves the others. Below the tables, a plot
shows the ratios of all of them.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.reporting import HEADINGS, markdown

HEAD = """\
# Figures

`make bench` writes this page: each section comes from one script of `benchmarks/`, and
`make bench ARGS=NAME` repeats it. A ratio is the figure here, divided by that of the yardstick, which was
measured in the same run. The figures are medians of as many runs as the last column says. Where "images/s" is
the unit, more is better; else less is.
"""
SECTION = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
PLOT = "figures.png"
WIDTH, ROW_HEIGHT, MARGIN = 9, 0.27, 1.0  # inches
AT_MOST = 20.0  # a longer bar is cut


def update(page: Path, results: dict[str, list[list[str]]], machine: str) -> None:
    """Replace the sections of `results`, and draw the plot anew.

    `results` has the rows of each benchmark: a title, then the cells of the columns HEADINGS.
    """
    sections = read(page)
    for name, rows in results.items():
        sections[name] = _section(name, rows, machine)
    images = page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    ratios = [row for name in sorted(sections) for row in _ratios(sections[name])]
    tail = ""
    if ratios:
        _plot(ratios, images / PLOT)
        tail = f"\n![All ratios, with 1 as the yardstick](images/{PLOT})\n"
    body = "\n".join(f"## {name}\n\n{sections[name].strip()}\n" for name in sorted(sections))
    page.write_text(f"{HEAD}{tail}\n{body}", encoding="utf-8")


def read(page: Path) -> dict[str, str]:
    """The text of each section, by the name of its benchmark; none if there is no page yet."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    return dict(SECTION.findall(text))


def rows_of(text: str) -> list[list[str]]:
    """The cells of all lines of tables in a text, without headings."""
    lines = [line.strip().strip("|") for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [row for row in rows if row[0] != HEADINGS[0] and not set(row[0]) <= set("-: ")]


def _section(name: str, rows: Sequence[Sequence[str]], machine: str) -> str:
    """Tables under their titles, with the day and the machine."""
    today = datetime.date.today().isoformat()
    titles = list(dict.fromkeys(row[0] for row in rows))
    tables = [
        f"### {title}\n\n{markdown([HEADINGS, *(row[1:] for row in rows if row[0] == title)])}\n"
        for title in titles
    ]
    return f"`benchmarks/{name}.py`, {today}. {machine}\n\n" + "\n".join(tables)


def _ratios(text: str) -> Iterator[tuple[str, float]]:
    """(what, ratio) of the rows that have a ratio."""
    for what, _, yardstick, _, ratio, *_ in rows_of(text):
        if ratio:
            yield f"{what} / {yardstick}", float(ratio.removesuffix(" x").replace(",", ""))


def _plot(ratios: Sequence[tuple[str, float]], path: Path) -> None:
    """Bars from 1, the yardstick, to each ratio, on a logarithmic axis."""
    from matplotlib.figure import Figure

    figure = Figure((WIDTH, MARGIN + ROW_HEIGHT * len(ratios)), layout="constrained", dpi=100)
    axes = figure.subplots()
    values = [min(ratio, AT_MOST) for _, ratio in ratios]
    axes.barh(range(len(ratios)), [value - 1 for value in values], left=1, color="#3b6ea5")
    axes.set_xscale("log")
    axes.axvline(1, color="0.2", linewidth=1)
    axes.set_yticks(range(len(ratios)), [what for what, _ in ratios], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("ratio to the yardstick of the same run")
    figure.savefig(path)
