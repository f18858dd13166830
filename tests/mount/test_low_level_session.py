"""The processes that serve a mount together: how many there are, and what happens if one is killed."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from multiprocessing.pool import ThreadPool
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.helpers.commands import ROOT, environment, missing_for_fuse
from tests.helpers.mounts import H5VFS, contents_of, is_mounted, servers, serving, shell, wait_until
from tests.helpers.odd_stores import make_indexed, make_odd
from tests.helpers.unfinished_files import live_writer

LOST = (errno.ENOTCONN, errno.ECONNABORTED)
STRESS_SECONDS = float(os.environ.get("STRESS_SECONDS", "3"))

# Mounts as h5vfs.py does, but process number sys.argv[1] once writes its id into the file sys.argv[2], and
# takes minutes to read a file. Other reads take a moment, so that each process gets some. With an idle
# timeout, the mount stays, and the file with the suffix .count tells the number of requests.
PROGRAM_WITH_A_SLOW_PROCESS = """
import os, sys, time
import h5vfs
from imagestore.mount import low_level_session, server
from imagestore.mount.low_level_requests import LowLevelRequests
from imagestore.vfs.tree import Tree

number, marker = int(sys.argv[1]), sys.argv[2]
requests, read = [], Tree.read
init = LowLevelRequests.__init__
LowLevelRequests.__init__ = lambda self, *arguments: (requests.append(self), init(self, *arguments))[1]

def slow_read(tree, node, offset, size):
    if requests[0].process == number and not os.path.exists(marker):
        with open(marker, "w") as file:
            file.write(str(os.getpid()))
        time.sleep(300)
    time.sleep(0.05)
    return read(tree, node, offset, size)

def tell_the_count(count, mountpoint, timeout):
    while True:
        with open(marker + ".new", "w") as file:
            file.write(str(count()))
        os.replace(marker + ".new", marker + ".count")
        time.sleep(0.01)

Tree.read = slow_read
server._unmount_when_idle = tell_the_count
sys.exit(h5vfs.main(sys.argv[3:]))
"""

# Mounts as h5vfs.py does, with another value of a constant: module, name and value are the first arguments.
PROGRAM_WITH_A_CONSTANT = """
import importlib, sys
import h5vfs

