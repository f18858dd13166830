#!/usr/bin/env python3
"""Run the benchmarks one after the other, print their figures, and write them to docs/figures.md.

    make bench                        all of them
    make bench ARGS="archive mount"   some of them

Each benchmark is a script of this folder, and can be run alone. FLOWERS_TGZ names an archive of photographs
to measure with; without it, they are drawn. BENCH_DIR names the folder in which they are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common.figures_page import update
from common.reporting import HEADINGS, machine, markdown

HERE = Path(__file__).resolve().parent


PAGE = HERE.parent / "docs" / "figures.md"


def main() -> int:
    """Run the chosen benchmarks; the exit status is 1 if one of them fails."""
    parser = argparse.ArgumentParser(description="Measure what the README quotes, on this machine.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(benchmarks())}")
    parser.add_argument(
        "--page", type=Path, default=PAGE, help="where to write the figures (default: %(default)s)"
    )
    arguments = parser.parse_args()
    names = arguments.names or benchmarks()
    if unknown := set(names) - set(benchmarks()):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    results, failed = measure(names)
    rows = [row for name in results for row in results[name]]
    print(f"\n## Everything measured\n\n{machine()}\n\n{markdown([['benchmark', *HEADINGS], *rows])}")
    update(arguments.page, {name: rows for name, rows in results.items() if rows}, machine())
    for name in failed:
        print(f"benchmarks: error: {name} failed", file=sys.stderr)
    return 1 if failed else 0


def benchmarks() -> list[str]:
    """The names of all benchmarks, sorted."""
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem != "run")


def measure(names: list[str]) -> tuple[dict[str, list[list[str]]], list[str]]:
    """Run benchmarks; return the rows of each that worked, and the names of those that failed."""
    results, failed = {}, []
    for name in names:
        print(f"--- {name}", file=sys.stderr, flush=True)
        with tempfile.NamedTemporaryFile("r", encoding="utf-8", suffix=".jsonl") as file:
            environment = {**os.environ, "BENCH_RESULTS": file.name}
            if subprocess.run([sys.executable, HERE / f"{name}.py"], env=environment).returncode:
                failed.append(name)
            else:
                results[name] = [json.loads(line) for line in file]
    return results, failed


if __name__ == "__main__":
    sys.exit(main())
