"""Where the checkout is, the environment of a command, and whether this machine can mount."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from ctypes.util import find_library
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

Run = Callable[..., subprocess.CompletedProcess]


def environment(changes: dict[str, str | None] | None = None) -> dict[str, str]:
    """This process's environment with `changes`; a value of None removes a variable."""
    merged = {**os.environ, **(changes or {})}
    return {key: value for key, value in merged.items() if value is not None}


def missing_for_fuse(library: str) -> str:
    """The reason why this machine cannot mount with `library`, or an empty string."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse is not there or not permitted"
    shared = {"fusepy": "fuse", "mfusepy": "fuse3"}[library]
    return "" if find_library(shared) else f"lib{shared} is not installed (apt install fuse3 libfuse2)"


def without_summary(stderr: str) -> str:
    """Standard error of a command without the last line, in which the command sums up what it did."""
    return re.sub(r"\w+: [\d,]+ [^\n]* in [\d,.]+ s, [^\n]* peak memory [^\n]*\n\Z", "", stderr)
