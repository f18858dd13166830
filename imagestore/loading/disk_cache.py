"""A file of decoded pictures on the node's scratch (--cache disk).

It is made once, found by the next run, and shared by the processes of a node.

The file is mapped into memory, so processes on one node share its pages. Its name is made of all that decides
its content. So a file of another store, or of a store that has changed, is never taken.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from imagestore.console import UserError
from imagestore.files.atomic_write import write_whole
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.squares import Squares, square_bytes
from imagestore.processes import Stop

FORMAT = 2  # of the file: the pixels, then the size of each picture
SCRATCH = ("SLURM_TMPDIR", "TMPDIR")  # environment variables; the first that is set
SECONDS_BETWEEN_TRIES = 0.1  # to get a lock
DECODERS = ("Pillow", "simplejpeg", "pillow-heif", "torch")


def scratch_folder() -> tuple[Path, str]:
    """The folder for temporary files of this node, and what names it."""
    for name in SCRATCH:
        if folder := os.environ.get(name):
            return Path(folder), f"${name}"
    return Path(tempfile.gettempdir()), "the folder for temporary files"


def file_for(dataset: HDF5Dataset, positions: np.ndarray, side: int) -> Path:
    """Where the file of the pictures at `positions`, int64 (N,), is; it may be missing. Raises UserError."""
    folder = scratch_folder()[0] / f"imagestore-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_ours = folder.stat().st_uid == os.getuid()
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror}); use --cache none") from None
    if not is_ours:
        raise UserError(f"{folder}: belongs to another user; set TMPDIR, or use --cache none")
    return folder / f"{_key(dataset, positions, side)}.decoded"


def _key(dataset: HDF5Dataset, positions: np.ndarray, side: int) -> str:
    digest = hashlib.sha256(repr((FORMAT, side, [_version(name) for name in DECODERS])).encode())
    for store in dataset.stores:
        status = os.stat(store.path)
        state = (os.path.realpath(store.path), status.st_ino, status.st_size, status.st_mtime_ns)
        digest.update(repr(state).encode("utf-8", "surrogateescape"))
    digest.update(dataset.positions[positions].tobytes())
    return digest.hexdigest()[:32]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@contextlib.contextmanager
def one_at_a_time(path: Path, stop: Stop) -> Iterator[None]:
    """Wait until no other process of this node makes the file, or until `stop` is requested.

    The system takes the lock from a process that ends, in whatever way.
    """
    with path.with_suffix(".lock").open("wb") as file:
        while not stop.requested:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(SECONDS_BETWEEN_TRIES)
            except OSError:  # a file system without locks: two processes may make the same file
                break
            else:
                break
        yield


def load(path: Path, count: int, side: int) -> Squares | None:
    """The content of a whole file of `count` pictures; None if there is none."""
    try:
        if path.stat().st_size != square_bytes(count, side):
            return None
        return _map(path, count, side, "c")
    except OSError:
        return None


def make(path: Path, count: int, side: int, fill: Callable[[Squares], object]) -> Squares | None:
    """Make the file: `fill` decodes into it. It is there when it is whole.

    Raises OSError if there is no room.
    """
    with write_whole(path) as temporary:
        with temporary.open("wb") as file:
            os.posix_fallocate(
                file.fileno(), 0, square_bytes(count, side)
            )  # else a full disk would be SIGBUS
        content = _map(temporary, count, side, "r+")
        fill(content)
        content.pixels.flush()
        content.sizes.flush()
    return load(path, count, side)


def _map(path: Path, count: int, side: int, mode: str) -> Squares:
    """The file as arrays; with the mode "c", changes stay in this process."""
    pixels = np.memmap(path, np.uint8, mode, 0, (count, side, side, 3))
    return Squares(pixels, np.memmap(path, np.int32, mode, pixels.nbytes, (count, 2)))
