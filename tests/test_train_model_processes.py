"""train_model.py as several processes: torchrun starts two, which meet over Gloo."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from imagestore.training import process_group
from tests.helpers.commands import ROOT
from tests.helpers.ports import free_ports
from tests.helpers.small_stores import make_store
from tests.helpers.training_runs import train_here, weights_in

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
COMMON = ("--size", "16", "-j", "1")
TIMEOUT = 250  # seconds


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """60 images: with 6 to validate, 54 to train on. The last step has images for one of two processes."""
    return make_store(tmp_path / "train.h5", 60)


def start_two(store: Path, output: Path, *options: object) -> subprocess.Popen:
    """Two processes that train together, in a session of their own."""
    command = [*TORCHRUN, ROOT / "train_model.py", store, "-o", output, *COMMON, *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment, start_new_session=True,
    )  # fmt: skip


def train_two(store: Path, output: Path, *options: object) -> subprocess.CompletedProcess:
    """What two processes wrote to standard output and error until both ended."""
    with start_two(store, output, *options) as process:
        try:
            stdout, stderr = process.communicate(timeout=TIMEOUT)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def largest_difference(folder: Path, other: Path) -> float:
    weights, others = weights_in(folder), weights_in(other)
    return max((weights[name].double() - others[name].double()).abs().max().item() for name in weights)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["colour", "mlp"])
def test_two_processes_train_as_one_with_twice_the_batch(tmp_path, store, model, capsys):
    """One speaks and writes. Validation counts each image once."""
    done = train_two(store, tmp_path / "two", "--model", model, "-b", 8, "--epochs", 3)
    assert done.returncode == 0, done.stderr
    assert "by 2 processes: 16 images in a step" in done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("epoch")] == [
        "1/3", "2/3", "3/3",
    ]  # fmt: skip
    options = ("--model", model, "-b", 16, "--epochs", 3, *COMMON)
    assert train_here(capsys, store, "-o", tmp_path / "one", *options)[0] == 0
    assert largest_difference(tmp_path / "one", tmp_path / "two") < 1e-5
    one, two = (list(csv.DictReader((tmp_path / name / "metrics.csv").open())) for name in ("one", "two"))
    assert [row["val_accuracy"] for row in one] == [row["val_accuracy"] for row in two]


RANKS = """
import sys
from pathlib import Path
import torch
from imagestore.processes import Stop
from imagestore.store.open_stores import open_stores
from imagestore.training.prepare_training import prepare
from imagestore.training.process_group import in_group
from imagestore.training.training_files import TrainingFiles
from imagestore.training.training_loop import own_parts, train_epochs
from imagestore.training.training_settings import RunOptions

store, folder, batch_size = Path(sys.argv[1]), Path(sys.argv[2]), int((*sys.argv, 8)[3])
with in_group("cpu") as group:
    options = RunOptions(epochs=1, output=folder)
    stores = open_stores([str(store)])
    requested = {"model": "small", "size": 32, "batch_size": batch_size, "augment": "standard"}
    training = prepare(stores, requested, options, Stop(), group)
    parts = own_parts(training, 0)
    batches = list(training.training_batches.iterate([chunk for part in parts for chunk in part], 0))
    train_epochs(training, TrainingFiles(training, options, stores), Stop(), 0)
    keys = training.training_batches.keys.astype("int64").tolist()
    crops = {keys[i]: image for batch in batches for i, image in zip(batch.positions.tolist(), batch.images)}
    torch.save({"parts": [torch.cat(part) for part in parts], "crops": crops,
                "weights": training.network.state_dict()}, folder / f"rank{group.rank}.pth")
