"""Files of tensors: written whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import torch

from imagestore.networks.tensor_files import save_file


def test_saving_is_whole_or_not_at_all(tmp_path: Path) -> None:
    """If saving fails, the old file and its mode stay, and no temporary file is left."""
    path = tmp_path / "weights.pth"
    save_file({"a": torch.ones(3)}, path)
    path.chmod(0o640)
    before = path.read_bytes()
    with pytest.raises(Exception, match=r"pickle|local object"):
        save_file({"a": lambda: None}, path)
    assert path.read_bytes() == before
    save_file({"a": torch.zeros(3)}, path)
    assert path.read_bytes() != before
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]
