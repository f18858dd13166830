#!/usr/bin/env python3
"""Run the benchmarks one after the other, and print all their figures as one table.

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

from common.reporting import HEADINGS, machine, markdown

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run the chosen benchmarks; the exit status is 1 if one of them fails."""
    parser = argparse.ArgumentParser(description="Measure what the README quotes, on this machine.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(benchmarks())}")
    names = parser.parse_args().names or benchmarks()
    if unknown := set(names) - set(benchmarks()):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    rows, failed = measure(names)
    print(f"\n## Everything measured\n\n{machine()}\n\n{markdown([['benchmark', *HEADINGS], *rows])}")
    for name in failed:
        print(f"benchmarks: error: {name} failed", file=sys.stderr)
    return 1 if failed else 0


def benchmarks() -> list[str]:
    """The names of all benchmarks, sorted."""
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem != "run")


def measure(names: list[str]) -> tuple[list[list[str]], list[str]]:
    """Run benchmarks; return the rows of their tables, and the names of those that failed."""
    failed = []
    with tempfile.NamedTemporaryFile("r", encoding="utf-8", suffix=".jsonl") as results:
        environment = {**os.environ, "BENCH_RESULTS": results.name}
        for name in names:
            print(f"--- {name}", file=sys.stderr, flush=True)
            if subprocess.run([sys.executable, HERE / f"{name}.py"], env=environment).returncode:
                failed.append(name)
        return [json.loads(line) for line in results], failed


if __name__ == "__main__":
    sys.exit(main())
