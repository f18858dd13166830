"""Which share of an archive a run labels: K/N, or the place of a task in its Slurm array job."""

from __future__ import annotations

import argparse
import os


def shard(text: str) -> tuple[int, int]:
    """Parse K/N, or `auto` for the place of this task in its Slurm array job."""
    if text == "auto":
        return _slurm_shard()
    k, _, n = text.partition("/")
    if not (k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        raise argparse.ArgumentTypeError(f"{text!r} is not K/N with K from 1 to N, nor 'auto'")
    return int(k), int(n)


def _slurm_shard() -> tuple[int, int]:
    try:
        task, count = int(os.environ["SLURM_ARRAY_TASK_ID"]), int(os.environ["SLURM_ARRAY_TASK_COUNT"])
        first = int(os.environ.get("SLURM_ARRAY_TASK_MIN", "1"))
        step = int(os.environ.get("SLURM_ARRAY_TASK_STEP", "1"))
        k = (task - first) // step + 1
    except (KeyError, ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(
            "'auto' needs a Slurm array job (sbatch --array); without one, give K/N"
        ) from None
    if not 1 <= k <= count:
        raise argparse.ArgumentTypeError(
            f"array task {task} is not one of the {count} tasks that begin at {first}; give K/N"
        )
    return k, count
