"""unpack: the files that it writes, damaged and hostile stores, and interrupted runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.store.reader import ImageStore
from imagestore.tools.pack import pack
from tests.helpers import signals_at_calls
from tests.helpers.commands import Run, without_summary
from tests.helpers.folders import overwrite, snapshot
from tests.helpers.h5vfs_runs import check_error, each_ending_signal, h5vfs_as_nobody
from tests.helpers.odd_stores import make_indexed


def test_several_stores_unpack_as_one(run: Run, tmp_path: Path):
    for number in (1, 2):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["red/same.jpg"] = np.array([number], np.uint8)
            file[f"red/only{number}.jpg"] = np.array([number], np.uint8)
    run("h5vfs.py", "unpack", "?.h5", "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out/red").iterdir()} == {
        "same.jpg": b"\1", "same%~2.jpg": b"\2", "only1.jpg": b"\1", "only2.jpg": b"\2",
    }  # fmt: skip


def test_hard_links_to_another_disk_become_copies(run: Run, small_disk: Path, tmp_path: Path):
    with h5py.File(tmp_path / "links.h5", "w") as file:
        file["above/deep/first"] = np.frombuffer(b"linked", np.uint8)
        file["disk/deep/second"] = file["above/deep/first"]
    done = run("h5vfs.py", "unpack", "links.h5", ".")  # `small_disk` is mounted at ./disk
    assert without_summary(done.stderr) == "h5vfs: unpacked 2 files into .\n"
    assert (small_disk / "deep/second").read_bytes() == b"linked"
    assert os.listdir(tmp_path / "above/deep") == ["first"]


def test_nothing_is_written_through_a_link(run: Run, folder: Path, tmp_path: Path):
    pack(folder, tmp_path / "packed.h5")
    elsewhere, back = tmp_path / "elsewhere", tmp_path / "back"
    elsewhere.mkdir()
    back.mkdir()
    (elsewhere / "file").write_text("not to be touched")
    (back / "red").symlink_to(elsewhere)
    (back / "root.txt").symlink_to(elsewhere / "file")
    (back / "blue/nothing").mkdir(parents=True)
    done = run("h5vfs.py", "unpack", "packed.h5", "back", check=False)
    assert done.returncode == 1
    assert "red: a file or link is in the place of a folder" in done.stderr
    assert "blue/nothing: a folder is in its place" in done.stderr
    assert snapshot(elsewhere)[b"file"][2] == b"not to be touched"
    assert os.listdir(elsewhere) == ["file"]
    assert (back / "root.txt").read_text() == "at the top\n"
    assert not (back / "root.txt").is_symlink()
    assert (back / "blue/hard.jpg").read_bytes() == (folder / "red/a.jpg").read_bytes()


def test_a_hostile_store_stays_inside(run: Run, tmp_path: Path):
    with h5py.File(tmp_path / "hostile.h5", "w") as file:
        evil = np.frombuffer(b"evil", np.uint8)
        for name in ("../../escaped", "..", "%2E.", "x/../escaped", "x/" + "long" * 100, "x/~"):
            with contextlib.suppress(ValueError):  # the name is that of a group
                file.create_dataset(name, data=evil)
        file.create_dataset("x/setuid", data=evil).attrs["Permissions"] = np.int64(0o104755)
        file.create_dataset("x/when", data=evil).attrs["Modified"] = np.int64(2**62)
        file["array"] = np.arange(3.0)
        file["array.npy"] = np.frombuffer(b"not an array", np.uint8)
        file["up"] = h5py.SoftLink("/../../../etc/passwd")
        file["x/up"] = h5py.SoftLink("../../../etc/passwd")
        file["external"] = h5py.ExternalLink("/etc/passwd", "/")
        file["x/self"] = file["/"]
    os.mkdir(tmp_path / "in")
    run("h5vfs.py", "unpack", "hostile.h5", "in/out")
    assert sorted(os.listdir(tmp_path)) == ["hostile.h5", "in"]
    assert os.listdir(tmp_path / "in") == ["out"]
    out = tmp_path / "in/out"
    for path in out.rglob("*"):
        assert path.resolve().is_relative_to(out)
        assert path.is_symlink() or not path.stat().st_mode & 0o7000
    written = [path for path in out.rglob("*") if path.is_file() and not path.is_symlink()]
    datasets = []
    with h5py.File(tmp_path / "hostile.h5") as file:
        file.visititems(lambda name, item: datasets.append(name) if isinstance(item, h5py.Dataset) else None)
    assert len(written) == len(datasets)
    assert sum(path.read_bytes() == b"evil" for path in written) == len(datasets) - 2
    assert np.load(out / "array%~.npy").tolist() == [0, 1, 2]


def test_bytes_of_other_files_are_not_unpacked(run: Run, tmp_path: Path):
    secret = Path("/etc/hostname")
    if not secret.exists():
        secret = tmp_path / "secret"
        secret.write_text("not to be seen")
    size = secret.stat().st_size
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file["data"] = np.frombuffer(secret.read_bytes(), np.uint8)
    with h5py.File(tmp_path / "hostile.h5", "w") as file:
        file.create_dataset("label/raw", (size,), np.uint8, external=[(str(secret), 0, size)])
        file.create_dataset("label/array", (size, 1), np.uint8, external=[(str(secret), 0, size)])
        layout = h5py.VirtualLayout((size,), np.uint8)
        layout[:] = h5py.VirtualSource(str(tmp_path / "own.h5"), "data", (size,))
        file.create_virtual_dataset("label/virtual", layout)
        file["label/good"] = np.arange(3, dtype=np.uint8)
        nested = h5py.VirtualLayout((size,), np.uint8)  # its source is in its own file, but not its bytes
        nested[:] = h5py.VirtualSource(".", "label/raw", (size,))
        file.create_virtual_dataset("label/nested", nested)
        file["link"] = h5py.ExternalLink(str(tmp_path / "own.h5"), "/data")
        through_link = h5py.VirtualLayout((size,), np.uint8)
        through_link[:] = h5py.VirtualSource(".", "link", (size,))
        file.create_virtual_dataset("label/through_link", through_link)
    assert "6 links, 1 file" in run("h5vfs.py", "unpack", "hostile.h5", "out").stderr
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["good"]
    assert all(os.readlink(path).startswith("%external:") for path in (tmp_path / "out/label").glob("[!g]*"))
    run("h5vfs.py", "unpack", "hostile.h5", "all", "--follow-external")
    for name in ("raw", "virtual", "nested", "through_link"):
        assert (tmp_path / "all/label" / name).read_bytes() == secret.read_bytes()


def test_other_files_are_unpacked_if_one_is_damaged(run: Run, sample_store: Path, tmp_path: Path):
    store = tmp_path / "store.h5"
    shutil.copy(sample_store, store)
    with ImageStore(store) as images:
        name, offset = images.path_of(7), int(images.index.offset[7])
    overwrite(store, offset, b"damaged")
    done = run("h5vfs.py", "unpack", store, "out", check=False)
    assert done.returncode == 1
    assert f"{name}: cannot be read from the store" in done.stderr
    assert sum(path.is_file() for path in (tmp_path / "out").rglob("*")) == 59


def test_a_damaged_file_leaves_no_empty_file(run: Run, tmp_path: Path):
    with h5py.File(tmp_path / "store.h5", "w") as file:
        for name in ("good", "bad"):
            file[f"label/{name}"] = np.arange(9, dtype=np.uint8)
        address = h5py.h5o.get_info(file["label/bad"].id).addr
    overwrite(tmp_path / "store.h5", address, b"\xff" * 16)
    done = run("h5vfs.py", "unpack", "store.h5", "out", check=False)
    assert done.returncode == 1
    assert "label/bad: cannot be read from the store" in done.stderr
    assert os.listdir(tmp_path / "out/label") == ["good"]
    assert run("h5vfs.py", "verify", "store.h5", check=False).stdout.endswith(" 1 bad\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder of another owner")
def test_only_a_folder_of_another_owner_keeps_its_time(tmp_path: Path):
    contents = make_indexed(tmp_path / "store.h5")
    (tmp_path / "store.h5").chmod(0o644)
    tmp_path.chmod(0o777)
    (tmp_path / "out/label1").mkdir(parents=True)
    for folder in ("out", "out/label1"):
        (tmp_path / folder).chmod(0o777)
    done = h5vfs_as_nobody("unpack", "store.h5", "out", cwd=tmp_path)
    assert done.returncode == 1
    failure, _, summary = done.stderr.splitlines()
    assert failure.startswith("h5vfs: label1: its time and permissions cannot be set")
    assert summary == "h5vfs: error: 1 entry could not be unpacked; all others are unpacked"
    for name, data in contents.items():
        assert (tmp_path / "out" / name).read_bytes() == data
    packed = (tmp_path / "store.h5").stat().st_mtime_ns
    times = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in ("label0", "label1", "label2")}
    assert {name for name, time in times.items() if time == packed} == {"label0", "label2"}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that all users can enter and write to; pytest's own folders are closed."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


def test_folders_without_permission_are_closed_last(open_folder: Path):
    with h5py.File(open_folder / "closed.h5", "w") as file:
        file["outer/inner/file"] = np.zeros(1, np.uint8)
        file["outer"].attrs["Permissions"] = np.int64(0o600)  # its owner cannot enter it
        file["outer/inner"].attrs["Permissions"] = np.int64(0o500)
    done = h5vfs_as_nobody("unpack", "closed.h5", "out", cwd=open_folder)
    assert (done.returncode, without_summary(done.stderr)) == (0, "h5vfs: unpacked 1 file into out\n")
    outer = open_folder / "out/outer"
    assert stat.S_IMODE(outer.stat().st_mode) == 0o600
    outer.chmod(0o700)
    assert stat.S_IMODE((outer / "inner").stat().st_mode) == 0o500


@each_ending_signal
def test_an_interrupted_unpack_leaves_no_temporary_file(tmp_path: Path, number: int, status: int):
    with h5py.File(tmp_path / "large.h5", "w") as file:
        file.create_dataset("label/large", (1 << 30,), np.uint8)
    out = tmp_path / "out/label"
    out.mkdir(parents=True)
    command = ["unpack", "large.h5", "out"]
    writes = "imagestore.tools.folder_writer.write_all"
    assert signals_at_calls.run("h5vfs", writes, 3, number, command, tmp_path)[0] == status
    assert not os.listdir(out)


def test_the_next_run_continues_an_interrupted_one(run: Run, tmp_path: Path):
    data = np.arange(100, dtype=np.uint8)
    with h5py.File(tmp_path / "many.h5", "w") as file:
        for i in range(3000):
            file.create_dataset(f"label/{i:04d}", data=data)
    out = tmp_path / "out/label"
    writes = "imagestore.tools.folder_writer.FolderWriter.write_file"
    command = ["unpack", "many.h5", "out"]
    assert signals_at_calls.run("h5vfs", writes, 30, signal.SIGINT, command, tmp_path)[0] == 130
    first = {path.name: path.stat().st_ino for path in out.iterdir()}
    assert len(first) == 29
    assert not [name for name in first if name.endswith(".tmp")]
    (out / "0003").write_bytes(b"cut short")
    done = run("h5vfs.py", "unpack", "many.h5", "out")
    assert {path.read_bytes() for path in out.iterdir()} == {data.tobytes()}
    assert len(os.listdir(out)) == 3000
    assert "unchanged file" in done.stderr
    again = {path.name: path.stat().st_ino for path in out.iterdir()}
    assert {name for name in first if first[name] != again[name]} == {"0003"}


def test_a_disk_that_becomes_full_is_one_line(run: Run, small_disk: Path, large_files: Path):
    run("h5vfs.py", "pack", large_files, "packed.h5")
    done = run("h5vfs.py", "unpack", "packed.h5", small_disk, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "No space left" in done.stderr
    assert sorted(os.listdir(small_disk)) == ["0", "1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.h5", "x"], "missing.h5: no such file"),
        (["folder/root.txt", "x"], "not an HDF5 file"),
        (["good.h5", "folder/root.txt"], "is no folder"),
        (["good.h5", "missing/x"], "no folder missing"),
        (["pipe.h5", "out"], "pipe.h5: is a pipe or a device"),
    ],
)
def test_wrong_paths_are_one_line(run: Run, folder: Path, arguments: list[str], message: str):
    pack(folder, folder.parent / "good.h5")
    os.mkfifo(folder.parent / "pipe.h5")
    check_error(run, folder.parent, ["unpack", *arguments], message)


@pytest.mark.parametrize(("folder", "reason"), [("/proc/x", "cannot be made ("), ("no/x", "make it first")])
def test_a_folder_that_cannot_be_made_is_one_line(run: Run, tmp_path: Path, folder: str, reason: str):
    make_indexed(tmp_path / "a.h5")
    done = run("h5vfs.py", "unpack", "a.h5", folder, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"h5vfs: error: {folder}: ") and reason in done.stderr
