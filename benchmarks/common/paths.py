"""The checkout, and the folder that the benchmarks keep their files in.

The import of this module lets a benchmark import `imagestore` and `demo`.
"""

from __future__ import annotations

import getpass
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def bench_folder() -> Path:
    """$BENCH_DIR, or /tmp/$USER/imagestore-bench, for files that take long to make. You may delete it."""
    default = Path(tempfile.gettempdir()) / getpass.getuser() / "imagestore-bench"
    folder = Path(os.environ.get("BENCH_DIR", default))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
