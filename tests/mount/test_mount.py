"""Mounts, real ones, with both FUSE libraries: used as a user uses them, and treated as nobody should."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import multiprocessing
import os
import random
import select
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.helpers.commands import ROOT
from tests.helpers.odd_stores import MODIFIED, make_damaged, make_indexed, make_odd, some_bytes

H5VFS = [sys.executable, str(ROOT / "h5vfs.py")]
STRESS_SECONDS = float(os.environ.get("STRESS_SECONDS", "3"))

pytestmark = pytest.mark.usefixtures("fuse_library")


@pytest.fixture
def folder(tmp_path):
    """A mountpoint; it and all others beside it are unmounted in the end whatever happened."""
    mountpoint = tmp_path / "mnt"
    yield mountpoint
    for mounted in mounted_below(tmp_path):
        subprocess.run(["umount", "-l", mounted], check=True, timeout=20)
    for pid in servers(mountpoint):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def store(tmp_path):
    """A store as `sort` leaves it, and what is in it."""
    path = tmp_path / "store.h5"
    return path, make_indexed(path)


def servers(mountpoint: Path) -> list[int]:
    """The processes that have this mountpoint on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and os.fsencode(mountpoint) in (entry / "cmdline").read_bytes().split(
                b"\0"
            ):
                found.append(int(entry.name))
    return found


def contents_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def mounted_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_bytes().rstrip(b"\n").split(b"\n")
    mountpoints = [line.split(b" ")[4].decode("unicode_escape") for line in lines]  # a space is \\040
    return [mountpoint for mountpoint in mountpoints if mountpoint.startswith(f"{folder}/")]


def is_mounted(folder: Path) -> bool:
    return str(folder) in mounted_below(folder.parent)


def wait_until(true, seconds: float = 15.0, pause: float = 0.05) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(pause)


def shell(*command: object, check: bool = True) -> subprocess.CompletedProcess:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=check)


def assert_eio(path: Path) -> None:
    with pytest.raises(OSError) as raised:
        path.read_bytes()
    assert raised.value.errno == errno.EIO


# ----- the life of a mount -----


def test_mount_look_and_unmount(run, store, folder):
    path, contents = store
    done = run("h5vfs.py", path, folder)
    assert str(folder) in done.stdout
    assert "fusermount -u" in done.stdout
    assert stat.S_IMODE(folder.parent.stat().st_mode) != 0o777
    assert contents_of(folder) == contents
    assert sorted(os.listdir(folder)) == ["label0", "label1", "label2"]
    image = (folder / "label1/image_0004.jpg").stat()
    assert (image.st_size, int(image.st_mtime), image.st_blocks) == (5004, MODIFIED + 4, 10)
    assert f"{folder}  {path}" in run("h5vfs.py", "--list").stdout
    run("h5vfs.py", "-u", folder)
    assert not is_mounted(folder)
    assert os.listdir(folder) == []
    wait_until(lambda: not servers(folder))


def test_the_usual_command_unmounts_too(run, store, folder):
    run("h5vfs.py", store[0], folder)
    shell("fusermount", "-u", folder)
    assert not is_mounted(folder)


def test_a_made_mountpoint_is_private(run, store, folder):
    run("h5vfs.py", store[0], folder)
    run("h5vfs.py", "-u", folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_unmount(store, folder, number):
    server = subprocess.Popen([*H5VFS, store[0], "-f", folder], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: is_mounted(folder) and os.listdir(folder))
    server.send_signal(number)
    _, said = server.communicate(timeout=20)
    assert server.returncode == 0
    assert "mounted on" in said
    assert "Traceback" not in said
    assert not is_mounted(folder)


def test_under_nohup_a_lost_terminal_does_not_unmount(store, folder):
    path, contents = store
    server = subprocess.Popen(["nohup", *H5VFS, path, "-f", folder], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_mounted(folder) and os.listdir(folder))
        server.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert contents_of(folder) == contents
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=20) == 0
    finally:
        server.kill()


