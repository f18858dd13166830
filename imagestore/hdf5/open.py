"""Open an HDF5 file for reading, without locks."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import h5py

from imagestore.console import UserError


def open_descriptor(path: Path) -> int:
    """Open a file for reading; returns its descriptor. Raises UserError."""
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


def open_hdf5(path: str | Path, shown: Path | None = None) -> h5py.File:
    """Open an HDF5 file for reading, without locks (they fail or hang on Lustre, NFS and GPFS).

    `shown` is the name to use in the message of the UserError that is raised where it is no HDF5 file.
    """
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        reason = (
            "cut short: copy or make it again"
            if "truncated" in str(error)
            else "not an HDF5 file, or damaged"
        )
        raise UserError(f"{shown or path}: {reason}") from error
