"""Write an open file to the disk while it still grows, so that the sync at its end has little to wait for."""

from __future__ import annotations

import contextlib
import os
import threading

SYNCED_AT_ONCE = 32 << 20  # bytes


class EarlySync:
    """A thread that syncs a file each time that it has grown by SYNCED_AT_ONCE bytes.

    Errors are left to the sync at the end, which gets them again.
    """

    def __init__(self, descriptor: int) -> None:
        """The file must stay open until `close`."""
        self._descriptor = descriptor
        self._unsynced = 0
        self._wanted, self._is_closed = threading.Event(), False
        self._thread = threading.Thread(target=self._sync, daemon=True)
        self._thread.start()

    def count(self, size: int) -> None:
        """Tell that so many bytes more were written."""
        self._unsynced += size
        if self._unsynced >= SYNCED_AT_ONCE:
            self._unsynced = 0
            self._wanted.set()

    def close(self) -> None:
        """End the thread."""
        self._is_closed = True
        self._wanted.set()
        self._thread.join()

    def _sync(self) -> None:
        while self._wanted.wait() and not self._is_closed:
            self._wanted.clear()
            with contextlib.suppress(OSError):
                os.fdatasync(self._descriptor)
