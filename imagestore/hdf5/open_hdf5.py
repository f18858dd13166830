"""Open an HDF5 file for reading, without locks: they fail or hang on Lustre, NFS and GPFS."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import h5py

from imagestore.console import UserError

ERRORS_OF_H5PY = (OSError, RuntimeError, KeyError, ValueError)  # if a file is damaged


def open_descriptor(path: Path) -> int:
    """Open a regular file for reading; return its descriptor. Raises UserError."""
    if path.is_dir():
        raise UserError(f"{path}: is a folder; expected an HDF5 file (*.h5)")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(f"{path}: is a pipe or a device; expected an HDF5 file (*.h5)")
    return descriptor


def open_hdf5(descriptor: int, path: Path) -> h5py.File:
    """Open the file of a descriptor with h5py. `path` is its name in the UserError that this may raise."""
    opened = path_of_descriptor(descriptor, path)
    try:
        return h5py.File(opened, "r", locking=False, driver=None if has_real_path(opened) else "stdio")
    except OSError as error:
        raise UserError(f"{path}: {why_not_opened(str(error))}") from error


def why_not_opened(message: str) -> str:
    """What is wrong with a file, for the user; `message` is that of HDF5, which could not open it."""
    return "cut short: copy or make it again" if "truncated" in message else "not an HDF5 file, or damaged"


def path_of_descriptor(descriptor: int, path: Path) -> Path:
    """A path to the open file, which stays right if another file takes the name `path`.

    On a system without /proc, `path` itself.
    """
    opened = Path(f"/proc/self/fd/{descriptor}")
    return opened if opened.exists() else path


def has_real_path(path: Path) -> bool:
    """Whether HDF5's default driver can open a path.

    That driver looks up the real path. An open file has none if it was removed or replaced. HDF5's driver
    "stdio" opens it all the same.
    """
    try:
        path.resolve(strict=True)
    except OSError:
        return False
    return True
