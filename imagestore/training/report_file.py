"""report.json: all that somebody needs to judge a training, or to repeat it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path

from imagestore.environment import CHECKOUT
from imagestore.files.atomic_write import write_whole
from imagestore.processes import cpu_count
from imagestore.training.predictions import Predictions

PACKAGES = ("torch", "torchvision", "timm", "numpy", "h5py", "Pillow", "simplejpeg")
SECONDS_FOR_GIT = 5  # a network file system may be slow; the report can do without


def save_report(
    path: Path,
    settings: object,
    network: object,
    predictions: Predictions,
    extra: Mapping[str, object] | None = None,
) -> None:
    """Write the report, whole or not at all. Raises UserError, OSError.

    `settings` and `network` are dataclasses or mappings. `predictions` are those for the validation images.
    `extra` are further parts by their names. What is not defined or not finite is null.
    """
    report = {
        "settings": settings, "network": network, **(extra or {}),
        "validation": validation_part(predictions),
        "labels": [asdict(row) for row in predictions.per_label()],
        "versions": versions(), "hardware": hardware(),
    }  # fmt: skip
    text = json.dumps(_plain(report), indent=1, allow_nan=False) + "\n"
    with write_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def validation_part(predictions: Predictions) -> dict[str, object]:
    """The figures of all labels together; shares are 0 to 1."""
    label, share = predictions.commonest or (None, None)
    return {
        "images": predictions.count,
        "accuracy": predictions.accuracy,
        "balanced_accuracy": predictions.balanced_accuracy,
        "commonest_label": label,
        "commonest_share": share,
        "most_confused": [asdict(pair) for pair in predictions.most_confused(10)],
    }


def versions() -> dict[str, str | None]:
    """The versions of Python, of packages, and of this project; None for what is not installed or known."""
    found: dict[str, str | None] = {"python": platform.python_version(), "imagestore": _commit()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def _commit() -> str | None:
    """The commit of the checkout, with "-dirty" if files were changed since; None if git does not know."""
    folder = os.path.join(CHECKOUT, ".git")
    if not os.path.exists(folder):
        return None
    git = ["git", "--git-dir", folder, "--work-tree", CHECKOUT, "--no-optional-locks"]
    describe = ["describe", "--always", "--dirty", "--exclude", "*", "--abbrev=40"]
    try:
        done = subprocess.run([*git, *describe], capture_output=True, text=True, timeout=SECONDS_FOR_GIT)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def hardware() -> dict[str, object]:
    """The machine that trained: its processor, memory in bytes, and GPUs."""
    return {
        "node": platform.node(), "system": platform.platform(),
        "processor": _processor(), "cpus": cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "gpus": _gpus(),
    }  # fmt: skip


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    """The names of the CUDA devices; empty where torch was not loaded."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def _plain(value: object) -> object:
    """The value in the types of JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, (Sequence, set, frozenset)) and not isinstance(value, bytes):
        return [_plain(item) for item in value]
    return str(value)
