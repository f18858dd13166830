#!/usr/bin/env python3
"""How long a command takes to say what it can do, beside a Python that does nothing.

python benchmarks/start.py
"""

from __future__ import annotations

import sys

from common import Figure, command, median_of, print_table

SCRIPTS = ("colourHeuristic.py", "h5vfs.py", "train_model.py", "classify.py")
RUNS = 15


def main() -> None:
    """Print the table."""
    nothing = median_of(lambda: command(sys.executable, "-c", "pass"), RUNS)
    figures = [
        Figure(
            f"{script} --help",
            median_of(lambda script=script: command(script, "--help"), RUNS),
            yardstick="python -c pass",
            reference=nothing,
            wanted="<= 0.3 s",
            runs=RUNS,
        )
        for script in SCRIPTS
    ]
    print_table("Start-up", figures)


if __name__ == "__main__":
    main()
