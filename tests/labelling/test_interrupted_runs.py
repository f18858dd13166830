"""Nothing is lost if a run is killed, stopped, out of disk or cut off from its archive."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from demo.draw_flowers import draw
from imagestore.console import UserError
from imagestore.store.reader import ImageStore
from imagestore.store.writer import StoreWriter
from tests.helpers import signals_at_calls
from tests.helpers.commands import ROOT, environment
from tests.helpers.full_disks import mounted_tmpfs
from tests.helpers.stored_images import archive_images, hidden_files, stored_images
from tests.helpers.written_stores import add_images

KILLS = int(os.environ.get("IMAGESTORE_KILLS", "100"))
QUICK_KILLS = 10
ADD = "imagestore.store.writer.StoreWriter.add"


@pytest.fixture(scope="module")
def larger(tmp_path_factory, sample) -> Path:
    """An archive of 1,200 images, the pictures of `sample` many times."""
    archive = tmp_path_factory.mktemp("larger") / "larger.tgz"
    pictures = archive_images(sample)
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for i in range(1200 // len(pictures)):
            for name, data in pictures.items():
                add_member(tar, f"{i}/{Path(name).name}", data + b"%d" % i)
    return archive


def add_member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def run_with_signal(number: int, folder: Path, *arguments: object, function: str = ADD) -> tuple[int, str]:
    """colourHeuristic.py gets a signal when it has stored some images; exit status, and standard error."""
    return signals_at_calls.run("colourHeuristic", function, 100, number, arguments, folder)


@contextlib.contextmanager
def stopped_run(folder: Path, *arguments: object) -> Iterator[subprocess.Popen]:
    """colourHeuristic.py, stopped when it has stored some images."""
    with signals_at_calls.start("colourHeuristic", ADD, 100, signal.SIGSTOP, arguments, folder) as process:
        try:
            signals_at_calls.wait_until_stopped(process)
            yield process
        finally:
            process.kill()


# ----- killed and stopped -----


def kill_runs(command: str, kills: int, archive: Path, folder: Path) -> None:
    """Kill runs of `sort` or `merge` at random moments: see killed_runs."""
    program = ROOT / "tests" / "helpers" / "killed_runs.py"
    cache = environment({"XDG_CACHE_HOME": str(folder / "cache")})
    done = subprocess.run(
        [sys.executable, program, command, archive, folder, str(kills), "5"],
        capture_output=True, text=True, timeout=280, env=cache,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{kills} kills" in done.stdout


@pytest.mark.parametrize("command", ["sort", "merge"])
def test_a_few_kills_lose_nothing(tmp_path, sample, command):
    kill_runs(command, QUICK_KILLS, sample, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "kills"), [("sort", KILLS), ("merge", KILLS // 2)])
def test_many_kills_lose_nothing(tmp_path, sample, command, kills):
    kill_runs(command, kills, sample, tmp_path)


@pytest.mark.parametrize(
    "number, status",
    [
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow, id="INT"),
        pytest.param(signal.SIGTERM, 143, id="TERM"),
        pytest.param(signal.SIGUSR1, 1, marks=pytest.mark.slow, id="USR1"),
        pytest.param(signal.SIGUSR2, 1, marks=pytest.mark.slow, id="USR2"),
    ],
)
def test_a_signal_publishes_finished_images(tmp_path, larger, run, number, status):
    command = ("partition", larger, "train.h5", "test.h5", 0.5, "--workers", 1)
    ended, err = run_with_signal(number, tmp_path, *command)
    assert ended == status, err
    assert "run the same command again" in err and signal.Signals(number).name in err
    assert "Traceback" not in err
    first = stored_images(tmp_path / "train.h5")
    assert len(first) > 0 and not hidden_files(tmp_path)
    again = run("colourHeuristic.py", "partition", larger, "train.h5", "test.h5", 0.5)
    train, test = stored_images(tmp_path / "train.h5"), stored_images(tmp_path / "test.h5")
    assert train.items() >= first.items()
    assert not train.keys() & test.keys()
    assert train | test == archive_images(larger)
    assert "already stored" in again.stderr


@pytest.mark.slow
def test_a_killed_worker_costs_nothing(tmp_path, larger):
    """The kernel kills processes if memory is short: others label their images."""
    with stopped_run(tmp_path, "partition", larger, "train.h5", "test.h5", 0.5, "--workers", 2) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) >= 2
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert stored_images(tmp_path / "train.h5") | stored_images(tmp_path / "test.h5") == archive_images(
        larger
    )


def test_a_second_writer_is_refused_and_readers_go_on(tmp_path, larger, sample, run):
    run("colourHeuristic.py", "sort", sample, "store.h5", 10, 5)
    before = stored_images(tmp_path / "store.h5")
    command = ("sort", larger, "store.h5", 5000, 100, "--workers", 1)
    with ImageStore(tmp_path / "store.h5") as reader, stopped_run(tmp_path, *command) as process:
        second = run("colourHeuristic.py", "sort", sample, "store.h5", 10, 5, check=False)
        assert second.returncode == 1
        assert len(second.stderr.splitlines()) == 1 and "is writing it" in second.stderr
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=120)
        assert [reader.read(i) for i in range(len(reader))] and not reader.changed()
    assert stored_images(tmp_path / "store.h5").items() > before.items()


def test_changes_of_another_tool_are_not_overwritten(tmp_path, sample, run):
    """The refused images are published by the next run."""
    path = tmp_path / "store.h5"
    run("colourHeuristic.py", "sort", sample, path, 10, 5)
    with StoreWriter(path) as writer:
        add_images(writer, {("red", b"new.jpg"): b"bytes" * 100})
        with h5py.File(path, "r+") as file:
            file["red/theirs.jpg"] = np.zeros(5, np.uint8)
        with pytest.raises(UserError, match="another tool changed it"):
            writer.publish()
    with ImageStore(path) as store:
        assert len(store) == 11 and store.find("red/theirs.jpg") >= 0
    run("colourHeuristic.py", "sort", sample, path, 1, 1)
    with ImageStore(path) as store:
        assert len(store) == 13 and store.find("red/new.jpg") >= 0 and store.find("red/theirs.jpg") >= 0
    assert not hidden_files(tmp_path)


def test_a_damaged_archive_costs_no_images_of_a_killed_run(tmp_path, sample, run):
    """`sort` meets the wrong checksum in its first pass, before it stores an image."""
    path = tmp_path / "store.h5"
    images = {("red", b"%d.jpg" % i): b"bytes" * 100 for i in range(10)}
    with StoreWriter(path) as writer:
        add_images(writer, images)  # and does not publish them, as a killed run
    data = bytearray(sample.read_bytes())
    data[-8] ^= 1  # in the CRC-32 that ends a gzip file: RFC 1952
    (tmp_path / "bad.tgz").write_bytes(data)
    done = run("colourHeuristic.py", "sort", "bad.tgz", path, 5, 5, check=False)
    assert (done.returncode, done.stdout) == (1, "store.h5: 10 images under 1 label (10 new)\n")
    assert len(stored_images(path)) == 10


def test_a_signal_ends_the_first_pass_over_an_archive(tmp_path, sample):
    """If the archive has no index, `sort` reads the whole archive before it stores anything."""
    picture = next(iter(archive_images(sample).values()))
    with tarfile.open(tmp_path / "large.tar", "w") as tar:
        for i in range(300):
            add_member(tar, f"{i}.jpg", picture + b"%d" % i)
    index = tmp_path / "index"
    read = "imagestore.archive.tar_pass.TarPass._read_image"
    command = ("sort", "large.tar", "a.h5", "1", "1", "--index", index)
    assert run_with_signal(signal.SIGTERM, tmp_path, *command, function=read)[0] == 143
    assert not index.exists() and not (tmp_path / "a.h5").exists()


# ----- disks and archives -----


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 24 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with mounted_tmpfs(folder, "size=24m"):
        yield folder


@pytest.fixture
def padded_folder(tmp_path) -> Path:
    """A folder of 800 pictures, 48 MB."""
    pictures = archive_images(draw(tmp_path / "flowers.tgz", count=40, seed=4, size=160))
    folder = tmp_path / "padded"
    folder.mkdir()
    for i in range(20):
        for name, data in pictures.items():
            (folder / f"{i}-{Path(name).name}").write_bytes(data.ljust(60_000, b"\0"))
    return folder


def test_a_full_disk_publishes_finished_images(small_disk, padded_folder, run):
    full = run("colourHeuristic.py", "sort", padded_folder, small_disk / "store.h5", 800, 10, check=False)
    assert full.returncode == 1
    assert "disk is full" in full.stderr and "run the same command again" in full.stderr
    first = stored_images(small_disk / "store.h5")
    assert 50 < len(first) < 800 and not hidden_files(small_disk)
    for name, data in first.items():
        assert data == (padded_folder / Path(name).name).read_bytes()
    again = run("colourHeuristic.py", "sort", padded_folder, small_disk / "store.h5", 800, 10, check=False)
    assert again.returncode == 1 and len(again.stderr.splitlines()) <= 3
    assert stored_images(small_disk / "store.h5").items() >= first.items()


def test_a_full_disk_publishes_merged_images(small_disk, padded_folder, tmp_path, run):
    run("colourHeuristic.py", "partition", padded_folder, "a.h5", "b.h5", 0.3)
    source = stored_images(tmp_path / "a.h5") | stored_images(tmp_path / "b.h5")
    for order in (("a.h5", "b.h5"), ("b.h5", "a.h5")):  # the first store fits, or it does not
        full = run("colourHeuristic.py", "merge", small_disk / "store.h5", *order, check=False)
        assert full.returncode == 1
        assert "disk is full" in full.stderr and "run the same command again" in full.stderr
        stored = stored_images(small_disk / "store.h5")
        assert 50 < len(stored) < 800 and not hidden_files(small_disk)
        assert stored.items() <= source.items()
        (small_disk / "store.h5").unlink()


def test_images_before_the_cut_of_an_archive_are_stored(tmp_path, sample, run):
    cut = tmp_path / "cut.tgz"
    cut.write_bytes(sample.read_bytes()[: sample.stat().st_size * 2 // 3])
    done = run("colourHeuristic.py", "partition", cut, "train.h5", "test.h5", 0.5, check=False)
    assert done.returncode == 1 and "cut.tgz" in done.stderr
    stored = stored_images(tmp_path / "train.h5") | stored_images(tmp_path / "test.h5")
    assert 10 < len(stored) < 60 and stored.items() <= archive_images(sample).items()
    shutil.copy(sample, cut)
    run("colourHeuristic.py", "partition", cut, "train.h5", "test.h5", 0.5)
    assert stored_images(tmp_path / "train.h5") | stored_images(tmp_path / "test.h5") == archive_images(
        sample
    )


def test_an_output_that_cannot_be_written_is_named(tmp_path, small_disk, sample, run):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], timeout=120, check=True)
    for output, words in {
        small_disk / "s.h5": "read-only",
        tmp_path / "none" / "s.h5": "no folder",
        tmp_path: "is a folder",
    }.items():
        done = run("colourHeuristic.py", "sort", sample, output, 5, 5, check=False)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and words in done.stderr
