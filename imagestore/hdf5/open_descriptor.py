"""Open a store file as a plain file. This module does not import h5py."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from imagestore.console import UserError


def open_descriptor(path: Path) -> int:
    """Open a regular file for reading; return its descriptor.

    Raises UserError, and OSError if too many files are open: that is no fault of the file.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder; expected an HDF5 file (*.h5)")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(f"{path}: is a pipe or a device; expected an HDF5 file (*.h5)")
    return descriptor
