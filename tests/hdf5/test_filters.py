"""Filters that compress datasets: those of HDF5, those of hdf5plugin, and a filter that is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from imagestore.hdf5.datasets import check_readable
from tests.helpers.commands import ROOT
from tests.helpers.odd_stores import some_bytes

DATA = np.frombuffer(some_bytes(1), np.uint8)


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"compression": "lzf", "shuffle": True}])
def test_filters_of_hdf5_are_readable(tmp_path, options):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=DATA, chunks=(100,), **options)
        check_readable(file["x"].id)


@pytest.fixture
def packed_by_a_plugin(tmp_path: Path) -> Path:
    """A store whose images are compressed with blosc and zstd."""
    path = tmp_path / "plugin.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a/blosc", data=DATA, **hdf5plugin.Blosc())
        file.create_dataset("a/zstd", data=DATA, **hdf5plugin.Zstd())
    return path


@pytest.mark.parametrize("name", ["blosc", "zstd"])
def test_images_are_decompressed_with_hdf5plugin(run, packed_by_a_plugin, name):
    done = run("h5vfs.py", "unpack", packed_by_a_plugin, "out")
    assert (packed_by_a_plugin.parent / "out/a" / name).read_bytes() == some_bytes(1), done.stderr
    read = "import sys; from imagestore.store.reader import ImageStore; s = ImageStore(sys.argv[1]); " + (
        f"sys.stdout.buffer.write(s.read(s.find('a/{name}')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", read, packed_by_a_plugin], capture_output=True, cwd=ROOT, timeout=60
    )
    assert done.stdout == some_bytes(1), done.stderr


def test_a_missing_filter_is_named(run, packed_by_a_plugin, tmp_path):
    (tmp_path / "hdf5plugin.py").write_text("raise ImportError")
    without = {"PYTHONPATH": str(tmp_path)}
    done = run("h5vfs.py", "cat", packed_by_a_plugin, "a/zstd", env=without, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "32015): pip install hdf5plugin" in done.stderr and done.stderr.count("\n") == 1
