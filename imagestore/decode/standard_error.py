"""Keep C libraries from writing to standard error."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

_lock = threading.Lock()  # held while standard error is silenced


@contextlib.contextmanager
def silence_standard_error() -> Iterator[None]:
    """Send standard error to /dev/null: libtiff writes to it past Python."""
    with _lock:
        saved = os.dup(2)
        devnull = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(devnull, 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(devnull)
