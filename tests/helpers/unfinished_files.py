"""HDF5 files whose writer crashed, or still writes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

IMAGES = 6
CRASHING = f"""
import os, sys, h5py, numpy as np
file = h5py.File(sys.argv[1], "w", libver=sys.argv[2] or None, userblock_size=int(sys.argv[3]))
for i in range({IMAGES}):
    file[f"rose/{{i}}.jpg"] = np.full(3000, i, np.uint8)
if "flushed" in sys.argv:
    file.flush()
os._exit(9)
"""
LIVE = """
import sys, h5py, numpy as np
file = h5py.File(sys.argv[1], "w", libver="latest")
frames = file.create_dataset("run/frames", (0, 4, 4), "u2", chunks=(1, 4, 4), maxshape=(None, 4, 4))
log = file.create_dataset("run/log.bin", (0,), "u1", chunks=(64,), maxshape=(None,))
file["run/still.jpg"] = np.arange(200, dtype=np.uint8)
file.swmr_mode = True
for line in sys.stdin:
    for i in range(int(line)):
        frames.resize(len(frames) + 1, axis=0)
        frames[-1] = len(frames)
        log.resize(len(log) + 10, axis=0)
        log[-10:] = len(frames) % 256
        frames.flush()
        log.flush()
    print(len(frames), flush=True)
file.close()
"""


def make_crashed(path: Path, *, libver: str = "", user_block: int = 0, flushed: bool = True) -> Path:
    """A file of IMAGES images whose writer ended without closing it; returns its path."""
    command = [sys.executable, "-c", CRASHING, path, libver, str(user_block), "flushed" if flushed else ""]
    assert subprocess.run(command, timeout=120, check=False).returncode == 9
    return path


class LiveWriter:
    """A process that writes to an HDF5 file in the mode SWMR."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def add(self, frames: int) -> None:
        """Have the writer add frames to the datasets run/frames and run/log.bin."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{frames}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline().strip().isdigit()


@contextlib.contextmanager
def live_writer(path: Path) -> Iterator[LiveWriter]:
    """A process that writes to the file at `path` until the block is left; it has written three frames."""
    with subprocess.Popen(
        [sys.executable, "-c", LIVE, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        writer = LiveWriter(process)
        writer.add(3)
        yield writer
