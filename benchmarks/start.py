#!/usr/bin/env python3
"""The time until each command has printed its --help, beside a Python that does nothing.

benchmarks/start.py
"""

from __future__ import annotations

import sys

from common.measuring import command, median_of
from common.reporting import Figure, print_table

SCRIPTS = ("colourHeuristic.py", "h5vfs.py", "train_model.py", "classify.py")
RUNS = 15


def main() -> None:
    """Print the table."""
    nothing = median_of(lambda: command(sys.executable, "-c", "pass"), RUNS)
    print_table("Start-up", [help_figure(script, nothing) for script in SCRIPTS])


def help_figure(script: str, nothing: float) -> Figure:
    """The time of `script --help`; `nothing` is that of a Python that does nothing, in seconds."""
    return Figure(
        f"{script} --help",
        median_of(lambda: command(script, "--help"), RUNS),
        yardstick="python -c pass",
        reference=nothing,
        target="<= 0.3 s",
        runs=RUNS,
    )


if __name__ == "__main__":
    main()
