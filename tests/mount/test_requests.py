"""The answers to requests: how errors become answers, and what programs see of a real mount."""

from __future__ import annotations

import errno
import mmap
import multiprocessing
import os
import random
import shutil
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import h5py
import numpy as np
import pytest

from imagestore.mount.fuse_library import PACKAGES, Library
from imagestore.mount.requests import ReopeningRequests, Requests
from imagestore.vfs.open_tree import open_tree
from imagestore.vfs.source import NoSuchName
from tests.helpers.errors import assert_eio, assert_errno
from tests.helpers.mounts import contents_of, shell
from tests.helpers.odd_stores import MODIFIED, make_damaged, make_indexed, make_odd, some_bytes

STRESS_SECONDS = float(os.environ.get("STRESS_SECONDS", "3"))

pytestmark = pytest.mark.usefixtures("fuse_library")


# ----- errors -----


@pytest.fixture
def requests(store):
    """The callbacks over a store, called without a mount."""
    library = Library(PACKAGES["mfusepy"], ModuleType("no module is needed"), generation=3)
    with open_tree([store[0]]) as tree:
        yield Requests(tree, library, on_mounted=lambda: None)


@pytest.mark.parametrize("debug", ["", "1"])
@pytest.mark.parametrize(
    ("error", "number", "is_bug"),
    [
        (NoSuchName(b"name"), errno.ENOENT, False),
        (OSError(errno.EACCES, "not allowed"), errno.EACCES, False),
        (OSError("without an errno"), errno.EIO, False),
        (KeyError("key"), errno.EIO, True),
        (ZeroDivisionError(), errno.EIO, True),
    ],
)
def test_an_exception_is_answered_by_an_errno(requests, monkeypatch, capsys, debug, error, number, is_bug):
    def fail(path):
        raise error

    monkeypatch.setenv("IMAGESTORE_DEBUG", debug)
    monkeypatch.setattr(requests.tree, "find", fail)
    assert requests.listxattr(b"/label0", None, 0) == -number
    assert ("Traceback" in capsys.readouterr().err) == bool(debug and is_bug)


def test_a_bug_in_init_does_not_hide_the_mount(requests):
    mounted = []
    requests.on_mounted = lambda: mounted.append(True)
    assert requests.init(None, None) == -errno.EIO  # libfuse gives structures in place of None
    assert mounted == [True]


# ----- files, links and attributes -----


def test_any_hdf5_file_is_shown_as_a_folder(run, mountpoint, tmp_path):
    arrays = make_odd(tmp_path / "odd.h5")
    run("h5vfs.py", tmp_path / "odd.h5", mountpoint)
    for name in ("plain", "gzip", "lzf", "inside", "deeper/still/deep"):
        assert (mountpoint / f"files/{name}.jpg").read_bytes() == some_bytes(1)
    for name in ("matrix", "cube", "points", "chunked", "of_arrays", "words"):
        np.testing.assert_array_equal(np.load(mountpoint / f"arrays/{name}.npy"), arrays[f"arrays/{name}"])
    mapped = np.load(mountpoint / "arrays/chunked.npy", mmap_mode="r")
    assert mapped[299, 199] == 59_999
    assert (mountpoint / "links/absolute").read_bytes() == some_bytes(1)
    np.testing.assert_array_equal(np.load(mountpoint / "links/to_link_to_array"), arrays["arrays/matrix"])
    assert os.readlink(mountpoint / "links/absolute") == "../files/plain.jpg"
    assert (mountpoint / "links/hard.jpg").stat().st_ino == (mountpoint / "files/plain.jpg").stat().st_ino
    assert (mountpoint / "files/plain.jpg").stat().st_nlink == 2
    assert int((mountpoint / "files/plain.jpg").stat().st_mtime) == MODIFIED
    assert not (mountpoint / "links/external").exists()
    assert len(os.listdir(mountpoint / "names")) == 6
    files = shell("find", mountpoint, "-type", "f").stdout.count("\n")
    assert files > 20
    assert "loop" not in shell("find", mountpoint, check=False).stderr