def test_ended_while_mounting_it_leaves_nothing(folder, tmp_path):
    make_damaged(tmp_path / "store.h5", ["label/good"], [])
    for i in range(200):  # so that mounting takes a while
        (tmp_path / f"part-{i}.h5").hardlink_to(tmp_path / "store.h5")
    job = subprocess.Popen([*H5VFS, tmp_path / "part-*.h5", folder], stderr=subprocess.PIPE, text=True)
    try:
        wait_until(folder.exists)
        job.send_signal(signal.SIGTERM)
        assert (job.communicate(timeout=20)[1], job.returncode) == ("h5vfs: terminated\n", 143)
    finally:
        job.kill()
    assert not is_mounted(folder)
    assert not folder.exists()
    wait_until(lambda: not servers(folder))


def test_ended_just_when_it_is_mounted_it_leaves_nothing_or_succeeds(store, folder):
    for _ in range(3):
        job = subprocess.Popen([*H5VFS, store[0], folder], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            wait_until(lambda: is_mounted(folder), pause=0.0001)
            job.send_signal(signal.SIGTERM)
            said = job.communicate(timeout=20)[1]
        finally:
            job.kill()
        assert (job.returncode, said) in [(0, b""), (143, b"h5vfs: terminated\n")]
        assert is_mounted(folder) == folder.exists() == (job.returncode == 0)
        if is_mounted(folder):
            shell("umount", "-l", folder)
            folder.rmdir()


def test_the_background_holds_nothing_of_the_callers(store, folder, tmp_path):
    reader, writer = os.pipe()
    with (tmp_path / "lock").open("w") as locked, (tmp_path / "lock").open("w") as other:
        fcntl.flock(locked, fcntl.LOCK_EX)
        command, given = [*H5VFS, store[0], folder], (writer, locked.fileno())
        subprocess.run(command, pass_fds=given, capture_output=True, timeout=30, check=True)
        os.close(writer)
        locked.close()
        assert select.select([reader], [], [], 10)[0], "the pipe does not end"
        assert os.read(reader, 1) == b""
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(reader)
    assert is_mounted(folder)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_obstacle(run, folder, tmp_path, closed):
    make_odd(tmp_path / "odd.h5")  # one without an index: a second process reads it
    command = " ".join([*H5VFS, str(tmp_path / "odd.h5"), str(folder), closed])
    assert subprocess.run(command, shell=True, capture_output=True, timeout=30).returncode == 0
    assert (folder / "files/gzip.jpg").read_bytes() == some_bytes(1)
    run("h5vfs.py", "-u", folder)


def test_odd_mountpoints_are_known_again(run, store, folder, tmp_path):
    """One with a line end in its name, and one that is a link."""
    odd, link, path = tmp_path / "a\rb c", tmp_path / "link", store[0].rename(tmp_path / "a#b.h5")
    folder.mkdir()
    link.symlink_to(folder)
    for mountpoint in (odd, link):
        run("h5vfs.py", path, mountpoint, timeout=30)
        assert len(os.listdir(mountpoint)) == 3
    listed = subprocess.run([*H5VFS, "--list"], capture_output=True, timeout=30, check=True).stdout
    assert os.fsencode(f"{odd}  {path}\n") in listed
    for mountpoint in (odd, link):
        run("h5vfs.py", "-u", mountpoint)
        assert not mounted_below(tmp_path) or mountpoint == odd
    assert link.is_symlink()


def test_a_command_runs_in_the_mount_and_its_status_is_kept(run, store, folder):
    path, _ = store
    script = f'cd "{folder}" && cat label0/image_0000.jpg | wc -c; exit 7'
    done = run("h5vfs.py", path, folder, "--", "sh", "-c", script, check=False)
    assert done.returncode == 7
    assert done.stdout.split() == ["5000"]
    assert not folder.exists()


def test_a_command_that_cannot_be_run_leaves_nothing_mounted(run, store, folder):
    folder.mkdir()
    done = run("h5vfs.py", store[0], folder, "--", "no-such-command", check=False)
    assert done.returncode == 1
    assert "no-such-command" in done.stderr
    assert not is_mounted(folder)
    assert folder.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_mount_of_a_command_ends_with_us(store, folder, number):
    job = subprocess.Popen([*H5VFS, store[0], folder, "--", "sleep", "60"], start_new_session=True)
    try:
        wait_until(lambda: is_mounted(folder) and os.listdir(folder))
        time.sleep(0.3)
        job.send_signal(number)
        assert job.wait(timeout=20) in (128 + number, -number)
        wait_until(lambda: not is_mounted(folder))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)


