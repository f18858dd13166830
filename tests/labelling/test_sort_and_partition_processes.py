"""`partition` of compressed archives, which processes decompress: the stores are those without processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagestore.store.reader import ImageStore
from tests.helpers import signals_at_calls
from tests.helpers.archives import noise, pack, write
from tests.helpers.commands import ROOT, without_summary
from tests.helpers.stored_images import hidden_files

SECONDS_TO_WAIT = 120
IMAGES = [(f"label {i % 3}/{i:02}.jpg", noise(390_000 + i, i)) for i in range(30)]
STORES = ("train.h5", "test.h5")
OPTIONS = ("0.7", "--labels", "folder", "--no-palette")


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> list[Path]:
    """Three shards, 4 MB each, and all images in one archive."""
    folder = tmp_path_factory.mktemp("shards")
    write(folder / "all.tgz", pack(IMAGES, "gz"))
    return [write(folder / f"{i}.tgz", pack(IMAGES[10 * i : 10 * i + 10], "gz")) for i in range(3)]


def contents(folder: Path) -> list[list[tuple[str, bytes]]]:
    """The path and the bytes of each image of both stores, in the order of their places in the file."""
    stores = []
    for name in STORES:
        with ImageStore(folder / name) as store:
            stores.append([(store.path_of(i), store.read(i)) for i in store.positions_by_offset()])
    return stores


def expected(images: list[tuple[str, bytes]]) -> list[bytes]:
    return sorted(data for _, data in images)


def compare(run, tmp_path: Path, archives: list[Path], status: int = 0) -> tuple[str, list[bytes]]:
    """Partition with processes and without; the messages, and the bytes of all images."""
    messages, stores = [], []
    for workers in (1, 4):
        folder = tmp_path / f"{workers} workers"
        folder.mkdir()
        cache = {"XDG_CACHE_HOME": str(folder / "cache")}
        arguments = [*archives, *STORES, *OPTIONS, "--workers", workers]
        done = run("colourHeuristic.py", "partition", *arguments, cwd=folder, env=cache, check=False)
        assert done.returncode == status
        messages.append(without_summary(done.stderr))
        stores.append(contents(folder) if (folder / STORES[0]).exists() else [[], []])
        assert hidden_files(folder) == []
    assert messages[0] == messages[1]
    assert stores[0] == stores[1]
    return messages[0], sorted(data for store in stores[0] for _, data in store)


def test_the_stores_are_those_without_processes(run, tmp_path, shards):
    assert compare(run, tmp_path, shards) == ("", expected(IMAGES))


def test_a_cut_shard_costs_no_other(run, tmp_path, shards):
    cut = write(tmp_path / "cut.tgz", shards[1].read_bytes()[:2_000_000])
    message, stored = compare(run, tmp_path, [shards[0], cut, shards[2]], status=1)
    assert "cut.tgz ends in the middle of" in message
    assert stored == expected(IMAGES[:15] + IMAGES[20:])


def test_a_shard_with_a_wrong_checksum_costs_no_other(run, tmp_path, shards):
    data = bytearray(shards[1].read_bytes())
    data[-6] ^= 1
    message, stored = compare(
        run, tmp_path, [shards[0], write(tmp_path / "wrong.tgz", bytes(data)), shards[2]], status=1
    )
    assert "wrong.tgz is damaged (wrong checksum)" in message
    assert stored == expected(IMAGES[:10] + IMAGES[20:])


# ----- signals -----


@pytest.fixture
def started(tmp_path: Path, shards: list[Path]) -> Iterator[tuple[subprocess.Popen, list[int]]]:
    """A run, stopped when it has stored an image, and its processes."""
    arguments = ["partition", *shards, *STORES, *OPTIONS, "--workers=2"]
    add = "imagestore.store.writer.StoreWriter.add"
    process = signals_at_calls.start("colourHeuristic", add, 2, signal.SIGSTOP, arguments, tmp_path)
    try:
        signals_at_calls.wait_until_stopped(process)
        children = children_of(process.pid)
        assert len(children) >= 2
        yield process, children
    finally:
        process.kill()
        process.communicate()


def children_of(process: int) -> list[int]:
    return list(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_run_goes_on_without_a_killed_process(tmp_path, started):
    process, children = started
    os.kill(children[0], signal.SIGKILL)
    process.send_signal(signal.SIGCONT)
    _, messages = process.communicate(timeout=SECONDS_TO_WAIT)
    assert process.returncode == 0
    assert without_summary(messages).count("\n") == messages.count("was killed") == 1
    assert sorted(data for store in contents(tmp_path) for _, data in store) == expected(IMAGES)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_behind(tmp_path, started, signum):
    process, children = started
    process.send_signal(signum)
    process.send_signal(signal.SIGCONT)
    _, messages = process.communicate(timeout=SECONDS_TO_WAIT)
    assert "Traceback" not in messages
    deadline = time.monotonic() + SECONDS_TO_WAIT
    while any(map(is_running, children)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("workers", [1, 4])
def test_few_addresses_are_enough(tmp_path, shards, workers):
    """rapidgzip would crash, and take the command with it."""
    command = [
        sys.executable,
        ROOT / "colourHeuristic.py",
        "partition",
        shards[0].with_name("all.tgz"),
        *STORES,
    ]
    limited = ["bash", "-c", 'ulimit -v 700000; exec "$@"', "bash", *command, *OPTIONS, "--workers", workers]
    done = subprocess.run(list(map(str, limited)), cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, without_summary(done.stderr)) == (0, "")
    assert sorted(data for store in contents(tmp_path) for _, data in store) == expected(IMAGES)
