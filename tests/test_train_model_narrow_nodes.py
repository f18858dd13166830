"""train_model.py on nodes with little of everything: it works, or ends soon with the real reason."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import ROOT, environment
from tests.helpers.small_stores import make_store

SECONDS = 120  # enough on a busy machine
STREAMED = ("--epochs", 1, "--cache", "none", "-j", 2, "--model", "colour")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_store(tmp_path / "train.h5", 60)


def shell(
    before: str,
    store: Path,
    *options: object,
    env: dict[str, str] | None = None,
    prefix: tuple[str, ...] = (),
) -> subprocess.CompletedProcess:
    """Run the training in a shell that does something before, such as setting a limit."""
    words = [sys.executable, ROOT / "train_model.py", store, "-o", store.parent / "out", *options]
    line = f"{before}; exec {shlex.join(map(str, words))}"
    done = subprocess.run(
        [*prefix, "bash", "-c", line], capture_output=True, text=True, timeout=SECONDS, env=environment(env)
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def error_line(done: subprocess.CompletedProcess) -> str:
    """The one line that says why a training has failed."""
    (line,) = [line for line in done.stderr.splitlines() if "error" in line]
    assert done.returncode == 1
    return line


@pytest.mark.slow
def test_a_full_folder_of_shared_memory_is_not_needed(store: Path) -> None:
    private = ("unshare", "-rm")
    if subprocess.run([*private, "true"], capture_output=True).returncode:
        pytest.skip("no private mounts on this machine")
    full = "mount -t tmpfs -o size=4k tmpfs /dev/shm && head -c 4096 /dev/zero > /dev/shm/full"
    done = shell(full, store, *STREAMED, "--size", 128, prefix=private)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_long_name_of_the_temporary_folder(store: Path, tmp_path: Path) -> None:
    """Longer than the name of a socket may be (108 bytes)."""
    folder = tmp_path / ("scratch_of_the_project_" * 5) / "job_123456"
    folder.mkdir(parents=True)
    for cache in ("none", "disk"):
        done = shell(":", store, *STREAMED, "--cache", cache, env={"TMPDIR": str(folder)})
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_few_open_files_are_enough_for_threads(store: Path) -> None:
    done = shell("ulimit -n 12", store, *STREAMED)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_more_processes_than_open_files_are_named(tmp_path: Path) -> None:
    """Each process has a pipe."""
    done = shell("ulimit -n 12", make_store(tmp_path / "train.h5", 300), *STREAMED, "-j", 12)
    assert error_line(done) == (
        "train_model: error: no more processes can be started (Too many open files): use fewer --workers"
    )


def with_memory_left(store: Path, megabytes: int, *options: object) -> subprocess.CompletedProcess:
    """A training that may take so much more of the address space once it has imported its libraries."""
    code = """
import resource, sys
from pathlib import Path
import torch
import imagestore.training.training_loop
import train_model
from imagestore.console import main
used = int(Path("/proc/self/statm").read_bytes().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (int(sys.argv[1]) << 20), -1))
sys.exit(main("train_model", train_model.build_parser(), train_model.train, sys.argv[2:]))
"""
    words = [sys.executable, "-c", code, megabytes, store, "-o", store.parent / "out", *options]
    done = subprocess.run(
        [*map(str, words)], capture_output=True, text=True, timeout=SECONDS,
        env=environment({"PYTHONPATH": str(ROOT)}),
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize("cache", [pytest.param("none", marks=pytest.mark.slow), "1G"])
def test_a_limit_of_the_address_space_is_named(store: Path, cache: str) -> None:
    done = with_memory_left(store, 400, *STREAMED, "--cache", cache, "--size", 512, "-b", 64)
    line = error_line(done)
    assert line.startswith("train_model: error: out of memory: ask for more") or "new thread" in line


@pytest.mark.slow
def test_libraries_that_have_no_room_are_named(store: Path) -> None:
    done = shell("ulimit -v 400000", store, *STREAMED)
    assert error_line(done).startswith("train_model: error: out of memory")
