"""End trainings at random moments, go on from their checkpoints, and compare with one that nothing disturbed.

    python killed_trainings.py STORE FOLDER TRAININGS PROCESSES SEED [OPTION…]

This is a program of its own, so that each run is forked from a process that has imported everything: the
signals then hit the work, not the start of Python. It prints a summary, and raises if something differs.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

import train_model
from imagestore.console import main as run_command
from imagestore.training import process_group, training_loop
from imagestore.training.training_settings import CHECKPOINT_FILE
from tests.helpers.ports import free_ports
from tests.helpers.training_runs import metrics_in

IMPORTED_LATE = ("torch._dynamo", "matplotlib.backends.backend_agg")
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
STOPS = 3  # of a training, at most; then it comes to its end
SECONDS_TO_END = 120.0  # of all processes, after a signal
SECONDS_OF_A_TRAINING = 200.0


@dataclass(frozen=True)
class Trainings:
    """The trainings to disturb: all have the same store and options."""

    store: Path
    options: Sequence[str]
    processes: int
    log: Path

    def start(self, folder: Path, steps_of_last: int | None = None) -> list[int]:
        """Start a training, or go on with it; return the ids of its processes.

        The last of them is killed just after it has taken so many steps.
        """
        arguments = [str(self.store), "-o", str(folder), *self.options]
        if (checkpoint := folder / CHECKPOINT_FILE).exists():
            epochs = ("--epochs", str(self.epochs))
            arguments = [str(self.store), "-o", str(folder), *epochs, "--resume", str(checkpoint)]
        [port] = free_ports(1)
        steps = {self.processes - 1: steps_of_last}
        return [self._fork(rank, port, arguments, steps.get(rank)) for rank in range(self.processes)]

    def _fork(self, rank: int, port: int, arguments: list[str], steps: int | None) -> int:
        child = os.fork()
        if child:
            return child
        try:
            if steps is not None:
                kill_after_steps(steps)
            os.dup2(os.open(f"{self.log}.{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            os.dup2(2, 1)
            if self.processes > 1:
                os.environ |= {"WORLD_SIZE": str(self.processes), "RANK": str(rank), "LOCAL_RANK": str(rank),
                               "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}  # fmt: skip
            status = run_command("train_model", train_model.build_parser(), train_model.train, arguments)
            sys.stdout.flush()
            os._exit(status)
        finally:
            traceback.print_exc()
            os._exit(99)

    def messages(self) -> str:
        """What the processes of the last run have said."""
        return "".join(Path(f"{self.log}.{rank}").read_text() for rank in range(self.processes))

    def run_to_end(self, folder: Path) -> None:
        """Let nothing disturb a run; it must succeed."""
        statuses = wait_for(self.start(folder), SECONDS_OF_A_TRAINING)
        assert set(statuses) == {0}, (statuses, self.messages())

    def disturb(self, folder: Path, rng: random.Random, duration: float) -> str:
        """Send a run a signal within `duration` seconds, and wait until it ends; return what has happened."""
        number = rng.choice(SIGNALS)
        pids = self.start(folder)
        time.sleep(rng.uniform(0, 0.8 * duration))  # at the end it draws plots
        for pid in pids if rng.random() < 0.5 else [rng.choice(pids)]:
            os.kill(pid, number)
        return self._check_end(pids, folder, number.name)

    def kill_last(self, folder: Path, steps: int) -> str:
        """Let the last process be killed just after so many steps; return what has happened."""
        return self._check_end(self.start(folder, steps), folder, f"killed after {steps} steps")

    def _check_end(self, pids: list[int], folder: Path, name: str) -> str:
        statuses = wait_for(pids, SECONDS_TO_END)
        messages = self.messages()
        assert "Traceback" not in messages, messages
        assert 99 not in statuses, messages
        # None takes part of a training for a whole one. The others end while the first writes the last files.
        is_written, is_trained = not statuses[0], not all(statuses)
        assert epochs_done(folder) >= (self.epochs if is_written else self.epochs - 1 if is_trained else 0)
        check_files(folder)
        return "came too late" if is_written else name

    @property
    def epochs(self) -> int:
        """How many a whole training has."""
        return int(self.options[self.options.index("--epochs") + 1])


def kill_after_steps(steps: int) -> None:
    """Kill this process when it has taken so many steps, before it tells others about the last one."""
    take_step, left = training_loop.take_step, iter(range(steps))

    def take_step_and_end(*arguments: object) -> None:
        take_step(*arguments)
        if next(left) == steps - 1:
            os.kill(os.getpid(), signal.SIGKILL)

    training_loop.take_step = take_step_and_end


def main(store: Path, folder: Path, count: int, processes: int, seed: int, options: list[str]) -> None:
    """Disturb trainings, and check that each ends as the first one does."""
    for name in IMPORTED_LATE:
        importlib.import_module(name)
    process_group.MEETING = process_group.WAIT = timedelta(seconds=15)  # for those whose partner is killed
    trainings = Trainings(store, options, processes, folder / "log")
    whole, disturbed = folder / "whole", folder / "disturbed"
    begin = time.monotonic()
    trainings.run_to_end(whole)
    duration = time.monotonic() - begin
    expected = results(whole)

    rng, happened = random.Random(seed), Counter[str]()
    happened[trainings.kill_last(disturbed, steps=20)] += 1
    trainings.run_to_end(disturbed)
    assert_equal(results(disturbed), expected)
    shutil.rmtree(disturbed)
    for _ in range(count):
        for _ in range(rng.randint(1, STOPS)):
            happened[trainings.disturb(disturbed, rng, duration)] += 1
        trainings.run_to_end(disturbed)
        assert_equal(results(disturbed), expected)
        left = [path.name for path in disturbed.iterdir() if ".lock" in path.name]
        assert not left, left
        shutil.rmtree(disturbed)
    print(f"{count} trainings of {duration:.1f} s: {dict(happened)}")


def results(folder: Path) -> dict[str, object]:
    """What a training has found, without its times."""
    report = json.loads((folder / "report.json").read_text())
    checkpoint = torch.load(folder / "checkpoint.pth")
    return {
        "weights": torch.load(folder / "model_weights.pth")["state_dict"],
        "last weights": checkpoint["model"], "average": checkpoint["average"] or {},
        "best": checkpoint["best"], "step": checkpoint["step"], "epochs": checkpoint["epochs_done"],
        "metrics": metrics_in(folder),
        "report": [report[name] for name in ("labels", "validation")],
        "best epoch": report["training"]["best_epoch"],
    }  # fmt: skip


def assert_equal(found: dict[str, object], expected: dict[str, object]) -> None:
    """Raise if two results differ, bit for bit."""
    for name, value in expected.items():
        if isinstance(value, dict):
            differ = [key for key in value if not torch.equal(found[name][key], value[key])]
            assert not differ, (name, differ)
        else:
            assert found[name] == value, (name, found[name], value)


def epochs_done(folder: Path) -> int:
    """How many whole epochs the checkpoint has."""
    with contextlib.suppress(FileNotFoundError):
        return torch.load(folder / CHECKPOINT_FILE)["epochs_done"]
    return 0


def check_files(folder: Path) -> None:
    """Weights and checkpoint are whole, or not there."""
    for name in ("model_weights.pth", "checkpoint.pth"):
        with contextlib.suppress(FileNotFoundError):
            torch.load(folder / name)


def wait_for(pids: Sequence[int], seconds: float) -> list[int]:
    """The exit statuses of processes; raises if they take longer than `seconds`."""
    deadline, waiting, statuses = time.monotonic() + seconds, set(pids), {}
    try:
        while waiting:
            for pid in list(waiting):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    statuses[pid] = os.waitstatus_to_exitcode(status)
                    waiting.remove(pid)
            assert not waiting or time.monotonic() < deadline, f"{waiting} of {pids} run on: {statuses}"
            time.sleep(0.005)
    finally:
        for pid in waiting:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return [statuses[pid] for pid in pids]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:6]), sys.argv[6:])
