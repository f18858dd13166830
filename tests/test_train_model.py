"""train_model.py, run as a user runs it: what it writes, how it stops and goes on, what bad input gets."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import pytest
import torch

import train_model
from imagestore import console, processes
from imagestore.console import main
from imagestore.processes import Stop
from imagestore.store.open import open_stores
from tests.helpers.commands import ROOT, Run
from tests.helpers.small_stores import COLOURS, add, make_store, picture

EPOCH = re.compile(
    r"epoch \d+/\d+  loss [\d.]+  accuracy [\d.]+ %  val loss [\d.]+  accuracy [\d.]+ %  "
    r"[\d.]+ s  \([\d,]+ images/s\)"
)


def in_this_process(capsys: pytest.CaptureFixture, *arguments: object) -> tuple[int, str, list[str]]:
    """Status, output and messages of a run in the tests' process, where torch is imported already."""
    status = main("train_model", train_model.build_parser(), train_model.train, list(map(str, arguments)))
    captured = capsys.readouterr()
    return status, captured.out, captured.err.splitlines()


def test_train_and_classify_unseen_images(run: Run, tmp_path: Path):
    """From two stores, one of them the odd one out, to a network that knows what it never saw."""
    make_store(tmp_path / "part-1.h5", 60)
    make_store(tmp_path / "part-2.h5", 30, first=60, colours={"white": (250, 250, 245)})
    result = run("train_model.py", "part-*.h5", "-o", "out", "--epochs", "15", "--val-fraction", "0.2")
    assert len(EPOCH.findall(result.stdout)) == 15
    labels = json.loads((tmp_path / "out/part-1_labels.json").read_text())
    assert labels == {"blue": 0, "green": 1, "red": 2, "white": 3}
    weights = torch.load(tmp_path / "out/model_weights.pth", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in weights.values())
    assert not list(tmp_path.glob("out/.*"))

    make_store(tmp_path / "test.h5", 45, first=500)
    result = run("classify.py", "test.h5", "out/part-1_labels.json", "all")
    right = len(re.findall(r"^.* right$", result.stdout, re.MULTILINE))
    assert right >= 43
    assert f"({right} of 45)" in result.stdout


def test_older_stores_and_broken_images(tmp_path: Path, old_store: Path, capsys: pytest.CaptureFixture):
    """Every layout is read; what cannot be decoded is named and passed over, in memory or streamed."""
    broken = make_store(tmp_path / "broken.h5", 9)
    add(broken, "red/text.jpg", b"not an image at all")
    add(broken, "d._red/half.jpg", picture(COLOURS["red"], 1)[:700])
    options = ("-o", tmp_path / "out", "--epochs", "2", "--val-fraction", "0", "--batch-size", "5")
    status, _, said = in_this_process(capsys, old_store, broken, *options)
    assert status == 0
    assert "45 images to train on, 0 to validate with, 5 labels" in said[-1]
    skipped = [line.split(": ")[1] for line in said[:-1]]
    assert skipped == ["skipped d._red/half.jpg", "skipped red/text.jpg"]
    labels = json.loads((tmp_path / "out/old_labels.json").read_text())
    assert list(labels) == ["blue", "d._red", "green", "l._blue", "red"]

    streamed = in_this_process(capsys, old_store, broken, *options, "--cache", "0", "-j", "2")
    assert re.search(r"epoch 2/2 .* images/s, 2 skipped\)", streamed[1])


def interrupted(store: Path, out: Path, number: int) -> subprocess.CompletedProcess:
    """Start a long training of `store`, send it a signal in its third epoch, and wait for its end."""
    command = [sys.executable, ROOT / "train_model.py", store, "-o", out, *LONG]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            while not process.stdout.readline().startswith("epoch 2/"):
                assert process.poll() is None
            process.send_signal(number)
            stdout, stderr = process.communicate(timeout=30)
        finally:
            process.kill()
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


LONG = ("--epochs", "30", "--batch-size", "8", "-j", "1")


