"""A file of decoded images on the node's scratch (--cache disk): made once, found again, shared by processes.

The file is mapped into memory, so processes on one node share its pages. Its name is made of all that decides
its content. So a file of another store, or of a store that has changed, is never taken.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from imagestore.console import UserError
from imagestore.files.atomic_write import write_whole
from imagestore.loading.dataset import HDF5Dataset

FORMAT = 1  # of the file: the pictures, then a byte for each that tells whether it is decoded
SCRATCH = ("SLURM_TMPDIR", "TMPDIR")  # environment variables; the first that is set
DECODERS = ("Pillow", "simplejpeg", "pillow-heif")


@dataclass(frozen=True)
class DecodedFile:
    """The content of a file, mapped into memory; changes stay in this process."""

    images: np.ndarray  # uint8 (N, 3, size, size)
    decodable: np.ndarray  # bool (N,)


def scratch_folder() -> tuple[Path, str]:
    """The folder for temporary files of this node, and what names it."""
    for name in SCRATCH:
        if folder := os.environ.get(name):
            return Path(folder), f"${name}"
    return Path(tempfile.gettempdir()), "the folder for temporary files"


def file_for(dataset: HDF5Dataset, part: np.ndarray) -> Path:
    """Where the file of these positions, int64 (N,), is; it may be missing. Raises UserError."""
    folder = scratch_folder()[0] / f"imagestore-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_ours = folder.stat().st_uid == os.getuid()
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror}); use --cache none") from None
    if not is_ours:
        raise UserError(f"{folder}: belongs to another user; set TMPDIR, or use --cache none")
    return folder / f"{_key(dataset, part)}.decoded"


def _key(dataset: HDF5Dataset, part: np.ndarray) -> str:
    digest = hashlib.sha256(repr((FORMAT, dataset.size, [_version(name) for name in DECODERS])).encode())
    for store in dataset.stores:
        status = os.stat(store.path)
        state = (os.path.realpath(store.path), status.st_ino, status.st_size, status.st_mtime_ns)
        digest.update(repr(state).encode("utf-8", "surrogateescape"))
    digest.update(dataset.positions[part].tobytes())
    return digest.hexdigest()[:32]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def load(path: Path, count: int, size: int) -> DecodedFile | None:
    """The content of a whole file of `count` images of size x size pixels; None if there is none."""
    try:
        if path.stat().st_size != _file_bytes(count, size):
            return None
        return _map(path, count, size, "c")
    except OSError:
        return None


def make(path: Path, count: int, size: int, fill: Callable[[np.ndarray], np.ndarray]) -> DecodedFile | None:
    """Make the file: `fill` decodes into uint8 (count, 3, size, size), and returns bool (count,).

    The file is there when it is whole. Raises OSError if there is no room.
    """
    with write_whole(path) as temporary:
        with temporary.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, _file_bytes(count, size))  # else a full disk would be SIGBUS
        content = _map(temporary, count, size, "r+")
        content.decodable[:] = fill(content.images)
        content.images.flush()
        content.decodable.base.flush()
    return load(path, count, size)


def _file_bytes(count: int, size: int) -> int:
    return count * (3 * size * size + 1)


def _map(path: Path, count: int, size: int, mode: str) -> DecodedFile:
    images = np.memmap(path, np.uint8, mode, 0, (count, 3, size, size))
    decodable = np.memmap(path, np.uint8, mode, count * 3 * size * size, (count,))
    return DecodedFile(images, decodable.view(bool))