def test_an_idle_mount_goes_away_but_not_under_an_open_file(run, store, folder):
    run("h5vfs.py", "--idle-timeout", "0.6", store[0], folder)
    with (folder / "label0/image_0000.jpg").open("rb") as file:
        time.sleep(1.5)
        assert is_mounted(folder)
        assert len(file.read()) == 5000
    for _ in range(6):  # looked at, though the kernel remembers the answer
        time.sleep(0.25)
        assert (folder / "label0/image_0000.jpg").exists()
    wait_until(lambda: not is_mounted(folder))


def test_a_crashed_mount_is_cleaned_up_by_the_next(run, store, folder):
    path, contents = store
    run("h5vfs.py", path, folder)
    for pid in servers(folder):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not servers(folder))
    with pytest.raises(OSError):
        os.listdir(folder)
    assert "(crashed)" in run("h5vfs.py", "--list").stdout
    assert "crashed" in run("h5vfs.py", path, folder).stderr
    assert contents_of(folder) == contents


def test_a_mount_in_use_says_so_and_lazily_goes(run, store, folder):
    run("h5vfs.py", store[0], folder)
    with (folder / "label0/image_0000.jpg").open("rb") as file:
        done = run("h5vfs.py", "-u", folder, check=False)
        assert done.returncode == 1
        assert "in use" in done.stderr
        run("h5vfs.py", "-u", "--lazy", folder)
        assert not is_mounted(folder)
        assert len(file.read()) == 5000