setattr(importlib.import_module(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
sys.exit(h5vfs.main(sys.argv[4:]))
"""


def h5vfs_with(module: str, name: str, value: float, *arguments: object) -> None:
    """Mount as h5vfs.py does, with another value of a constant."""
    words = [sys.executable, "-c", PROGRAM_WITH_A_CONSTANT, module, name, value, *arguments]
    subprocess.run(
        list(map(str, words)), env=environment({"PYTHONPATH": str(ROOT)}), timeout=120, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _libfuse_3(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests need libfuse 3. Without it they are skipped; they fail if REQUIRE_FUSE is set, as in CI."""
    missing = missing_for_fuse("mfusepy")
    if missing and os.environ.get("REQUIRE_FUSE"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    monkeypatch.setenv("IMAGESTORE_FUSE", "mfusepy")


# ----- how many processes -----


def test_as_many_processes_serve_as_the_user_says(run, store, mountpoint):
    for count in (3, 1):
        run("h5vfs.py", "--processes", count, store[0], mountpoint)
        assert len(serving(mountpoint)) == count
        assert contents_of(mountpoint) == store[1]
        run("h5vfs.py", "-u", mountpoint)
        wait_until(lambda: not servers(mountpoint))


def test_the_default_is_the_processors_up_to_four(run, store, mountpoint):
    allowed = sorted(os.sched_getaffinity(0))
    for processors in {1, min(len(allowed), 6)}:
        given = ",".join(map(str, allowed[:processors]))
        shell("taskset", "--cpu-list", given, *H5VFS, store[0], mountpoint)
        assert len(serving(mountpoint)) == min(processors, 4)
        run("h5vfs.py", "-u", mountpoint)
        wait_until(lambda: not servers(mountpoint))


def test_all_processes_serve_a_file_that_is_walked(run, mountpoint, tmp_path):
    make_odd(tmp_path / "odd.h5")
    run("h5vfs.py", "--processes", 1, tmp_path / "odd.h5", mountpoint)
    alone = described(mountpoint)
    run("h5vfs.py", "-u", mountpoint)
    wait_until(lambda: not servers(mountpoint))
    patient = ("imagestore.mount.serve", "SECONDS_TO_LOOK_AHEAD", 60)  # a mount waits for so long
    h5vfs_with(*patient, "--processes", 4, tmp_path / "odd.h5", mountpoint)
    assert len(serving(mountpoint)) == 4
    assert described(mountpoint) == alone


def described(folder: Path) -> dict[str, object]:
    """What programs see of each file, link and folder, by its path."""
    found: dict[str, object] = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        attributes = (
            {name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path)}
            if not path.is_symlink()
            else None
        )
        numbers = (status.st_mode, status.st_ino, status.st_nlink, status.st_size, status.st_mtime_ns)
        found[str(path.relative_to(folder))] = (numbers, content, attributes)
    return found


def test_one_process_serves_a_large_file_without_an_index(run, mountpoint, tmp_path):
    with h5py.File(tmp_path / "large.h5", "w") as file:
        rows = file.create_dataset("rows", (20_001,), h5py.vlen_dtype(np.uint8))
        rows[7] = np.arange(9, dtype=np.uint8)
    run("h5vfs.py", "--processes", 4, tmp_path / "large.h5", mountpoint)
    assert len(serving(mountpoint)) == 1
    assert len(os.listdir(mountpoint / "rows")) == 20_001
    assert (mountpoint / "rows/000007").read_bytes() == bytes(range(9))


def test_one_process_follows_replaced_stores(run, store, mountpoint):
    run("h5vfs.py", "--processes", 4, "--follow", store[0], mountpoint)
    assert len(serving(mountpoint)) == 1
    assert contents_of(mountpoint) == store[1]


def test_one_process_serves_a_file_that_is_written_to(run, mountpoint, tmp_path):
    """Another process would open it later, and find more in it than was listed."""
    with live_writer(tmp_path / "live.h5"):
        run("h5vfs.py", "--processes", 4, tmp_path / "live.h5", mountpoint)
        assert len(serving(mountpoint)) == 1


# ----- a process that is killed -----


@pytest.mark.parametrize("number", [0, 1], ids=["the first", "another"])
def test_a_reader_does_not_wait_for_a_killed_process(run, store, mountpoint, tmp_path, number):
    path, contents = store
    marker = tmp_path / "marker"
    command = [sys.executable, "-c", PROGRAM_WITH_A_SLOW_PROCESS, str(number), marker, "--processes", "2"]
    subprocess.run(
        [*command, path, mountpoint], env=environment({"PYTHONPATH": str(ROOT)}), timeout=120, check=True
    )
    with ThreadPool(4) as pool:
        files = [mountpoint / name for name in sorted(contents)]
        readers = pool.map_async(read_errno, files, chunksize=1)
        wait_until(lambda: marker.exists() and marker.read_text())
        os.kill(int(marker.read_text()), signal.SIGKILL)
        # After its read-ahead failed, the kernel may ask another process, which has the bytes.
        assert set(readers.get(timeout=120)) <= {0, errno.EIO, *LOST}
    if number == 0:
        wait_until(lambda: not servers(mountpoint))
        assert "crashed" in run("h5vfs.py", path, mountpoint).stderr
    assert contents_of(mountpoint) == contents


SECONDS_TO_BEGIN = ("imagestore.mount.low_level_session", "SECONDS_TO_BEGIN")


def test_another_process_takes_the_place_of_a_killed_one(run, store, mountpoint):
    h5vfs_with(*SECONDS_TO_BEGIN, 0, "--processes", 3, store[0], mountpoint)
    first, *others = serving(mountpoint)
    for _ in range(2):
        for other in others:
            os.kill(other, signal.SIGKILL)
        wait_until(lambda: len(now := serving(mountpoint)) == 3 and not set(others) & set(now))  # noqa: B023
        assert serving(mountpoint)[0] == first
        first, *others = serving(mountpoint)
    assert contents_of(mountpoint) == store[1]
    run("h5vfs.py", "-u", mountpoint)
    wait_until(lambda: not servers(mountpoint))


def test_a_process_that_ends_at_once_is_not_replaced(store, mountpoint):
    h5vfs_with(*SECONDS_TO_BEGIN, 3600, "--processes", 3, store[0], mountpoint)
    first, *others = serving(mountpoint)
    for other in others:
        os.kill(other, signal.SIGKILL)
    wait_until(lambda: serving(mountpoint) == [first])
    assert contents_of(mountpoint) == store[1]
    assert serving(mountpoint) == [first]


def read_errno(file: Path) -> int:
    """The errno that reading a file anew gives; 0 if it can be read."""
    try:
        with file.open("rb", buffering=0) as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            opened.readall()
    except OSError as error:
        return error.errno or -1
    return 0


@pytest.mark.slow
def test_killed_processes_give_errors_and_no_wrong_bytes(run, mountpoint, tmp_path):
    contents = make_indexed(tmp_path / "store.h5", 400, labels=5, size=60_000)
    run("h5vfs.py", "--processes", 4, tmp_path / "store.h5", mountpoint)
    first = serving(mountpoint)[0]
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        jobs = [(mountpoint, contents, seed, STRESS_SECONDS) for seed in range(4)]
        readers = pool.starmap_async(read_or_fail, jobs)
        for _ in range(3):
            time.sleep(STRESS_SECONDS / 4)
            for other in serving(mountpoint)[1:3]:
                os.kill(other, signal.SIGKILL)
        compared = readers.get(timeout=STRESS_SECONDS + 120)
    assert min(compared) > 0
    assert contents_of(mountpoint) == contents
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not servers(mountpoint))
    with pytest.raises(OSError):
        os.statvfs(mountpoint)
    assert "crashed" in run("h5vfs.py", tmp_path / "store.h5", mountpoint).stderr
    assert contents_of(mountpoint) == contents


def read_or_fail(mountpoint: Path, contents: dict[str, bytes], seed: int, seconds: float) -> int:
    """Read files until the time is over, with errors of a lost process; return how many were compared."""
    rng, names, compared = random.Random(seed), sorted(contents), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        name = rng.choice(names)
        try:
            with (mountpoint / name).open("rb", buffering=0) as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                data = file.read()
        except OSError as error:
            assert error.errno in (*LOST, errno.EIO)
            continue
        assert data == contents[name]
        compared += 1
    return compared


# ----- the end -----


def test_sigterm_ends_all_processes(run, store, mountpoint):
    run("h5vfs.py", "--processes", 3, store[0], mountpoint)
    opened = os.open(mountpoint / "label0/image_0000.jpg", os.O_RDONLY)
    os.kill(serving(mountpoint)[0], signal.SIGTERM)
    wait_until(lambda: not servers(mountpoint))
    assert not is_mounted(mountpoint)
    with contextlib.suppress(OSError):  # nobody answers any more
        os.close(opened)


def test_the_requests_of_all_processes_are_counted(store, mountpoint, tmp_path):
    """An idle mount ends. The first process counts, and is busy with one file while the others answer."""
    marker, count = tmp_path / "marker", tmp_path / "marker.count"
    command = [sys.executable, "-c", PROGRAM_WITH_A_SLOW_PROCESS, "0", marker, "--processes", "4"]
    subprocess.run(
        [*command, "--idle-timeout", "1", store[0], mountpoint],
        env=environment({"PYTHONPATH": str(ROOT)}), timeout=120, check=True,
    )  # fmt: skip
    with ThreadPool(4) as pool:
        files = [mountpoint / name for name in sorted(store[1])]
        readers = pool.map_async(read_errno, 3 * files, chunksize=1)
        wait_until(lambda: marker.exists() and marker.read_text())
        before = int(count.read_text())
        wait_until(lambda: int(count.read_text()) >= before + 8)
        os.kill(int(marker.read_text()), signal.SIGKILL)
        readers.get(timeout=120)
