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
from imagestore.hdf5.filters import FILTERS_OF_HDF5PLUGIN, OTHER_FILTERS
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
        [sys.executable, "-c", read, packed_by_a_plugin], capture_output=True, cwd=ROOT, timeout=120
    )
    assert done.stdout == some_bytes(1), done.stderr


def test_a_missing_filter_is_named(run, packed_by_a_plugin, tmp_path):
    (tmp_path / "hdf5plugin.py").write_text("raise ImportError")
    without = {"PYTHONPATH": str(tmp_path)}
    done = run("h5vfs.py", "cat", packed_by_a_plugin, "a/zstd", env=without, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "-m pip install hdf5plugin" in done.stderr and done.stderr.count("\n") == 1


def unknown_filter(path: Path, code: int, name: bytes = b"") -> Path:
    """A store with an image that says that it is compressed with the filter `code`; returns its path.

    HDF5 stores no filter that it does not have, so another filter's number and name are overwritten.
    """
    with h5py.File(path, "w") as file:
        file.create_dataset("a/image.jpg", data=DATA, chunks=(100,), compression="lzf")
        file["a/plain.jpg"] = DATA
    changed = bytearray(path.read_bytes())
    place = changed.index(b"lzf\0") - 8  # the number, the length of the name, flags, values
    assert changed[place : place + 2] == (32000).to_bytes(2, "little")
    changed[place : place + 2] = code.to_bytes(2, "little")
    changed[place + 8 : place + 12] = name.ljust(4, b"\0")
    path.write_bytes(changed)
    return path


@pytest.mark.parametrize(
    ("code", "name", "message"),
    [
        (305, b"lzo", "neither HDF5 nor hdf5plugin has (LZO, number 305)"),
        (32020, b"", "neither HDF5 nor hdf5plugin has (VBZ, number 32020)"),
        (50_000, b"own", "neither HDF5 nor hdf5plugin has (own, number 50000)"),
        (50_001, b"", "neither HDF5 nor hdf5plugin has (without a name, number 50001)"),
    ],
)
def test_hdf5plugin_is_no_advice_for_what_it_lacks(run, tmp_path, code, name, message):
    store = unknown_filter(tmp_path / "a.h5", code, name)
    done = run("h5vfs.py", "cat", store, "a/image.jpg", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert message in done.stderr and "pip" not in done.stderr and "damaged" not in done.stderr
    for arguments in (["verify", store], ["unpack", store, "out"]):
        done = run("h5vfs.py", *arguments)
        assert done.stderr.count("a/image.jpg: cannot be shown: compressed with a filter") == 1
        assert message in done.stderr and "damaged" not in done.stderr
    assert (tmp_path / "out/a/plain.jpg").read_bytes() == some_bytes(1)
    assert not (tmp_path / "out/a/image.jpg").exists()


def test_the_package_has_the_filters_that_it_is_advised_for():
    provided = {filter.filter_id for filter in hdf5plugin.get_filters()}
    assert provided <= set(FILTERS_OF_HDF5PLUGIN)
    assert not set(OTHER_FILTERS) & provided
