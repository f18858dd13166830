"""The descriptors and threads of this process, to see what a test leaves open.

Others may go meanwhile: those of an earlier test that nobody refers to any more, or of a connection that was
idle for long. So a test asks whether there are new ones.
"""

from __future__ import annotations

import os
import threading


def open_descriptors() -> set[str]:
    """The numbers of all open descriptors. They are compared with `<=`."""
    return set(os.listdir("/proc/self/fd"))


def running_threads() -> set[threading.Thread]:
    """All threads. They are compared with `<=`."""
    return set(threading.enumerate())