def test_in_memory_or_streamed_the_same_seed_gives_the_same_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    """Also where images cannot be decoded, and where one way goes on from where the other stopped."""
    store = make_store(tmp_path / "train.h5", 24)
    for i in range(4):
        add(store, f"{[*COLOURS][i % 3]}/text_{i}.jpg", b"not an image at all %d" % i)
    memory, disk = ("--cache", "1G"), ("--cache", "0")

    def trained(place: str, *options: object) -> dict[str, torch.Tensor]:
        out = ("-o", tmp_path / place, "--batch-size", 3, "-j", 1)
        status, _, said = in_this_process(capsys, store, *out, *options)
        assert status == 0, said
        return torch.load(tmp_path / place / "model_weights.pth")

    in_memory = trained("memory", "--epochs", 4, *memory)
    resume = ("--resume", tmp_path / "pieced/checkpoint.pth")
    assert stopped_after(store, tmp_path / "pieced", 13, "--epochs", 4, "--batch-size", 3, *memory) == 143
    for other in (trained("disk", "--epochs", 4, *disk), trained("pieced", "--epochs", 4, *disk, *resume)):
        assert all(torch.equal(in_memory[key], other[key]) for key in in_memory)


@pytest.mark.parametrize("way", ["0", "1G"])
def test_nothing_to_train_on_is_one_line(tmp_path: Path, way: str, capsys: pytest.CaptureFixture):
    """Where no image can be decoded, no weights are written that learned nothing."""
    store = tmp_path / "text.h5"
    for i in range(5):
        add(store, f"red/text_{i}.jpg", b"not an image at all %d" % i)
    status, out, said = in_this_process(capsys, store, "-o", tmp_path, "--cache", way, "-j", 1)
    assert (status, out) == (1, "")
    assert said[-1].startswith("train_model: error: none of the images to train on can be decoded")
    assert not list(tmp_path.glob("*.pth"))


@pytest.mark.parametrize(
    ("way", "looks"),  # before the first step a signal is looked for twice, and in memory once for each part
    [(("--cache", "1G"), range(5)), (("--cache", "0"), range(3))],
    ids=["in memory", "streamed"],
)
def test_stopped_before_its_first_step_a_training_leaves_what_is_there(
    tmp_path: Path, way: tuple[str, ...], looks: range, capsys: pytest.CaptureFixture
):
    """No untrained weights in the place of good ones, no way on from a checkpoint that is not there."""
    store = make_store(tmp_path / "train.h5", 20)
    out = tmp_path / "out"
    assert stopped_after(store, out, looks.stop, "--batch-size", 2, *way) == 143
    checkpoint = (out / "checkpoint.pth").rename(tmp_path / "checkpoint.pth")
    before = {path: path.read_bytes() for path in out.iterdir()}
    for cut in ((), ("--resume", checkpoint)):
        for count in looks:
            capsys.readouterr()
            assert stopped_after(store, out, count, *way, *cut) == 143
            said = capsys.readouterr().err.splitlines()
            assert said[-1] == "train_model: stopped before the first step; nothing was written"
            assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_stopped_while_validating_no_part_of_it_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(train_model, "VAL_BATCH", 1)
    store = make_store(tmp_path / "train.h5", 20)
    looks = 2 + 2 + 8 + 1  # for decoding, before the steps, before each step, before one of four batches
    assert stopped_after(store, tmp_path, looks, "--batch-size", 2, "--val-fraction", 0.2) == 143
    assert re.search(r"^epoch 1/40  loss [\d.]+  accuracy [\d.]+ %  val -  ", capsys.readouterr().out)