"""


@pytest.mark.slow
def test_processes_with_batch_normalisation_stay_equal(tmp_path: Path, store: Path):
    """Equal weights and statistics; each has its own part of one order; crops are those of one process."""
    (tmp_path / "ranks.py").write_text(RANKS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    script = [str(tmp_path / "ranks.py"), str(store), str(tmp_path)]
    run = {"check": True, "timeout": TIMEOUT, "env": environment, "capture_output": True}
    subprocess.run([*TORCHRUN, *script], **run)
    ranks = [torch.load(tmp_path / f"rank{rank}.pth") for rank in (0, 1)]
    subprocess.run([sys.executable, *script, "16"], **run)
    alone = torch.load(tmp_path / "rank0.pth")
    assert all(map(torch.equal, ranks[0]["weights"].values(), ranks[1]["weights"].values()))
    steps = zip(*(rank["parts"] for rank in ranks), strict=True)
    assert torch.equal(torch.cat([part for step in steps for part in step]), torch.cat(alone["parts"]))
    crops = {**ranks[0]["crops"], **ranks[1]["crops"]}
    assert crops.keys() == alone["crops"].keys()
    assert all(torch.equal(crops[key], alone["crops"][key]) for key in crops)


@pytest.mark.slow
def test_a_signal_ends_both_and_they_go_on(tmp_path: Path, store: Path):
    """torchrun hands SIGTERM on; the resumed training ends with the weights of an undisturbed one."""
    options = ("--model", "colour", "-b", 4, "--epochs", 60)
    assert train_two(store, tmp_path / "whole", *options).returncode == 0
    with start_two(store, tmp_path / "stopped", *options) as process:
        try:
            while not process.stdout.readline().startswith("epoch 2/"):
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            _, stderr = process.communicate(timeout=120)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert re.search(r"stopped after \d+ of 420 steps", stderr), stderr
    resume = ("--resume", tmp_path / "stopped/checkpoint.pth", "--epochs", 60)
    assert train_two(store, tmp_path / "stopped", *resume).returncode == 0
    assert largest_difference(tmp_path / "whole", tmp_path / "stopped") == 0


@pytest.mark.slow
def test_a_killed_process_ends_the_other(tmp_path: Path, store: Path):
    """Within seconds, with one line and a checkpoint."""
    with start_two(store, tmp_path / "out", "--model", "colour", "-b", 4, "--epochs", 5000) as process:
        try:
            while not process.stdout.readline().startswith("epoch 2/"):
                assert process.poll() is None
            os.kill(second_process_of(process.pid), signal.SIGKILL)
            process.communicate(timeout=120)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode != 0
    assert (tmp_path / "out/checkpoint.pth").is_file()


def second_process_of(launcher: int) -> int:
    """The process of rank 1 that torchrun started."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            ranks = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if parent == launcher and b"RANK=1" in ranks:
            return int(folder.name)
    raise AssertionError("no process of rank 1")


def test_a_second_training_in_the_folder_is_refused(tmp_path: Path, store: Path, capsys):
    """The first one goes on. A lock of a training that was killed is taken over."""
    command = [sys.executable, ROOT / "train_model.py", store, "-o", tmp_path, *COMMON, "--epochs", "5000"]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline().startswith("epoch 1/")
            status, out, messages = train_here(capsys, store, "-o", tmp_path, *COMMON)
            assert (status, out, len(messages)) == (1, "", 1)
            assert f"{tmp_path}: process {process.pid} on " in messages[0]
            assert process.poll() is None
        finally:
            process.kill()
    assert train_here(capsys, store, "-o", tmp_path, "--epochs", 1, *COMMON)[0] == 0


def test_processes_that_do_not_meet_are_one_line(tmp_path, store, capsys, monkeypatch):
    """One of two tasks is alone: it says so, and trains nothing."""
    monkeypatch.setattr(process_group, "MEETING", timedelta(seconds=1))
    [port] = free_ports(1)
    meeting = {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    for name, value in meeting.items():
        monkeypatch.setenv(name, value)
    status, out, messages = train_here(capsys, store, "-o", tmp_path / "out", *COMMON)
    assert (status, out, len(messages)) == (1, "", 1)
    assert f"2 processes were started, but they do not meet at 127.0.0.1:{port}" in messages[0]
    assert list((tmp_path / "out").iterdir()) == []


def test_sync_bn_without_gpus_says_that_it_does_nothing(tmp_path: Path, store: Path, capsys):
    options = ("-o", tmp_path / "out", *COMMON, "--epochs", 1, "--sync-bn", "--device", "cpu")
    status, _, messages = train_here(capsys, store, *options)
    assert status == 0
    assert any(line.startswith("train_model: --sync-bn: changes nothing") for line in messages)