def test_df_and_du_show_the_size_of_the_store(run, store, mountpoint):
    path, contents = store
    run("h5vfs.py", path, mountpoint)
    status = os.statvfs(mountpoint)
    assert 0 <= status.f_blocks * status.f_frsize - path.stat().st_size < status.f_frsize
    assert (status.f_bfree, status.f_files, status.f_ffree) == (0, len(contents), 0)
    used = int(shell("du", "-s", "-B1", mountpoint).stdout.split()[0])
    data = sum(map(len, contents.values()))
    assert data <= used <= min(data + 512 * len(contents), path.stat().st_size)


def test_a_large_folder_is_listed_completely(run, mountpoint, tmp_path):
    contents = make_indexed(tmp_path / "large.h5", 6000, labels=2, size=1)
    run("h5vfs.py", tmp_path / "large.h5", mountpoint)
    names = [f"{label}/{name}" for label in ("label0", "label1") for name in os.listdir(mountpoint / label)]
    assert sorted(names) == sorted(contents)
    for _ in range(2):  # with a request for each file, then with answers that the kernel keeps
        sizes = {
            f"{label}/{entry.name}": entry.stat().st_size
            for label in ("label0", "label1")
            for entry in os.scandir(mountpoint / label)
        }
        assert sizes == {name: len(data) for name, data in contents.items()}


def test_a_copy_of_a_mount_equals_the_store(run, store, mountpoint, tmp_path):
    path, contents = store
    run("h5vfs.py", path, mountpoint)
    shutil.copytree(mountpoint, tmp_path / "copy")
    shell("chmod", "-R", "u+w", tmp_path / "copy")
    assert contents_of(tmp_path / "copy") == contents


ATTEMPTS = {
    "create": lambda mountpoint: (mountpoint / "new").write_bytes(b""),
    "mkdir": lambda mountpoint: (mountpoint / "new").mkdir(),
    "open": lambda mountpoint: (mountpoint / "label0/image_0000.jpg").open("r+b"),
    "unlink": lambda mountpoint: (mountpoint / "label0/image_0000.jpg").unlink(),
    "rmdir": lambda mountpoint: (mountpoint / "label0").rmdir(),
    "rename": lambda mountpoint: (mountpoint / "label0").rename(mountpoint / "other"),
    "chmod": lambda mountpoint: (mountpoint / "label0").chmod(0o777),
    "chown": lambda mountpoint: os.chown(mountpoint / "label0", 1, 1),
    "symlink": lambda mountpoint: (mountpoint / "link").symlink_to("label0"),
    "link": lambda mountpoint: (mountpoint / "link").hardlink_to(mountpoint / "label0/image_0000.jpg"),
    "truncate": lambda mountpoint: os.truncate(mountpoint / "label0/image_0000.jpg", 0),
    "utime": lambda mountpoint: os.utime(mountpoint / "label0"),
    "setxattr": lambda mountpoint: os.setxattr(mountpoint / "label0", "user.x", b""),
    "removexattr": lambda mountpoint: os.removexattr(mountpoint / "label0", "user.x"),
}


def test_nothing_can_be_written(run, store, mountpoint):
    run("h5vfs.py", "-o", "rw", store[0], mountpoint)
    for attempt in ATTEMPTS.values():
        assert_errno(errno.EROFS, lambda attempt=attempt: attempt(mountpoint))


# ----- a store that changes or is damaged -----


def test_a_replaced_store_is_shown_as_it_was(run, store, mountpoint, tmp_path):
    path, contents = store
    run("h5vfs.py", path, mountpoint)
    make_indexed(tmp_path / "new.h5", 3, first=100)
    os.replace(tmp_path / "new.h5", path)
    assert contents_of(mountpoint) == contents


def test_with_follow_the_new_store_is_shown_without_old_bytes(run, mountpoint, tmp_path):
    path = tmp_path / "store.h5"
    old = make_indexed(path, 6)
    run("h5vfs.py", "--follow", path, mountpoint)
    assert contents_of(mountpoint) == old
    with (mountpoint / "label0/image_0000.jpg").open("rb") as file:
        assert file.read(100) == old["label0/image_0000.jpg"][:100]
        new = publish(path, tmp_path, seed=1)
        assert contents_of(mountpoint) == new
        assert file.read() == old["label0/image_0000.jpg"][100:]
    for seed in range(2, 12):
        new = publish(path, tmp_path, seed)
        assert (mountpoint / "label0/image_0000.jpg").read_bytes() == new["label0/image_0000.jpg"]
    assert contents_of(mountpoint) == new


