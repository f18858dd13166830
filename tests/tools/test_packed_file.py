"""PackedFile: the layout in HDF5, and a disk that becomes full."""

from __future__ import annotations

import contextlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.console import UserError
from imagestore.files.disk_room import RESERVE, DiskFull
from imagestore.tools.copy_report import NotCopied
from imagestore.tools.pack import pack
from imagestore.tools.packed_file import PackedFile
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
            packed.add_file(b"red/short", source)
        source.seek(0)
        packed.add_file(b"red/whole", source)
    with h5py.File(tmp_path / "packed.h5") as file:
        assert list(file["red"]) == ["whole"]


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
            packed.add_file(b"first", source)
        (small_disk / "others").write_bytes(bytes(SMALL_DISK - RESERVE))
        with (folder / "red/a.jpg").open("rb") as source, pytest.raises(DiskFull):
            packed.add_file(b"second", source)
    with h5py.File(small_disk / "packed.h5") as file:
        assert list(file) == ["first"]