def test_without_root_in_a_namespace_of_ones_own(store, folder):
    folder.mkdir()
    h5vfs = " ".join(H5VFS)
    command = f"{h5vfs} {store[0]} {folder} && cat {folder}/label0/image_0000.jpg && {h5vfs} -u {folder}"
    done = subprocess.run(["unshare", "-rm", "sh", "-c", command], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(some_bytes(0))
    assert not is_mounted(folder)


# ----- before the leap -----


def refused(run, *arguments: object) -> str:
    done = run("h5vfs.py", *arguments, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("h5vfs: error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_what_cannot_be_mounted_is_said_before(run, store, folder, tmp_path):
    path, _ = store
    text = tmp_path / "notes.txt"
    text.write_text("no HDF5")
    os.mkfifo(tmp_path / "pipe.h5")
    assert "is a pipe" in refused(run, tmp_path / "pipe.h5", folder)
    assert "no such file" in refused(run, tmp_path / "none.h5", folder)
    assert "not an HDF5 file" in refused(run, text, folder)
    assert "is a folder" in refused(run, tmp_path, folder)
    assert not folder.exists()
    assert "is no folder" in refused(run, path, text)
    assert "not empty" in refused(run, path, tmp_path)
    assert "cannot be made" in refused(run, path, text / "below")
    assert "no such FUSE package" in refused_by_environment(run, path, folder)
    assert "unknown option" in refused(run, "-o", "no_such_option", path, folder)
    for option in ("subtype=x", "max_read=4096"):
        assert f"-o {option} cannot be given" in refused(run, "-o", f"ro,{option}", path, folder)
    assert "not mounted" in refused(run, "-u", folder)
    run("h5vfs.py", path, folder)
    assert "already" in refused(run, path, folder)


def refused_by_environment(run, path: Path, folder: Path) -> str:
    done = run("h5vfs.py", path, folder, env={"IMAGESTORE_FUSE": "other"}, check=False)
    assert done.returncode == 1
    return done.stderr


def test_without_libfuse_it_says_what_to_install(run, store, folder):
    done = run("h5vfs.py", store[0], folder, env={"FUSE_LIBRARY_PATH": "/nowhere/libfuse.so"}, check=False)
    assert done.returncode == 1
    assert "apt install fuse3 libfuse2" in done.stderr
    assert not folder.exists()


def test_wrong_arguments(run, store):
    for arguments in [(), (store[0],), (store[0], "mnt", "--"), ("--idle-timeout", "0", store[0], "mnt")]:
        assert run("h5vfs.py", *arguments, check=False).returncode == 2


# ----- what is shown -----


def test_any_hdf5_file_is_a_folder(run, folder, tmp_path):
    arrays = make_odd(tmp_path / "odd.h5")
    run("h5vfs.py", tmp_path / "odd.h5", folder)
    for name in ("plain", "gzip", "lzf", "inside", "deeper/still/deep"):
        assert (folder / f"files/{name}.jpg").read_bytes() == some_bytes(1)
    for name in ("matrix", "cube", "points", "chunked", "of_arrays", "words"):
        np.testing.assert_array_equal(np.load(folder / f"arrays/{name}.npy"), arrays[f"arrays/{name}"])
    mapped = np.load(folder / "arrays/chunked.npy", mmap_mode="r")
    assert mapped[299, 199] == 59_999
    assert (folder / "links/absolute").read_bytes() == some_bytes(1)
    np.testing.assert_array_equal(np.load(folder / "links/to_link_to_array"), arrays["arrays/matrix"])
    assert os.readlink(folder / "links/absolute") == "../files/plain.jpg"
    assert (folder / "links/hard.jpg").stat().st_ino == (folder / "files/plain.jpg").stat().st_ino
    assert (folder / "files/plain.jpg").stat().st_nlink == 2
    assert int((folder / "files/plain.jpg").stat().st_mtime) == MODIFIED
    assert not (folder / "links/external").exists()
    assert len(os.listdir(folder / "names")) == 6
    listed = shell("find", folder, "-type", "f").stdout.count("\n")
    assert listed > 20
    assert "loop" not in shell("find", folder, check=False).stderr


def test_attributes_are_extended_attributes(run, folder, tmp_path):
    make_odd(tmp_path / "odd.h5")
    run("h5vfs.py", tmp_path / "odd.h5", folder)
    assert os.getxattr(folder, "user.title").decode() == "Blümen"
    assert json.loads(os.getxattr(folder, "user.numbers")) == [1, 2, 3]
    assert set(os.listxattr(folder / "files/plain.jpg")) == {
        "user.Modified", "user.Created", "user.Permissions", "user.palette",
    }  # fmt: skip
    assert 'user.words="[\\"a\\", \\"b\\"]"' in shell("getfattr", "-d", "--absolute-names", folder).stdout
    for name, number in (("user.none", errno.ENODATA), ("security.selinux", errno.ENOTSUP)):
        with pytest.raises(OSError) as raised:
            os.getxattr(folder, name)
        assert raised.value.errno == number


def test_df_and_du(run, store, folder):
    path, contents = store
    run("h5vfs.py", path, folder)
    status = os.statvfs(folder)
    assert 0 <= status.f_blocks * status.f_frsize - path.stat().st_size < status.f_frsize
    assert (status.f_bfree, status.f_files, status.f_ffree) == (0, len(contents), 0)
    used = int(shell("du", "-s", "-B1", folder).stdout.split()[0])
    data = sum(map(len, contents.values()))
    assert data <= used <= min(data + 512 * len(contents), path.stat().st_size)


ATTEMPTS = {
    "create": lambda folder: (folder / "new").write_bytes(b""),
    "mkdir": lambda folder: (folder / "new").mkdir(),
    "open": lambda folder: (folder / "label0/image_0000.jpg").open("r+b"),
    "unlink": lambda folder: (folder / "label0/image_0000.jpg").unlink(),
    "rmdir": lambda folder: (folder / "label0").rmdir(),
    "rename": lambda folder: (folder / "label0").rename(folder / "other"),
    "chmod": lambda folder: (folder / "label0").chmod(0o777),
    "chown": lambda folder: os.chown(folder / "label0", 1, 1),
    "symlink": lambda folder: (folder / "link").symlink_to("label0"),
    "link": lambda folder: (folder / "link").hardlink_to(folder / "label0/image_0000.jpg"),
    "truncate": lambda folder: os.truncate(folder / "label0/image_0000.jpg", 0),
    "utime": lambda folder: os.utime(folder / "label0"),
    "setxattr": lambda folder: os.setxattr(folder / "label0", "user.x", b""),
    "removexattr": lambda folder: os.removexattr(folder / "label0", "user.x"),
}


def test_nothing_can_be_written(run, store, folder):
    run("h5vfs.py", "-o", "rw", store[0], folder)
    for what, attempt in ATTEMPTS.items():
        with pytest.raises(OSError) as raised:
            attempt(folder)
        assert raised.value.errno == errno.EROFS, what


def test_options_are_passed_on(run, store, folder):
    run("h5vfs.py", "-o", "uid=1234,gid=4321", "-o", "umask=077", store[0], folder)
    image = (folder / "label0/image_0000.jpg").stat()
    assert (image.st_uid, image.st_gid) == (1234, 4321)
    assert not image.st_mode & 0o077


def test_several_stores(run, folder, tmp_path):
    first, second = make_indexed(tmp_path / "a.h5", 6), make_indexed(tmp_path / "b.h5", 6, first=6)
    run("h5vfs.py", tmp_path / "a.h5", tmp_path / "b.h5", folder)
    assert contents_of(folder) == first | second
    run("h5vfs.py", "-u", folder)
    run("h5vfs.py", "--side-by-side", tmp_path / "*.h5", folder)
    assert contents_of(folder / "b") == second


def test_any_number_of_stores(run, store, folder, tmp_path):
    """Their names are longer in all than the kernel takes as the name of what is mounted."""
    deep = tmp_path / ("d" * 200)
    deep.mkdir()
    for i in range(100):
        (deep / f"{i}.h5").hardlink_to(store[0])
    run("h5vfs.py", deep / "*.h5", folder)
    assert len(os.listdir(folder / "label0")) == 1000
    assert f"{folder}  /" in run("h5vfs.py", "--list").stdout


def test_a_large_folder_is_listed_whole_however_it_is_asked(run, folder, tmp_path):
    contents = make_indexed(tmp_path / "large.h5", 6000, labels=2, size=1)
    run("h5vfs.py", tmp_path / "large.h5", folder)
    names = [f"{label}/{name}" for label in ("label0", "label1") for name in os.listdir(folder / label)]
    assert sorted(names) == sorted(contents)
    for _ in range(2):  # with a question for each file, then with answers that the kernel remembers
        sizes = {
            f"{label}/{entry.name}": entry.stat().st_size
            for label in ("label0", "label1")
            for entry in os.scandir(folder / label)
        }
        assert sizes == {name: len(data) for name, data in contents.items()}


# ----- a store that changes -----


def test_a_replaced_store_is_shown_as_it_was(run, store, folder, tmp_path):
    path, contents = store
    run("h5vfs.py", path, folder)
    make_indexed(tmp_path / "new.h5", 3, first=100)
    os.replace(tmp_path / "new.h5", path)
    assert contents_of(folder) == contents


def test_following_shows_the_new_store_and_never_a_stale_byte(run, folder, tmp_path):
    path = tmp_path / "store.h5"
    old = make_indexed(path, 6)
    run("h5vfs.py", "--follow", path, folder)
    assert contents_of(folder) == old
    with (folder / "label0/image_0000.jpg").open("rb") as held:
        assert held.read(100) == old["label0/image_0000.jpg"][:100]
        new = replace(path, tmp_path, seed=1)
        assert contents_of(folder) == new
        assert held.read() == old["label0/image_0000.jpg"][100:]
    for seed in range(2, 12):
        new = replace(path, tmp_path, seed)
        assert (folder / "label0/image_0000.jpg").read_bytes() == new["label0/image_0000.jpg"]
    assert contents_of(folder) == new


def replace(path: Path, tmp_path: Path, seed: int) -> dict[str, bytes]:
    """Publish a store whose files have the old names and sizes, and other bytes."""
    with h5py.File(tmp_path / "new.h5", "w") as file:
        contents = {}
        for i in range(6):
            name = f"label{i % 3}/image_{i:04d}.jpg"
            contents[name] = some_bytes(1000 * seed + i, 5000 + i)
            file[name] = np.frombuffer(contents[name], np.uint8)
    os.replace(tmp_path / "new.h5", path)
    return contents


def test_a_store_changed_in_place_gives_errors_and_the_mount_lives(run, folder, tmp_path):
    path = tmp_path / "odd.h5"
    make_odd(path)
    run("h5vfs.py", path, folder)
    assert (folder / "files/gzip.jpg").read_bytes() == some_bytes(1)
    with h5py.File(path, "a") as file:
        file["files/plain.jpg"][:10] = 0
    assert_eio(folder / "files/plain.jpg")
    assert_eio(folder / "files/lzf.jpg")
    assert sorted(os.listdir(folder / "files"))
    run("h5vfs.py", "-u", folder)


def test_a_damaged_or_cut_store_costs_the_images_concerned(run, store, folder):
    path, contents = store
    run("h5vfs.py", path, folder)
    data = path.read_bytes()
    places = {name: data.index(content) for name, content in contents.items()}
    flipped, *others = sorted(contents, key=places.get)
    end = places[others[20]] + 10
    with path.open("r+b") as file:
        file.seek(places[flipped] + 9)
        file.write(bytes([contents[flipped][9] ^ 255]))
        file.truncate(end)
    assert_eio(folder / flipped)
    for name in others:
        if places[name] + len(contents[name]) <= end:
            assert (folder / name).read_bytes() == contents[name]
        else:
            assert_eio(folder / name)
    assert sorted(os.listdir(folder)) == ["label0", "label1", "label2"]


def test_a_damaged_file_is_an_error_after_a_full_listing_too(run, folder, tmp_path):
    good = [f"label{i}/good{j}" for i in range(3) for j in range(9)]
    make_damaged(tmp_path / "a.h5", good, ["label0/bad", "label1/bad", "label2/bad"])
    make_damaged(tmp_path / "b.h5", ["label1/other"], [])
    run("h5vfs.py", tmp_path / "a.h5", tmp_path / "b.h5", folder)
    for _ in range(2):
        assert shell("ls", "-lR", folder, check=False).stdout.count("good") == len(good)
        for i in range(3):
            assert_eio(folder / f"label{i}/bad")
            with pytest.raises(OSError) as raised:
                (folder / f"label{i}/bad").stat()
            assert raised.value.errno == errno.EIO
            assert (folder / f"label{i}/good0").read_bytes() == some_bytes(1)


def test_hdf5_crashing_does_not_end_the_mount(run, folder, tmp_path):
    make_odd(tmp_path / "odd.h5")
    run("h5vfs.py", tmp_path / "odd.h5", folder)
    for name in ("gzip", "lzf", "chunked"):
        helper = max(servers(folder))
        os.kill(helper, signal.SIGKILL)
        with contextlib.suppress(OSError):  # the kernel asks a second time for what it could not read ahead
            assert (folder / f"files/{name}.jpg").read_bytes() == some_bytes(1)
        assert (folder / "files/plain.jpg").read_bytes() == some_bytes(1)
        assert (folder / "files/checksummed.jpg").read_bytes() == some_bytes(1)


# ----- many at once -----


def test_many_readers_get_every_byte_right(run, folder, tmp_path):
    contents = make_indexed(tmp_path / "store.h5", 400, labels=5, size=60_000)
    run("h5vfs.py", tmp_path / "store.h5", folder)
    with multiprocessing.get_context("spawn").Pool(8) as pool:
        jobs = [(folder, contents, seed, STRESS_SECONDS) for seed in range(8)]
        checked = pool.starmap_async(_look_and_read, jobs).get(timeout=STRESS_SECONDS + 60)
    assert min(checked) > 0


def _look_and_read(folder: Path, contents: dict[str, bytes], seed: int, seconds: float) -> int:
    """List, stat and read random ranges until the time is over; returns how many reads were compared."""
    choose, names, checked = random.Random(seed), sorted(contents), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        name = choose.choice(names)
        assert len(os.listdir(folder / name.split("/")[0])) == 80
        assert (folder / name).stat().st_size == len(contents[name])
        offset, size = choose.randrange(len(contents[name])), choose.randrange(1, 90_000)
        with (folder / name).open("rb", buffering=0) as file:
            file.seek(offset)
            if choose.random() < 0.3:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            assert file.read(size) == contents[name][offset : offset + size]
        checked += 1
    return checked


def test_a_plain_copy_is_the_same(run, store, folder, tmp_path):
    path, contents = store
    run("h5vfs.py", path, folder)
    shutil.copytree(folder, tmp_path / "copy")
    shell("chmod", "-R", "u+w", tmp_path / "copy")
    assert contents_of(tmp_path / "copy") == contents
