"""tools/scratch_copies.py, by jobs/on_scratch.py: copies of stores on a fast disk, while tasks run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagestore.tools.scratch_copies import copy_store, is_intact
from tests.helpers.commands import ROOT, environment
from tests.helpers.small_stores import make_store

ON_SCRATCH = [sys.executable, str(ROOT / "jobs/on_scratch.py")]
PATIENCE = 120  # seconds


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder on another disk than the stores: in memory."""
    if (
        not os.access("/dev/shm", os.W_OK)
        or os.stat("/dev/shm").st_dev == os.stat(tempfile.gettempdir()).st_dev
    ):
        pytest.skip("/dev/shm is not another disk here")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture
def store(sample_store: Path, tmp_path: Path) -> Path:
    path = tmp_path / "a [b].h5"
    path.write_bytes(sample_store.read_bytes())
    return path


def start(places: str | Path, *words: object, job: str = "7") -> subprocess.Popen:
    env = {"IMAGESTORE_SCRATCH": str(places), "SLURM_JOB_ID": job, "SLURMD_NODENAME": "n1"}
    return subprocess.Popen(
        [*ON_SCRATCH, *map(str, words)], env=environment(env), text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(places: str | Path, *words: object) -> subprocess.CompletedProcess:
    process = start(places, *words)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in stderr
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def copies(scratch: Path) -> list[Path]:
    return sorted(scratch.rglob("*.h5"))


def children(process: subprocess.Popen) -> list[int]:
    return list(map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()))


def wait_until(is_true) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_command_gets_copies_that_go_when_it_ends(store: Path, sample_store: Path, scratch: Path) -> None:
    show = 'stat -c "%a %U" "$1" "$(dirname "$1")" && cat "$1" | sha256sum; echo "$@"; exit 3'
    done = run(scratch, store, sample_store, "--", "sh", "-c", show, "sh", "{}")
    assert done.returncode == 3
    assert "copied 2 stores" in done.stderr and "all checksums are right" in done.stderr
    file, folder, digest, words = done.stdout.splitlines()
    assert file.startswith("600 ") and folder.startswith("700 ")
    same = subprocess.run(["sha256sum"], stdin=store.open("rb"), capture_output=True, text=True).stdout
    assert digest == same.strip()
    folder = f"{scratch}/imagestore-{os.getuid()}/7-n1"
    assert words == f"{folder}/0/a [b].h5 {folder}/1/sample.h5"
    assert copies(scratch) == []


def test_commands_in_messages_name_the_stores_of_the_user(store: Path, scratch: Path) -> None:
    show = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from imagestore.printed_commands import path_argument\n"
        "print(*map(path_argument, sys.argv[1:]))"
    )
    done = run(scratch, store, "--", sys.executable, "-c", show, "{}", "other.h5")
    assert "copied 1 store" in done.stderr and done.stdout == f"{store} other.h5\n"


def test_tasks_of_a_node_share_copies_until_the_last_ends(store: Path, scratch: Path) -> None:
    first, second = tasks = [start(scratch, store, "--", "cat") for _ in range(2)]  # each reads until its end
    wait_until(lambda: list(scratch.rglob("copies")))
    wait_until(lambda: all(children(task) for task in tasks))
    assert len(copies(scratch)) == 1
    said = first.communicate(timeout=PATIENCE)[1]
    assert first.returncode == 0 and len(copies(scratch)) == 1
    said += second.communicate(timeout=PATIENCE)[1]
    assert second.returncode == 0 and copies(scratch) == []
    assert said.count("copied 1 store") == 1


def test_the_next_job_removes_what_a_killed_one_left(store: Path, scratch: Path) -> None:
    with start(scratch, store, "--", "sleep", "60", job="6") as killed:
        wait_until(lambda: copies(scratch))
        wait_until(lambda: children(killed))
        for pid in (killed.pid, *children(killed)):
            os.kill(pid, signal.SIGKILL)
    assert len(copies(scratch)) == 1
    assert run(scratch, "--clean").returncode == 0
    assert copies(scratch) == []


def test_signals_reach_the_command(store: Path, scratch: Path) -> None:
    with start(
        scratch, store, "--", "sh", "-c", "trap 'exit 9' USR1; echo ready; while :; do sleep 0.1; done"
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGUSR1)
        assert process.wait(PATIENCE) == 9
    assert run(scratch, store, "--", "sh", "-c", "kill -KILL $$").returncode == 137
    assert copies(scratch) == []


@pytest.mark.parametrize("places", ["", "/no/such/place", "/proc", "relative"])
def test_without_a_place_the_stores_are_used(store: Path, places: str) -> None:
    done = run(places, store, "--", "echo", "{}")
    assert (done.returncode, done.stdout) == (0, f"{store}\n")
    assert (
        done.stderr.startswith("on_scratch: stores are read where they are: ")
        and done.stderr.count("\n") == 1
    )


def test_the_disk_of_the_store_is_no_place(store: Path, tmp_path: Path) -> None:
    assert "is the disk of the stores" in run(tmp_path, store, "--", "true").stderr


def test_a_folder_that_others_can_use_is_no_place(store: Path, scratch: Path) -> None:
    (scratch / f"imagestore-{os.getuid()}").mkdir()
    (scratch / f"imagestore-{os.getuid()}").chmod(0o777)
    assert "that others can use" in run(scratch, store, "--", "true").stderr


def test_a_small_disk_is_no_place(store: Path, small_disk: Path) -> None:
    state = os.statvfs(small_disk)
    (small_disk / "filler").write_bytes(bytes(state.f_bavail * state.f_frsize - (1 << 16)))
    done = run(small_disk, store, "--", "echo", "{}")
    assert done.stdout == f"{store}\n" and "has room for 0 MB" in done.stderr


def test_damaged_and_foreign_stores_are_read_in_place(store: Path, scratch: Path, tmp_path: Path) -> None:
    data = bytearray(store.read_bytes())
    at = data.index(b"\xff\xd8\xff") + 500
    data[at] ^= 1
    store.write_bytes(data)
    done = run(scratch, store, "--", "echo", "{}")
    assert done.stdout == f"{store}\n" and "is it damaged?" in done.stderr and copies(scratch) == []
    foreign = make_store(tmp_path / "foreign.h5", 3)
    done = run(scratch, foreign, "--", "echo", "{}")
    assert done.stdout == f"{foreign}\n" and "has no index with checksums" in done.stderr


def test_wrong_arguments_are_one_line(store: Path, scratch: Path) -> None:
    assert run(scratch, store).returncode == run(scratch, "--", "true").returncode == 2
    done = run(scratch, store, "--", "/no/such/program")
    assert done.returncode == 1 and "on_scratch: error: /no/such/program" in done.stderr


def test_a_copy_is_intact_if_all_images_are(store: Path, tmp_path: Path) -> None:
    copy_store(store, tmp_path / "copy.h5")
    assert (tmp_path / "copy.h5").read_bytes() == store.read_bytes()
    with (tmp_path / "copy.h5").open("r+b") as file:
        assert is_intact(file.fileno())
        file.seek(file.read().index(b"\xff\xd8\xff") + 3)
        file.write(b"?")
        file.flush()
        assert not is_intact(file.fileno())
