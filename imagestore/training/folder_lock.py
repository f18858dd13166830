"""One training at a time in an output folder."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from imagestore.store import writer_lock

LOCK = ".train_model.lock"
SECONDS_BETWEEN_SIGNS = 20.0  # of life
SECONDS_UNTIL_ABANDONED = 90.0  # less than Slurm waits before a job that was killed starts on another node


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. Raises UserError if another training that lives holds it."""
    lock = folder / LOCK
    writer_lock.acquire(lock, folder, SECONDS_UNTIL_ABANDONED)
    ended = threading.Event()
    thread = threading.Thread(target=_show_life, args=(lock, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        writer_lock.release(lock)


def _show_life(lock: Path, ended: threading.Event) -> None:
    while not ended.wait(SECONDS_BETWEEN_SIGNS):
        writer_lock.touch(lock)
