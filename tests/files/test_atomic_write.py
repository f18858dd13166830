"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imagestore.console import UserError
from imagestore.files.atomic_write import check_writable, write_whole
from tests.helpers.commands import ROOT, environment
from tests.helpers.full_disks import mounted_tmpfs
from tests.helpers.small_commands import start

OLD, NEW = b"old", b"new bytes"


# ----- writing a file whole -----


@pytest.mark.parametrize("exists", [True, False], ids=["replaced", "new"])
def test_a_file_is_there_at_the_end_of_the_block(tmp_path, exists):
    path = tmp_path / "result"
    if exists:
        path.write_bytes(OLD)
    with write_whole(path) as temporary:
        temporary.write_bytes(NEW)
        assert temporary.parent == tmp_path
        assert (path.read_bytes() == OLD) if exists else not path.exists()
    assert path.read_bytes() == NEW
    assert os.listdir(tmp_path) == ["result"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, GeneratorExit])
def test_after_an_exception_the_old_file_is_there(tmp_path, error):
    path = tmp_path / "result"
    path.write_bytes(OLD)
    with pytest.raises(error), write_whole(path) as temporary:
        temporary.write_bytes(NEW)
        raise error
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == ["result"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    (tmp_path / "result").write_bytes(OLD)
    with pytest.raises(FileNotFoundError), write_whole(tmp_path / "result"):
        pass
    assert (tmp_path / "result").read_bytes() == OLD


def test_a_signal_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "result"
    path.write_bytes(OLD)
    process = start(f"""
        from imagestore.files.atomic_write import write_whole
        with write_whole({str(path)!r}) as temporary:
            temporary.write_bytes(b"half")
            print("written", flush=True)
            time.sleep(30)
    """)
    assert process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == ["result"]


REWRITE = """
import itertools, sys
from imagestore.files.atomic_write import write_whole
for number in itertools.count():
    with write_whole(sys.argv[1]) as temporary:
        with temporary.open("wb") as file:
            for _ in range(100):
                file.write(b"%09d\\n" % number * 500)
"""


@pytest.mark.slow
def test_a_killed_process_leaves_a_complete_file(tmp_path):
    """A process writes a file again and again; it is read all the while, and the process is killed."""
    path = tmp_path / "result"
    for seed in range(10):
        command = [sys.executable, "-c", REWRITE, path]
        with subprocess.Popen(command, env=environment({"PYTHONPATH": str(ROOT)})) as process:
            while not path.exists():
                time.sleep(0.01)
            end = time.monotonic() + random.Random(seed).uniform(0.2, 0.5)
            while time.monotonic() < end:
                assert_complete(path)
            process.kill()
        assert_complete(path)
        path.unlink()


def assert_complete(path: Path) -> None:
    data = path.read_bytes()
    assert data == data[:10] * 50_000


def test_the_mode_of_the_replaced_file_stays(tmp_path):
    path = tmp_path / "result"
    path.write_bytes(OLD)
    path.chmod(0o640)
    with write_whole(path) as temporary:
        temporary.write_bytes(NEW)
        temporary.chmod(0o777)
    assert path.stat().st_mode & 0o7777 == 0o640


def test_the_mode_of_a_new_file_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with write_whole(tmp_path / "result") as temporary:
            temporary.write_bytes(NEW)
    finally:
        os.umask(before)
    assert (tmp_path / "result").stat().st_mode & 0o7777 == 0o640


def test_a_reader_of_the_old_file_goes_on(tmp_path):
    path = tmp_path / "result"
    path.write_bytes(OLD)
    with path.open("rb") as file:
        with write_whole(path) as temporary:
            temporary.write_bytes(NEW)
        assert file.read() == OLD


def test_a_link_to_a_file_is_replaced_and_the_file_is_not(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(OLD)
    link.symlink_to(target)
    with write_whole(link) as temporary:
        temporary.write_bytes(NEW)
    assert (link.is_symlink(), link.read_bytes(), target.read_bytes()) == (False, NEW, OLD)


@pytest.mark.parametrize(
    "name", ["n" * 255, "\u00e9" * 127, "\u82b1" * 85, os.fsdecode(b"\xff" * 255)],
    ids=["ASCII", "2 bytes each", "3 bytes each", "no UTF-8"],
)  # fmt: skip
def test_a_name_may_have_255_bytes(tmp_path, name):
    with write_whole(tmp_path / name) as temporary:
        temporary.write_bytes(NEW)
    assert (tmp_path / name).read_bytes() == NEW


def test_a_path_relative_to_this_folder_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with write_whole("result") as temporary:
        temporary.write_bytes(NEW)
    assert (tmp_path / "result").read_bytes() == NEW


# ----- paths that are refused -----


def assert_refused(path: Path, words: str) -> None:
    """Both functions refuse a path with one line that names it, and leave everything as it was."""
    before = sorted(os.listdir(path.parent)) if path.parent.is_dir() else None
    for refuse in (check_writable, lambda path: write_whole(path).__enter__()):
        with pytest.raises(UserError) as raised:
            refuse(path)
        assert str(raised.value).startswith(f"{path}: ") and words in str(raised.value)
        assert "\n" not in str(raised.value)
    assert before == (sorted(os.listdir(path.parent)) if path.parent.is_dir() else None)


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    for name in ("folder", "link"):
        assert_refused(tmp_path / name, "is a folder")


def test_devices_and_pipes_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    for path in (Path("/dev/null"), tmp_path / "pipe", tmp_path / "link"):
        assert_refused(path, "is a device or a pipe")


def test_a_missing_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    for folder in ("none", "file"):
        assert_refused(tmp_path / folder / "result", f"there is no folder {tmp_path / folder}; make it first")


def test_a_read_only_file_system_is_refused(tmp_path):
    with mounted_tmpfs(tmp_path, "ro"):
        assert_refused(tmp_path / "result", f"{tmp_path} is on a read-only file system")


def test_a_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    if os.geteuid():
        assert_refused(tmp_path / "result", f"no permission to write in {tmp_path}")
        return
    for folder in tmp_path.parents:
        if "pytest" in str(folder):  # pytest made it, and only for root
            folder.chmod(0o755)
    tmp_path.chmod(0o555)
    pid = os.fork()
    if pid == 0:  # as nobody
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            assert_refused(tmp_path / "result", f"no permission to write in {tmp_path}")
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("folder", ["/proc", "/proc/self/fd", "/sys"])
def test_a_folder_that_takes_no_file_is_refused(folder):
    for refuse in (check_writable, lambda path: write_whole(path).__enter__()):
        with pytest.raises(UserError, match=rf"^{folder}/result: .*{folder}.*; write elsewhere$"):
            refuse(Path(folder) / "result")


def test_an_error_names_the_file_of_the_user(tmp_path):
    with pytest.raises(PermissionError) as raised, write_whole(tmp_path / "result") as temporary:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(temporary))
    assert raised.value.filename == str(tmp_path / "result")
