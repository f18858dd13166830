"""train_model.py stopped by a signal at any time, and resumed from its checkpoint."""

from __future__ import annotations

import importlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import train_model
from imagestore.training.resume_command import resume_command
from tests.helpers import signals_at_calls
from tests.helpers.commands import ROOT, environment
from tests.helpers.hooks import write_hook
from tests.helpers.small_stores import make_store
from tests.helpers.training_runs import have_equal_weights, metrics_in, train_here, train_until_check

LONG = ("--epochs", "30", "--batch-size", "8", "-j", "1")  # 11 steps in an epoch of 81 images
NO_STOP = 10_000  # more checks than any of these trainings makes


@pytest.mark.slow
def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path, capsys: pytest.CaptureFixture):
    """After SIGUSR1 and SIGINT: weights and a checkpoint are written, and the command to resume is shown."""
    store = make_store(tmp_path / "train.h5", 90)
    step, arguments = (
        "imagestore.training.training_loop.take_step",
        (store, "-o", tmp_path / "stopped", *LONG),
    )
    for number, expected in ((signal.SIGUSR1, 1), (signal.SIGINT, 130)):
        status, messages = signals_at_calls.run("train_model", step, 25, number, arguments, tmp_path)
        assert status == expected
        assert (tmp_path / "stopped/model_weights.pth").is_file()
        assert "Traceback" not in messages
        assert "stopped after 25 of 330 steps" in messages
    command = messages.splitlines()[-1]
    assert command.endswith(f" --resume {tmp_path}/stopped/checkpoint.pth -j 1")
    resumed = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120, check=True)
    assert "epoch 1/30" not in resumed.stdout
    assert train_here(capsys, store, "-o", tmp_path / "whole", *LONG)[0] == 0
    assert have_equal_weights(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize("cache", [(), ("--cache", "0")], ids=["in memory", "streamed"])
def test_a_training_stopped_twice_takes_the_same_steps(tmp_path: Path, cache: tuple[str, ...]):
    """It stops within epochs, between two batches."""
    store = make_store(tmp_path / "train.h5", 20)

    def train(output: Path, checks: int) -> int:
        checkpoint = output / "checkpoint.pth"
        resume = ("--resume", checkpoint) if checkpoint.exists() else ()
        options = ("--epochs", 3, "--batch-size", 2, "--val-fraction", 0.2, *cache, *resume)
        return train_until_check(store, output, checks, *options)

    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert train(whole, NO_STOP) == 0
    assert [train(stopped, checks) for checks in (8, 11, NO_STOP)] == [143, 143, 0]
    assert have_equal_weights(whole, stopped)


def test_a_finished_training_may_be_resumed(tmp_path: Path, capsys: pytest.CaptureFixture):
    """No step is left, even fewer epochs may be asked for: the same weights are written again."""
    store = make_store(tmp_path / "train.h5", 20)
    assert train_here(capsys, store, "-o", tmp_path / "first", "--epochs", 3)[0] == 0
    for epochs in (3, 2):
        output = ("-o", tmp_path / "again", "--epochs", epochs)
        resume = ("--resume", tmp_path / "first/checkpoint.pth")
        status, out, messages = train_here(capsys, store, *output, *resume)
        assert (status, len(messages)) == (0, 2)
        first_words = [line.split()[0] for line in out.splitlines()]
        assert first_words[:4] == ["wrote", "wrote", "best", "validation:"]
        assert have_equal_weights(tmp_path / "first", tmp_path / "again")
    assert not (tmp_path / "again/checkpoint.pth").exists()


@pytest.mark.parametrize(
    # Before the first step, a training checks for signals three times; in memory also twice for each part.
    ("cache", "checks_before_a_step"),
    [(("--cache", "1G"), range(7)), (("--cache", "0"), range(3))],
    ids=["in memory", "streamed"],
)
def test_a_stop_before_the_first_step_writes_nothing(
    tmp_path: Path, cache: tuple[str, ...], checks_before_a_step: range, capsys: pytest.CaptureFixture
):
    """No untrained weights replace trained ones, and no command to resume is shown."""
    store = make_store(tmp_path / "train.h5", 20)
    output = tmp_path / "out"
    assert train_until_check(store, output, checks_before_a_step.stop, "--batch-size", 2, *cache) == 143
    checkpoint = (output / "checkpoint.pth").rename(tmp_path / "checkpoint.pth")
    before = {path: path.read_bytes() for path in output.iterdir()}
    for resume in ((), ("--resume", checkpoint)):
        for checks in checks_before_a_step:
            capsys.readouterr()
            assert train_until_check(store, output, checks, *cache, *resume) == 143
            messages = capsys.readouterr().err.splitlines()
            assert messages[-1] == "train_model: stopped before the first step; nothing was written"
            assert {path: path.read_bytes() for path in output.iterdir()} == before


def test_a_stopped_validation_is_made_up_for(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """Its line comes after the resume, so the best epoch is that of a training that was not stopped."""
    monkeypatch.setattr("imagestore.training.validate.images_at_a_time", lambda *_: 1)
    store = make_store(tmp_path / "train.h5", 20)
    options = ("--batch-size", 2, "--val-fraction", 0.2, "--epochs", 1)
    # For decoding, before the epoch, before each of 8 steps, before the second of 4 batches to validate with.
    checks = 4 + 2 + 8 + 1
    assert train_until_check(store, tmp_path / "stopped", checks, *options) == 143
    captured = capsys.readouterr()
    assert "epoch 1/1" not in captured.out
    assert "stopped after 8 of 8 steps" in captured.err
    resume = (*options, "--resume", tmp_path / "stopped/checkpoint.pth")
    assert train_until_check(store, tmp_path / "stopped", NO_STOP, *resume) == 0
    assert train_until_check(store, tmp_path / "whole", NO_STOP, *options) == 0
    rows = [metrics_in(tmp_path / name) for name in ("stopped", "whole")]
    assert len(rows[0]) == 1
    assert rows[0] == rows[1]
    assert have_equal_weights(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.slow
@pytest.mark.parametrize("balance", ["weights", "sampling"])
def test_resnet18_stopped_twice_takes_the_same_steps(tmp_path: Path, balance: str):
    """With crops, an average of the weights, and rare labels helped: within an epoch, and in a validation."""
    store = make_store(tmp_path / "train.h5", 40)
    make_store(tmp_path / "more.h5", 12, 40, {"green": (40, 150, 60)})

    def train(output: Path, checks: int) -> int:
        checkpoint = output / "checkpoint.pth"
        new = ("--model", "resnet18", "--size", 32, "--augment", "strong", "--ema", 0.9, "--balance", balance)
        resume = ("--resume", checkpoint) if checkpoint.exists() else new
        options = (tmp_path / "more.h5", "-b", 8, "--epochs", 2, *resume)
        return train_until_check(store, output, checks, *options)

    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert train(whole, NO_STOP) == 0
    assert [train(stopped, checks) for checks in (9, 14, NO_STOP)] == [143, 143, 0]
    assert have_equal_weights(whole, stopped)
    assert metrics_in(whole) == metrics_in(stopped)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_trainings_ended_at_random_moments(tmp_path: Path, processes: int):
    """By SIGKILL and by signals that ask, once or several times; then they end as if nothing had happened."""
    store = make_store(tmp_path / "train.h5", 60)
    program = ROOT / "tests/helpers/killed_trainings.py"
    options = ("--model", "colour", "--size", "16", "-b", "4", "--epochs", "4", "-j", "1")
    counts = ("2", str(processes), "0")  # trainings, processes, seed
    done = subprocess.run(
        [sys.executable, program, store, tmp_path, *counts, *options],
        capture_output=True, text=True, timeout=290, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_resume_command_repeats_the_given_options(tmp_path: Path):
    """A checkpoint does not know cache, device and workers. Options that were not given are not repeated."""
    store = make_store(tmp_path / "train.h5", 20)
    given = ("--cache", 5000, "--device", "cpu", "-j", 19)
    for options in ((), given):
        arguments = train_model.build_parser().parse_args([*map(str, (store, "-o", tmp_path, *options))])
        command = resume_command(arguments)
        assert command.endswith(shlex.join(map(str, ("--resume", tmp_path / "checkpoint.pth", *options))))


@pytest.mark.slow
def test_a_signal_to_all_processes_while_streaming(tmp_path: Path):
    """As `timeout` and `scancel` send it. The threads end with the training."""
    store = make_store(tmp_path / "train.h5", 90)
    options = ("-o", tmp_path, "--epochs", "2000", "--batch-size", "1", "-j", "3", "--cache", "0")
    command = [sys.executable, ROOT / "train_model.py", store, *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        try:
            process.stdout.readline()
            os.killpg(process.pid, signal.SIGTERM)
            _, messages = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 143, messages


@pytest.mark.slow
def test_a_killed_training_goes_on_from_within_its_epoch(tmp_path: Path, capsys: pytest.CaptureFixture):
    """--checkpoint-every writes checkpoints between two steps. What was done after the last is done again."""
    store = make_store(tmp_path / "train.h5", 90)
    options = ("--epochs", "3", "--batch-size", "8", "--size", "16", "-j", "1")  # 11 steps in an epoch
    command = [sys.executable, ROOT / "train_model.py", store, "-o", tmp_path / "killed", *options]
    checkpoint = tmp_path / "killed/checkpoint.pth"
    hook = write_hook(tmp_path / "hook", "os.rename", ".checkpoint.pth.", number=17)
    killed = subprocess.run(
        [*command, "--checkpoint-every", "0.000001"], env=environment({"PYTHONPATH": str(hook)}), timeout=120,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    assert 11 < torch.load(checkpoint)["step"] < 17
    resume = ("--resume", checkpoint, "--epochs", 3, "-j", 1)
    assert train_here(capsys, store, "-o", tmp_path / "killed", *resume)[0] == 0
    assert train_here(capsys, store, "-o", tmp_path / "whole", *options)[0] == 0
    assert have_equal_weights(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.parametrize(
    ("broken", "error", "steps"),
    [
        ("imagestore.training.training_step.cross_entropy", MemoryError(), 8),  # statistics have changed
        pytest.param(
            "torch.optim.AdamW.step", RuntimeError("of torch"), 6, marks=pytest.mark.slow
        ),  # the weights may have changed
    ],
)
def test_an_error_leaves_a_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch,
    broken: str, error: Exception, steps: int,
):  # fmt: skip
    """It has the complete steps that were taken. The resumed training ends as if nothing had happened."""
    store = make_store(tmp_path / "train.h5", 15)
    options = ("--model", "small", "--epochs", 3, "--batch-size", 5, "--size", 16)
    works = import_object(broken)
    calls = []

    def fail_at_the_ninth(*arguments: object, **named: object) -> object:
        calls.append(1)
        if len(calls) == 9:
            raise error
        return works(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(broken, fail_at_the_ninth)
        status, _, messages = train_here(capsys, store, "-o", tmp_path / "failed", *options)
    assert status == 1
    assert any("wrote a checkpoint after 8 steps" in line for line in messages) == (steps == 8)
    checkpoint = tmp_path / "failed/checkpoint.pth"
    assert torch.load(checkpoint)["step"] == steps
    assert train_here(capsys, store, "-o", tmp_path / "failed", "--resume", checkpoint, "--epochs", 3)[0] == 0
    assert train_here(capsys, store, "-o", tmp_path / "whole", *options)[0] == 0
    assert have_equal_weights(tmp_path / "whole", tmp_path / "failed")
    assert metrics_in(tmp_path / "whole") == metrics_in(tmp_path / "failed")


def import_object(name: str) -> Callable[..., object]:
    """The function or method with this name."""
    module, _, rest = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), rest)
    except ModuleNotFoundError:
        return getattr(import_object(module), rest)