def mapped(file: Path) -> bytes:
    """The bytes of a file through mmap."""
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return view[:]


@pytest.mark.parametrize("follow", [(), ("--follow",)])
def test_files_can_be_mapped_into_memory(run, mountpoint, tmp_path, follow):
    path = tmp_path / "store.h5"
    contents = make_indexed(path, 6, size=300_000)
    run("h5vfs.py", *follow, path, mountpoint)
    for name, data in contents.items():
        assert mapped(mountpoint / name) == data
    numbers = np.memmap(mountpoint / "label0/image_0000.jpg", np.uint8, "r")
    assert numbers.tobytes() == contents["label0/image_0000.jpg"]


def test_with_follow_mapped_files_are_those_of_the_new_store(run, mountpoint, tmp_path):
    path, name = tmp_path / "store.h5", "label0/image_0000.jpg"
    make_indexed(path, 6)
    run("h5vfs.py", "--follow", path, mountpoint)
    for seed, size in ((1, 5000), (2, 5000), (3, 900_000), (4, 20_000), (5, 1), (6, 70_000)):
        new = publish(path, tmp_path, seed, size)
        assert mapped(mountpoint / name) == (mountpoint / name).read_bytes() == new[name]
        assert (mountpoint / name).stat().st_size == len(new[name])


@pytest.mark.parametrize("sizes", [(300_000, 100_000), (100_000, 300_000), (300_000, 300_000)])
def test_with_follow_an_open_file_keeps_its_bytes(run, mountpoint, tmp_path, sizes):
    path, name = tmp_path / "store.h5", "label0/image_0000.jpg"
    old = publish(path, tmp_path, 1, sizes[0])[name]
    run("h5vfs.py", "--follow", path, mountpoint)
    with (mountpoint / name).open("rb", buffering=0) as opened:
        assert opened.read(5000) == old[:5000]
        new = publish(path, tmp_path, 2, sizes[1])[name]
        for _ in range(3):
            assert (mountpoint / name).stat().st_size == len(new)
            assert (mountpoint / name).read_bytes() == new
            assert os.pread(opened.fileno(), len(old) + 10, 0) == old
            assert os.pread(opened.fileno(), 4096, len(old) - 5000) == old[-5000:-904]
    assert mapped(mountpoint / name) == new


