"""PackedFile: the layout in HDF5, and a disk that becomes full."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest
from isal.isal_zlib import crc32

from imagestore.console import UserError
from imagestore.files.disk_room import RESERVE, DiskFull
from imagestore.tools.copy_report import NotCopied
from imagestore.tools.pack import pack
from imagestore.tools.packed_file import BATCH_CALLS, PIECE, PackedFile
from tests.helpers.full_disks import SMALL_DISK


def test_the_layout_is_that_of_the_cpp_h5vfs(folder: Path, tmp_path: Path):
    pack(folder, tmp_path / "packed.h5")
    state = (folder / "red/a.jpg").stat()
    with h5py.File(tmp_path / "packed.h5") as file:
        image = file["red/a.jpg"]
        assert (image.dtype, image.ndim, image.chunks) == (np.uint8, 1, None)
        assert image.id.get_offset() is not None
        assert image[()].tobytes() == (folder / "red/a.jpg").read_bytes()
        assert {name: (image.attrs[name].dtype, int(image.attrs[name])) for name in image.attrs} == {
            "Modified": (np.int64, 981173106),
            "Created": (np.int64, int(state.st_ctime)),
            "Permissions": (np.uint32, state.st_mode),
            "crc32": (np.uint32, int(image.attrs["crc32"])),
        }
        assert isinstance(file.attrs["H5VFS"], str)
        assert file["red"].attrs["Modified"] == 1
        assert file["blue"].get("far", getlink=True).path == "/red/a.jpg"
        assert file["blue/hard.jpg"] == image
        assert file["blue/nothing"].shape == (0,)
        assert isinstance(file["empty"], h5py.Group)


def test_a_file_that_ends_early_leaves_no_dataset(folder: Path, tmp_path: Path):
    with (
        PackedFile(tmp_path / "packed.h5", bytes(folder), folder.stat()) as packed,
        (folder / "red/a.jpg").open("rb") as source,
    ):
        source.seek(1)  # the file has one byte fewer to read than its size
        with pytest.raises(NotCopied, match="became shorter while it was read"):
            packed.add_file(b"red/short", source.fileno())
        source.seek(0)
        packed.add_file(b"red/whole", source.fileno())
    with h5py.File(tmp_path / "packed.h5") as file:
        assert list(file["red"]) == ["whole"]


def test_large_files_and_batches_keep_their_order(tmp_path: Path):
    """A file larger than PIECE is no part of a batch; the files before it are, and those behind it."""
    sizes = [3, PIECE + 1, 0, PIECE, *[100] * (BATCH_CALLS + 1)]
    (tmp_path / "top").mkdir()
    for i, size in enumerate(sizes):
        (tmp_path / f"top/{i:03}").write_bytes(b"%d" % (i % 10) * size)
    assert pack(tmp_path / "top", tmp_path / "packed.h5") == 0
    with h5py.File(tmp_path / "packed.h5") as file:
        assert [dataset.shape[0] for dataset in file.values()] == sizes
        for i, dataset in enumerate(file.values()):
            data = dataset[()].tobytes()
            assert data == b"%d" % (i % 10) * sizes[i] and dataset.attrs["crc32"] == crc32(data)


def test_a_lost_process_is_an_error(folder: Path, tmp_path: Path):
    with (
        pytest.raises(OSError, match="the process that writes HDF5 has ended"),
        PackedFile(tmp_path / "packed.h5", bytes(folder), folder.stat()) as packed,
    ):
        packed.add_folder(b"red")
        os.kill(packed._process._pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("reason", "message"), [(UserError("the reason"), "reason"), (None, "No space left on")]
)
def test_a_disk_that_others_fill_is_named(
    small_disk: Path, folder: Path, reason: UserError | None, message: str
):
    output = small_disk / "packed.h5"
    with (
        pytest.raises((UserError, OSError), match=message),
        PackedFile(output, bytes(folder), folder.stat()) as packed,
    ):
        for name in (b"a", b"b"):
            packed.add_folder(name * 200)
        with open(small_disk / "others", "wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(1 << 12)):
                pass
        if reason:
            raise reason


def test_the_free_room_is_checked_before_each_file(small_disk: Path, folder: Path):
    """Others take room between two files, so that less than the reserve is left."""
    with PackedFile(small_disk / "packed.h5", bytes(folder), folder.stat()) as packed:
        with (folder / "red/a.jpg").open("rb") as source:
            packed.add_file(b"first", source.fileno())
        (small_disk / "others").write_bytes(bytes(SMALL_DISK - RESERVE))
        with (folder / "red/a.jpg").open("rb") as source, pytest.raises(DiskFull):
            packed.add_file(b"second", source.fileno())
    with h5py.File(small_disk / "packed.h5") as file:
        assert list(file) == ["first"]
