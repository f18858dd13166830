"""Open an HDF5 file for reading, without locks: they fail or hang on Lustre, NFS and GPFS."""

from __future__ import annotations

from pathlib import Path

import h5py

from imagestore.console import UserError
from imagestore.hdf5.superblock import is_live
from imagestore.hdf5.why_not_opened import why_not_opened

ERRORS_OF_H5PY = (OSError, RuntimeError, KeyError, ValueError)  # if a file is damaged


def open_hdf5(descriptor: int, path: Path) -> h5py.File:
    """Open the file of a descriptor with h5py. `path` is its name in the UserError that this may raise."""
    opened = path_of_descriptor(descriptor, path)
    driver = None if has_real_path(opened) else "stdio"
    try:
        return h5py.File(opened, "r", locking=False, driver=driver, swmr=is_live(descriptor))
    except OSError as error:
        raise UserError(f"{path}: {why_not_opened(descriptor, path, str(error))}") from error


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
