"""Where decoded pictures are kept: what was asked for, or what has room."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagestore.console import UserError
from imagestore.loading import choose_cache as module
from imagestore.loading.choose_cache import choose_cache


def test_processes_of_a_node_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available_memory", lambda: 8000)
    monkeypatch.setattr(module, "SCRATCH", ())
    for processes, kind in (("", "ram"), ("2", "ram"), ("4", "none")):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
        assert choose_cache(None, 2000)[0] == kind


def test_what_has_no_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path))
    for cache in ("ram", "disk"):
        with pytest.raises(UserError, match="--cache none"):
            choose_cache(cache, 2**60)
    assert choose_cache("none", 2**60)[0] == "none"
    assert choose_cache("auto", 2**60)[0] == "none"
    monkeypatch.setattr(module, "available_memory", lambda: 0)
    assert choose_cache("auto", 1000)[0] == "disk"
    monkeypatch.delenv("SLURM_TMPDIR")
    monkeypatch.delenv("TMPDIR", raising=False)
    assert choose_cache("auto", 1000)[0] == "none"
