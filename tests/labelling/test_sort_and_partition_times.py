"""A member's time stays what it is: in the store, in a mount and in plain files. 0 is 1970, not now."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.helpers.commands import Run
from tests.helpers.small_stores import picture

SECONDS = {"zero": 0, "before": -1, "floor": -2, "old": -(2**33), "far": 2**40, "usual": 1_500_000_000}
FRACTIONS = {"floor": -1.5, "usual": 1_500_000_000.999}  # they are rounded down, as the system does it


def image(i: int) -> bytes:
    return picture((200, 40, 50), i)


def pack_times(path: Path, format: int, times: dict[str, float]) -> None:
    """Pack a picture for each name; the pictures differ."""
    with tarfile.open(path, "w", format=format) as tar:
        for i, (name, seconds) in enumerate(times.items()):
            info = tarfile.TarInfo(f"{name}.jpg")
            data = image(i)
            info.size, info.mtime = len(data), seconds
            tar.addfile(info, io.BytesIO(data))


def stored_times(path: Path) -> dict[str, int]:
    """The attribute `Modified` of each image, by the image's name."""
    with h5py.File(path) as file:
        return {
            name.removesuffix(".jpg"): int(dataset.attrs["Modified"])
            for group in file.values()
            for name, dataset in group.items()
        }


@pytest.mark.parametrize(
    ("format", "given"),
    [(tarfile.GNU_FORMAT, SECONDS), (tarfile.PAX_FORMAT, SECONDS | FRACTIONS)],
    ids=["gnu", "pax"],
)
def test_times_of_members_are_stored(run: Run, tmp_path: Path, format: int, given: dict[str, float]) -> None:
    pack_times(tmp_path / "a.tar", format, given)
    run("colourHeuristic.py", "partition", "a.tar", "a.h5", "b.h5", 1)
    assert stored_times(tmp_path / "a.h5") == SECONDS


def test_times_of_files_in_a_folder_are_stored(run: Run, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for i, (name, ns) in enumerate({"zero": 0, "floor": -1_500_000_000, "late": 2**32 * 10**9}.items()):
        path = tmp_path / "folder" / f"{name}.jpg"
        path.write_bytes(image(i))
        os.utime(path, ns=(ns, ns))
    run("colourHeuristic.py", "partition", "folder", "a.h5", "b.h5", 1)
    assert stored_times(tmp_path / "a.h5") == {"zero": 0, "floor": -2, "late": 2**32}


@pytest.fixture
def store_of_1970(run: Run, tmp_path: Path) -> Path:
    """A store of one image, whose member has the time 0."""
    pack_times(tmp_path / "a.tar", tarfile.GNU_FORMAT, {"zero": 0})
    run("colourHeuristic.py", "sort", "a.tar", "a.h5", 1, 1)
    return tmp_path / "a.h5"


def test_a_time_of_0_is_1970_without_a_mount(run: Run, store_of_1970: Path, tmp_path: Path) -> None:
    label = run("h5vfs.py", "ls", store_of_1970).stdout.strip()
    listed = run("h5vfs.py", "ls", "-l", store_of_1970, label, env={"TZ": "UTC"})
    assert "1970-01-01 00:00 zero.jpg" in listed.stdout
    run("h5vfs.py", "unpack", store_of_1970, "out")
    assert (tmp_path / "out" / label / "zero.jpg").stat().st_mtime_ns == 0
    header, row = run("colourHeuristic.py", "summary", "--csv", store_of_1970).stdout.splitlines()
    assert row.split(",")[header.split(",").index("modified")] == "0"


def test_a_time_of_0_is_1970_in_a_mount(run: Run, fuse_library: str, store_of_1970: Path) -> None:
    command = ["find", "mnt", "-type", "f", "-printf", "%f %Ts"]
    assert run("h5vfs.py", store_of_1970, "mnt", "--", *command).stdout == "zero.jpg 0"


def test_a_time_of_0_survives_a_merge(run: Run, store_of_1970: Path, tmp_path: Path) -> None:
    """A store of another tool has no times: its images get the time of the file, which a mount shows."""
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["red/other.jpg"] = np.frombuffer(image(1), np.uint8)
    os.utime(tmp_path / "other.h5", (1_400_000_000, 1_400_000_000))
    run("colourHeuristic.py", "merge", "all.h5", "other.h5", store_of_1970)
    assert stored_times(tmp_path / "all.h5") == {"other": 1_400_000_000, "zero": 0}
    run("h5vfs.py", "unpack", "all.h5", "out")
    unpacked = {path.stem: int(path.stat().st_mtime) for path in (tmp_path / "out").rglob("*.jpg")}
    assert unpacked == {"other": 1_400_000_000, "zero": 0}


def test_an_unknown_time_is_that_of_the_file(run: Run, store_of_1970: Path, tmp_path: Path) -> None:
    """Images are added to a store of another tool; its own image has no time of its own."""
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["red/other.jpg"] = np.frombuffer(image(1), np.uint8)
    run("colourHeuristic.py", "sort", "a.tar", "other.h5", 1, 1)
    run("h5vfs.py", "unpack", "other.h5", "out")
    unpacked = {path.stem: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.jpg")}
    assert unpacked == {"other": (tmp_path / "other.h5").stat().st_mtime_ns, "zero": 0}