def test_a_reader_that_has_seen_enough_does_not_end_the_training(tmp_path: Path):
    """`train_model.py … | head -1`: all epochs are trained, as if nobody had read."""
    store = make_store(tmp_path / "train.h5", 90)
    command = shlex.join(map(str, [sys.executable, ROOT / "train_model.py", store, *LONG, "--epochs", 9]))
    pipe = f"set -o pipefail; {command} -o piped | head -1; {command} -o whole >/dev/null"
    done = subprocess.run(["bash", "-c", pipe], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    piped, whole = (torch.load(tmp_path / place / "model_weights.pth") for place in ("piped", "whole"))
    assert all(torch.equal(piped[key], whole[key]) for key in whole)


def test_a_full_disk_is_one_line_and_leaves_the_old_weights(tmp_path: Path):
    """What no file may grow beyond stands for the disk."""
    store = make_store(tmp_path / "train.h5", 6)
    (tmp_path / "model_weights.pth").write_text("good")
    command = shlex.join(map(str, [sys.executable, ROOT / "train_model.py", store, "--epochs", 1]))
    limited = ["bash", "-c", f"ulimit -f 8; {command}"]
    done = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == ["train_model: error: File too large"]
    assert (tmp_path / "model_weights.pth").read_text() == "good"
    assert not (tmp_path / "checkpoint.pth").exists()


def test_a_long_epoch_shows_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """On standard error, in steps; the lines of the epochs stay as they are."""
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LOG_LINES", 0)
    store = make_store(tmp_path / "train.h5", 20)
    status, out, said = in_this_process(capsys, store, "-o", tmp_path, "--epochs", 2, "--batch-size", 6)
    assert (status, len(EPOCH.findall(out)), len(out.splitlines())) == (0, 2, 4)
    steps = [line.rsplit(",", 2)[0] for line in said if line.startswith("epoch")]
    assert steps == [f"epoch {epoch}/2: {step} of 3 steps" for epoch in (1, 2) for step in (1, 2, 3)]


def test_the_way_on_names_what_was_given(tmp_path: Path, capsys: pytest.CaptureFixture):
    """What the checkpoint does not know: memory, device and workers; and nothing that was not given."""
    store = make_store(tmp_path / "train.h5", 20)
    given = ("--cache", 5000, "--device", "cpu", "-j", 19)
    for options in ((), given):
        arguments = train_model.build_parser().parse_args([*map(str, (store, "-o", tmp_path, *options))])
        on = train_model.go_on(arguments)
        assert on.endswith(shlex.join(map(str, ("--resume", tmp_path / "checkpoint.pth", *options))))


def has_busy_workers(pid: int) -> bool:
    """Whether a process has children that have begun to bring batches, each with a thread for it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return any(len(list(Path(f"/proc/{child}").glob("task/*"))) > 1 for child in children)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_the_whole_group_while_streaming(tmp_path: Path, number: signal.Signals):
    """From `timeout` or `scancel`: the workers live until the training ends them, and no longer than it."""
    store = make_store(tmp_path / "train.h5", 90)
    workers = str(processes.cpu_count() + 1)  # more than torch thinks good
    options = ("-o", tmp_path, "--epochs", "200", "--batch-size", "1", "-j", workers, "--cache", "0")
    command = [sys.executable, ROOT / "train_model.py", store, *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        try:
            process.stdout.readline()  # the first epoch: the next has workers of its own
            while not has_busy_workers(process.pid):
                assert process.poll() is None
            send = os.kill if number == signal.SIGKILL else os.killpg  # its workers must see that it is gone
            send(process.pid, number)
            _, said = process.communicate(timeout=60)  # the pipes close with the last worker
        finally:
            process.kill()
    assert process.returncode == (143 if number == signal.SIGTERM else -signal.SIGKILL), said
    assert "Warning" not in said


def test_resumed_training_ends_as_if_it_had_not_stopped(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture
):
    """SIGUSR1 and SIGINT: weights and checkpoint are written; the way on leads to the same weights."""
    store = make_store(tmp_path / "train.h5", 90)
    for number, status in ((signal.SIGUSR1, 1), (signal.SIGINT, 130)):
        stopped = interrupted(store, tmp_path / "stopped", number)
        assert stopped.returncode == status
        assert (tmp_path / "stopped/model_weights.pth").is_file()
        assert "Traceback" not in stopped.stderr
    script, *options = stopped.stderr.splitlines()[-1].split()
    assert options[-4:] == ["--resume", str(tmp_path / "stopped/checkpoint.pth"), "-j", "1"]
    resumed = run(Path(script).name, *options)
    assert "epoch 1/30" not in resumed.stdout
    assert in_this_process(capsys, store, "-o", tmp_path / "whole", *LONG)[0] == 0

    whole, pieced = (torch.load(tmp_path / place / "model_weights.pth") for place in ("whole", "stopped"))
    assert all(torch.equal(whole[key], pieced[key]) for key in whole)


@dataclass
class StopAfter(Stop):
    """Asks for an end when it was looked at so many times: once before each batch, and now and then."""

    looks: int = 0

    @property
    def requested(self) -> bool:
        """As if a signal had come between two batches."""
        self.looks -= 1
        if self.looks < 0:
            self.signum = signal.SIGTERM
        return self.signum is not None


def stopped_after(store: Path, place: Path, looks: int, *options: object) -> int:
    """The exit status of a training that is asked to end when it has looked for signals so many times."""
    place.mkdir(exist_ok=True)
    given = map(str, (store, "-o", place, "-j", 1, *options))
    arguments = train_model.build_parser().parse_args([*given])
    return train_model.train_on(open_stores([store]), arguments, StopAfter(looks=looks))


@pytest.mark.parametrize("way", [(), ("--cache", "0")], ids=["in memory", "streamed"])
def test_stopped_between_any_two_batches(tmp_path: Path, way: tuple[str, ...]):
    """Stopped twice, within epochs, a training takes the same steps as one that was not."""
    store = make_store(tmp_path / "train.h5", 20)

    def train(place: Path, looks: int) -> int:
        checkpoint = place / "checkpoint.pth"
        resume = ("--resume", checkpoint) if checkpoint.exists() else ()
        options = ("--epochs", 3, "--batch-size", 2, "--val-fraction", 0.2, *way, *resume)
        return stopped_after(store, place, looks, *options)

    whole, pieced = tmp_path / "whole", tmp_path / "pieced"
    assert train(whole, 10_000) == 0
    assert [train(pieced, looks) for looks in (8, 11, 10_000)] == [143, 143, 0]
    weights, weights_too = (torch.load(place / "model_weights.pth") for place in (whole, pieced))
    assert all(torch.equal(weights[key], weights_too[key]) for key in weights)


def test_bad_input_gets_one_line_before_torch_is_imported(run: Run, tmp_path: Path):
    """Exit status 1 with one line, or 2 from argparse; nothing is written."""
    good = make_store(tmp_path / "good.h5", 6)
    (tmp_path / "text.h5").write_text("no store")
    h5py.File(tmp_path / "empty.h5", "w").close()
    block_torch = tmp_path / "blocked"
    block_torch.mkdir()
    (block_torch / "torch.py").write_text("raise ImportError('too early')")
    before = {"PYTHONPATH": str(block_torch)}
    for arguments, status, said in (
        (["missing.h5"], 1, "missing.h5: no such file"),
        (["none-*.h5"], 1, "no file matches"),
        (["text.h5"], 1, "not an HDF5 file"),
        (["empty.h5"], 1, "holds no image"),
        ([good, "-o", "text.h5"], 1, "cannot be written"),
        ([good, "-o", "/proc/nowhere"], 1, "cannot be written"),
        ([good, "--resume", "no.pth"], 1, "no such checkpoint"),
        ([good, "-o", ""], 2, "a path is empty"),
        ([good, "--resume", ""], 2, "a path is empty"),
        ([good, "--epochs", "0"], 2, "--epochs"),
        ([good, "--val-fraction", "1"], 2, "--val-fraction"),
        ([good, "--cache", "lots"], 2, "--cache"),
        ([good, "--seed", 2**63], 2, "--seed"),
        ([good, "--seed", "9" * 5000], 2, "--seed"),
        ([good, "--seed", "-1"], 2, "--seed"),
        ([good, "-b", 10**30], 2, "--batch-size"),
        ([good, "--lr", "1e300"], 2, "--lr"),
        ([good, "--wd", "nan"], 2, "--wd"),
        ([good, "--size", "1"], 2, "--size"),
        ([good, "--size", "4097"], 2, "--size"),
    ):
        done = run("train_model.py", *arguments, check=False, env=before)
        assert done.returncode == status, (arguments, done.stderr)
        assert said in done.stderr.splitlines()[-1], (arguments, done.stderr)
        assert status == 2 or len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.rglob("*.pth"))


def test_what_only_torch_can_tell(tmp_path: Path, capsys: pytest.CaptureFixture):
    """Absent devices, checkpoints of something else, settings that contradict one: one clear line."""
    store, other = make_store(tmp_path / "a.h5", 12), make_store(tmp_path / "b.h5", 15)
    out = ("-o", tmp_path / "out", "--epochs", 1)
    status, _, said_at_first = in_this_process(capsys, store, *out)
    assert (status, said_at_first) == (0, [LABELS_LINE])
    weights = (tmp_path / "out/model_weights.pth").read_bytes()
    resume = (*out, "--resume", tmp_path / "out/checkpoint.pth")
    for arguments, said in (
        ([store, *out, "--device", "toaster"], "not a device"),
        ([store, *out, "--device", "cuda:99"], "not on this machine; use one of"),
        ([other, *resume], "made from 11 images with 3 labels"),
        ([store, *resume, "--seed", 7], "--seed 7: the checkpoint was made with 0"),
        ([store, *out, "--resume", store], "torch can load"),
        ([store, *out, "--resume", tmp_path / "out/model_weights.pth"], "no checkpoint"),
        ([store, *out, "--lr", "1e17"], "smaller --lr"),
    ):
        status, _, lines = in_this_process(capsys, *arguments)
        assert status == 1, (arguments, lines)
        assert said in lines[-1]
    assert (tmp_path / "out/model_weights.pth").read_bytes() == weights


def test_the_largest_values_that_are_taken_train(tmp_path: Path, capsys: pytest.CaptureFixture):
    """And go on from a checkpoint: no sum or product of seeds and steps is too large for torch."""
    store = make_store(tmp_path / "train.h5", 7)
    largest = ("--seed", 2**63 - 1, "-b", 2**63 - 1, "--lr", "1e-30", "--wd", "1e18", "--size", 2)
    for resume in ((), ("--resume", tmp_path / "checkpoint.pth")):
        epochs = ("--epochs", 5 if resume else 2)
        status, _, said = in_this_process(capsys, store, "-o", tmp_path, *largest, *epochs, *resume)
        assert status == 0, said
    status, _, said = in_this_process(capsys, store, "-o", tmp_path, "--lr", "1e18", "--wd", "1e18")
    assert (status, len(said)) == (1, 2)
    assert "choose a smaller --lr" in said[-1]


@pytest.mark.parametrize(
    ("place", "odd"),
    [
        ("settings", [1]),
        ("settings", {"size": 32}),
        ("settings/batch_size", 0),
        ("settings/size", 10**9),
        ("settings/lr", "fast"),
        ("settings/seed", 2**70),
        ("labels", None),
        ("images", "many"),
        ("step", -1),
        ("step", None),
        ("score", (1.0, 2)),
        ("score", "abc"),
        ("model", {}),
        ("model/head.5.bias", torch.zeros(4)),
        ("optimizer", {}),
        ("optimizer/state", {}),
        ("optimizer/state/0/exp_avg", torch.zeros(9)),
        ("more", 1),
    ],
)
def test_a_checkpoint_with_anything_odd_in_it(
    tmp_path: Path, place: str, odd: object, capsys: pytest.CaptureFixture
):
    """One line, whatever it is, and nothing is written."""
    store = make_store(tmp_path / "train.h5", 9)
    out = ("-o", tmp_path, "--epochs", 1)
    assert in_this_process(capsys, store, *out)[0] == 0
    checkpoint = part = torch.load(tmp_path / "checkpoint.pth")
    *above, last = (int(name) if name.isdecimal() else name for name in place.split("/"))
    for name in above:
        part = part[name]
    part[last] = odd
    torch.save(checkpoint, tmp_path / "odd.pth")
    weights = (tmp_path / "model_weights.pth").read_bytes()
    status, printed, said = in_this_process(capsys, store, *out, "--resume", tmp_path / "odd.pth")
    assert (status, printed, len(said)) == (1, "", 1)
    assert re.search(
        r"error: \S+odd\.pth: (no checkpoint; train_model|a checkpoint with odd settings)", said[0]
    )
    assert (tmp_path / "model_weights.pth").read_bytes() == weights


LABELS_LINE = "train_model: 11 images to train on, 1 to validate with, 3 labels, on cpu"


def test_a_single_image_is_too_little_to_hold_one_back(tmp_path: Path, capsys: pytest.CaptureFixture):
    """One image trains, with nothing to validate."""
    store = make_store(tmp_path / "one.h5", 1)
    status, _, lines = in_this_process(capsys, store, "-o", tmp_path, "--epochs", 2)
    assert (status, "1 images to train on, 0 to validate" in lines[-1]) == (0, True)