def test_with_follow_an_open_folder_shows_the_new_store(run, mountpoint, tmp_path):
    path = tmp_path / "store.h5"
    make_indexed(path, 6)
    run("h5vfs.py", "--follow", path, mountpoint)
    folder = os.open(mountpoint / "label0", os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert sorted(os.listdir(folder)) == ["image_0000.jpg", "image_0003.jpg"]
        make_indexed(tmp_path / "new.h5", 3, first=100)
        os.replace(tmp_path / "new.h5", path)
        with os.scandir(folder) as entries:
            assert {entry.name: entry.stat().st_size for entry in entries} == {"image_0102.jpg": 5102}
        assert_errno(errno.ENOENT, lambda: os.stat("image_0000.jpg", dir_fd=folder))
    finally:
        os.close(folder)


def publish(path: Path, tmp_path: Path, seed: int, size: int = 5000) -> dict[str, bytes]:
    """Publish a store whose files have the old names and other bytes, and so many of them or a few more."""
    with h5py.File(tmp_path / "new.h5", "w") as file:
        contents = {}
        for i in range(6):
            name = f"label{i % 3}/image_{i:04d}.jpg"
            contents[name] = some_bytes(1000 * seed + i, size + i)
            file[name] = np.frombuffer(contents[name], np.uint8)
    os.replace(tmp_path / "new.h5", path)
    return contents


def test_close_closes_replaced_stores_with_open_files(store, tmp_path):
    path, _ = store
    library = Library(PACKAGES["mfusepy"], ModuleType("no module is needed"), generation=3)
    old = open_tree([path])
    requests = ReopeningRequests(old, library, lambda: None, reopen=lambda: open_tree([path]))
    assert requests.open(b"/label0/image_0000.jpg", SimpleNamespace(contents=SimpleNamespace())) == 0
    publish(path, tmp_path, seed=1)
    requests.find(b"/label0")
    descriptors = [tree.sources[0].file.fd for tree in (old, requests.tree)]
    assert len(set(descriptors)) == 2
    requests.close()
    for descriptor in descriptors:
        assert_errno(errno.EBADF, lambda descriptor=descriptor: os.fstat(descriptor))


def test_a_store_changed_in_place_gives_errors(run, mountpoint, tmp_path):
    path = tmp_path / "odd.h5"
    make_odd(path)
    run("h5vfs.py", path, mountpoint)
    assert (mountpoint / "files/gzip.jpg").read_bytes() == some_bytes(1)
    with h5py.File(path, "a") as file:
        file["files/plain.jpg"][:10] = 0
    assert_eio((mountpoint / "files/plain.jpg").read_bytes)
    assert_eio((mountpoint / "files/lzf.jpg").read_bytes)
    assert sorted(os.listdir(mountpoint / "files"))
    run("h5vfs.py", "-u", mountpoint)


def test_damage_is_an_error_of_the_damaged_images_only(run, store, mountpoint):
    path, contents = store
    run("h5vfs.py", path, mountpoint)
    data = path.read_bytes()
    offsets = {name: data.index(content) for name, content in contents.items()}
    flipped, *others = sorted(contents, key=offsets.get)
    end = offsets[others[20]] + 10
    with path.open("r+b") as file:
        file.seek(offsets[flipped] + 9)
        file.write(bytes([contents[flipped][9] ^ 255]))
        file.truncate(end)
    assert_eio((mountpoint / flipped).read_bytes)
    for name in others:
        if offsets[name] + len(contents[name]) <= end:
            assert (mountpoint / name).read_bytes() == contents[name]
        else:
            assert_eio((mountpoint / name).read_bytes)
    assert sorted(os.listdir(mountpoint)) == ["label0", "label1", "label2"]


def test_a_damaged_file_is_an_error_after_a_listing_too(run, mountpoint, tmp_path):
    good = [f"label{i}/good{j}" for i in range(3) for j in range(9)]
    make_damaged(tmp_path / "a.h5", good, ["label0/bad", "label1/bad", "label2/bad"])
    make_damaged(tmp_path / "b.h5", ["label1/other"], [])
    run("h5vfs.py", tmp_path / "a.h5", tmp_path / "b.h5", mountpoint)
    for _ in range(2):
        assert shell("ls", "-lR", mountpoint, check=False).stdout.count("good") == len(good)
        for i in range(3):
            assert_eio((mountpoint / f"label{i}/bad").read_bytes)
            assert_eio((mountpoint / f"label{i}/bad").stat)
            assert (mountpoint / f"label{i}/good0").read_bytes() == some_bytes(1)


# ----- many readers -----


@pytest.mark.slow
def test_many_readers_get_the_right_bytes(run, mountpoint, tmp_path):
    contents = make_indexed(tmp_path / "store.h5", 400, labels=5, size=60_000)
    run("h5vfs.py", tmp_path / "store.h5", mountpoint)
    with multiprocessing.get_context("spawn").Pool(8) as pool:
        jobs = [(mountpoint, contents, seed, STRESS_SECONDS) for seed in range(8)]
        compared = pool.starmap_async(read_at_random, jobs).get(timeout=STRESS_SECONDS + 120)
    assert min(compared) > 0


def read_at_random(mountpoint: Path, contents: dict[str, bytes], seed: int, seconds: float) -> int:
    """List, stat and read random ranges until the time is over; return how many reads were compared."""
    rng, names, compared = random.Random(seed), sorted(contents), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        name = rng.choice(names)
        assert len(os.listdir(mountpoint / name.split("/")[0])) == 80
        assert (mountpoint / name).stat().st_size == len(contents[name])
        offset, size = rng.randrange(len(contents[name])), rng.randrange(1, 90_000)
        with (mountpoint / name).open("rb", buffering=0) as file:
            file.seek(offset)
            if rng.random() < 0.3:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            assert file.read(size) == contents[name][offset : offset + size]
        compared += 1
    return compared
