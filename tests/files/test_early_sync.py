"""EarlySync: the thread that writes a growing file to the disk."""

from __future__ import annotations

import os
import threading

from imagestore.files import early_sync
from imagestore.files.early_sync import EarlySync


def test_it_syncs_after_so_many_bytes_and_ends(tmp_path, monkeypatch):
    synced = threading.Event()
    sync = os.fdatasync
    monkeypatch.setattr(early_sync, "SYNCED_AT_ONCE", 100)
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (sync(descriptor), synced.set()))
    with (tmp_path / "file").open("wb") as file:
        growing = EarlySync(file.fileno())
        growing.count(99)
        assert not synced.wait(0.05)
        growing.count(1)
        assert synced.wait(120)
        growing.close()
    assert "EarlySync" not in " ".join(str(thread) for thread in threading.enumerate())


def test_an_error_is_left_to_the_sync_at_the_end(tmp_path, monkeypatch):
    tried = threading.Event()

    def fail(descriptor: int) -> None:
        tried.set()
        raise OSError("disk")

    monkeypatch.setattr(os, "fdatasync", fail)
    with (tmp_path / "file").open("wb") as file:
        growing = EarlySync(file.fileno())
        growing.count(early_sync.SYNCED_AT_ONCE)
        assert tried.wait(120)
        growing.close()
