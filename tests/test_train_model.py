"""train_model.py, run as a user runs it: what it writes, and its errors."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
import torch

import train_model
from imagestore import progress
from imagestore.loading import pixel_processes
from imagestore.training.command_line import requested_settings
from imagestore.training.training_settings import BOUNDS, TrainingSettings
from tests.helpers.commands import ROOT, Run
from tests.helpers.small_stores import COLOURS, add, make_store, picture
from tests.helpers.training_runs import have_equal_weights, train_here, train_until_check

EPOCH = re.compile(
    r"epoch \d+/\d+  loss [\d.]+  accuracy [\d.]+ %  val loss [\d.]+  accuracy [\d.]+ %  "
    r"[\d.]+ s  \(waiting [\d.]+ s, computing [\d.]+ s, [\d,]+ images/s\)"
)


# ----- results -----


@pytest.mark.slow
def test_train_and_classify_unseen_images(run: Run, tmp_path: Path):
    """Two stores, the second with other labels, make a network that is right about unseen images."""
    make_store(tmp_path / "part-1.h5", 60)
    make_store(tmp_path / "part-2.h5", 30, first=60, colours={"white": (250, 250, 245)})
    result = run("train_model.py", "part-*.h5", "-o", "out", "--epochs", "15", "--val-fraction", "0.2")
    assert len(EPOCH.findall(result.stdout)) == 15
    labels = json.loads((tmp_path / "out/part-1_labels.json").read_text())
    assert labels == {"blue": 0, "green": 1, "red": 2, "white": 3}
    weights = torch.load(tmp_path / "out/model_weights.pth", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in weights["state_dict"].values())
    assert not list(tmp_path.glob("out/.*"))

    make_store(tmp_path / "test.h5", 45, first=500)
    result = run("classify.py", "test.h5", "out/part-1_labels.json", "all")
    right = len(re.findall(r"^.* right$", result.stdout, re.MULTILINE))
    assert right >= 43
    assert f"({right} of 45)" in result.stdout


@pytest.mark.slow
def test_older_stores_and_broken_images(tmp_path: Path, old_store: Path, capsys: pytest.CaptureFixture):
    """Every layout is read. Images that cannot be decoded are named."""
    broken = make_store(tmp_path / "broken.h5", 9)
    add(broken, "red/text.jpg", b"not an image at all")
    add(broken, "d._red/half.jpg", picture(COLOURS["red"], 1)[:700])
    options = ("-o", tmp_path / "out", "--epochs", "2", "--val-fraction", "0", "--batch-size", "5")
    status, _, messages = train_here(capsys, old_store, broken, *options)
    assert status == 0
    assert "45 images to train on, 0 to validate with, 5 labels" in messages[-1]
    assert "left out: d._red (no image that can be decoded among 1 dataset)" in messages[0]
    skipped = [line.split(": ")[1] for line in messages if "skipped" in line]
    assert skipped == ["skipped red/text.jpg"]
    labels = json.loads((tmp_path / "out/old_labels.json").read_text())
    assert list(labels) == ["blue", "d._red", "green", "l._blue", "red"]

    streamed = train_here(capsys, old_store, broken, *options, "--cache", "0", "-j", "2")
    assert sum("skipped red/text.jpg" in line for line in streamed[2]) == 1  # not in each epoch


@pytest.mark.slow
def test_memory_and_streaming_give_the_same_weights(tmp_path: Path, capsys: pytest.CaptureFixture):
    """Also if images cannot be decoded, and if a run from memory is stopped and then resumed as a stream."""
    store = make_store(tmp_path / "train.h5", 24)
    for i in range(4):
        add(store, f"{[*COLOURS][i % 3]}/text_{i}.jpg", b"not an image at all %d" % i)
    memory, stream = ("--cache", "1G"), ("--cache", "0")

    def train(folder: str, *options: object) -> None:
        output = ("-o", tmp_path / folder, "--batch-size", 3, "-j", 1)
        status, _, messages = train_here(capsys, store, *output, *options)
        assert status == 0, messages

    train("memory", "--epochs", 4, *memory)
    train("stream", "--epochs", 4, *stream)
    stopped = tmp_path / "stopped"
    assert train_until_check(store, stopped, 13, "--epochs", 4, "--batch-size", 3, *memory) == 143
    train("stopped", "--epochs", 4, *stream, "--resume", stopped / "checkpoint.pth")
    assert have_equal_weights(tmp_path / "memory", tmp_path / "stream")
    assert have_equal_weights(tmp_path / "memory", stopped)


@pytest.mark.parametrize("batches_of_a_step", [1, 4])
def test_processes_change_no_weight(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, batches_of_a_step: int
):
    """They lend the pixels of one batch at a time: a step of several batches needs copies."""
    monkeypatch.setattr(pixel_processes, "FEWEST_IMAGES", 1)  # that are worth processes
    store = make_store(tmp_path / "train.h5", 60)
    options = ("--epochs", 2, "-b", 2, "--grad-accum", batches_of_a_step, "--cache", "none")
    for workers in (0, 2):
        output = tmp_path / f"by-{workers}"
        status, _, messages = train_here(capsys, store, "-o", output, "-j", workers, *options)
        assert status == 0, messages
    assert have_equal_weights(tmp_path / "by-0", tmp_path / "by-2")


def test_an_epoch_shows_its_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """Steps are counted on standard error. Standard output has only the lines of the epochs."""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LOG_LINES", 0)
    store = make_store(tmp_path / "train.h5", 20)
    status, out, messages = train_here(capsys, store, "-o", tmp_path, "--epochs", 2, "--batch-size", 6)
    assert (status, len(EPOCH.findall(out))) == (0, 2)
    steps = [line.rsplit(",", 2)[0] for line in messages if line.startswith("epoch")]
    assert steps == [f"epoch {epoch}/2: {step} of 3 steps" for epoch in (1, 2) for step in (1, 2, 3)]


def test_a_single_image_trains_without_validation(tmp_path: Path, capsys: pytest.CaptureFixture):
    store = make_store(tmp_path / "one.h5", 1)
    status, _, messages = train_here(capsys, store, "-o", tmp_path, "--epochs", 2)
    told = any("1 image to train on, 0 to validate" in line for line in messages)
    assert (status, told) == (0, True)


@pytest.mark.slow
def test_training_goes_on_if_nobody_reads_its_output(tmp_path: Path):
    """`train_model.py … | head -1` trains all epochs, and writes the same weights."""
    store = make_store(tmp_path / "train.h5", 90)
    options = ("--epochs", 9, "--batch-size", 8, "-j", 1)
    command = shlex.join(map(str, [sys.executable, ROOT / "train_model.py", store, *options]))
    pipe = f"set -o pipefail; {command} -o piped | head -1; {command} -o whole >/dev/null"
    done = subprocess.run(["bash", "-c", pipe], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert have_equal_weights(tmp_path / "piped", tmp_path / "whole")


# ----- errors -----


@pytest.mark.parametrize("cache", ["0", "1G"])
def test_no_decodable_image_is_a_one_line_error(tmp_path: Path, cache: str, capsys: pytest.CaptureFixture):
    """No weights are written, because they would have learned nothing."""
    store = tmp_path / "text.h5"
    for i in range(5):
        add(store, f"red/text_{i}.jpg", b"not an image at all %d" % i)
    status, out, messages = train_here(capsys, store, "-o", tmp_path, "--cache", cache, "-j", 1)
    assert (status, out) == (1, "")
    assert re.match(r"train_model: error: .*no image that can be decoded", messages[-1])
    assert not list(tmp_path.glob("*.pth"))


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_the_old_weights(tmp_path: Path):
    """A limit on the size of files stands for the full disk."""
    store = make_store(tmp_path / "train.h5", 6)
    (tmp_path / "model_weights.pth").write_text("good")
    command = shlex.join(map(str, [sys.executable, ROOT / "train_model.py", store, "--epochs", 1]))
    limited = ["bash", "-c", f"ulimit -f 8; {command}"]
    done = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1:] == ["train_model: error: File too large"]
    assert (tmp_path / "model_weights.pth").read_text() == "good"
    assert not (tmp_path / "checkpoint.pth").exists()


def test_bad_input_gets_one_line_before_torch_is_imported(run: Run, tmp_path: Path):
    """Exit status 1 with one line, or 2 from argparse. Nothing is written."""
    good = make_store(tmp_path / "good.h5", 6)
    (tmp_path / "text.h5").write_text("no store")
    h5py.File(tmp_path / "empty.h5", "w").close()
    block_torch = tmp_path / "blocked"
    block_torch.mkdir()
    (block_torch / "torch.py").write_text("raise ImportError('too early')")
    before = {"PYTHONPATH": str(block_torch)}
    for arguments, status, message in (
        (["missing.h5"], 1, "missing.h5: no such file"),
        (["none-*.h5"], 1, "no file matches"),
        (["text.h5"], 1, "not an HDF5 file"),
        (["empty.h5"], 1, "holds no image"),
        ([good, "-o", "text.h5"], 1, "cannot be written"),
        ([good, "-o", "/proc/nowhere"], 1, "cannot be written"),
        ([good, "--resume", "no.pth"], 1, "no such checkpoint"),
        ([good, "--freeze"], 1, "the layers that are not trained stay random: give --weights"),
        ([good, "--unfreeze-after", "3"], 1, "nothing is frozen: give --freeze"),
        (
            [good, "--freeze", "--weights", "w.pth", "--unfreeze-after", "3", "--epochs", "3"],
            1,
            "--epochs 3 leaves no epoch after it",
        ),
        ([good, "-o", ""], 2, "a path is empty"),
        ([good, "--weights", ""], 2, "a path is empty"),
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
        assert message in done.stderr.splitlines()[-1], (arguments, done.stderr)
        assert status == 2 or len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.rglob("*.pth"))


LABELS_LINE = "train_model: 11 images to train on, 1 to validate with, 3 labels, on cpu"


def test_errors_that_need_torch_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture):
    """Missing devices, checkpoints of something else, settings that contradict a checkpoint."""
    store, other = make_store(tmp_path / "a.h5", 12), make_store(tmp_path / "b.h5", 15)
    output = ("-o", tmp_path / "out", "--epochs", 1)
    status, _, first_messages = train_here(capsys, store, *output)
    assert (status, first_messages[-1]) == (0, LABELS_LINE)
    weights = (tmp_path / "out/model_weights.pth").read_bytes()
    resume = (*output, "--resume", tmp_path / "out/checkpoint.pth")
    for arguments, message in (
        ([store, *output, "--device", "toaster"], "not a device"),
        ([store, *output, "--device", "cuda:99"], "not on this machine; use one of"),
        ([other, *resume], "made from 11 images with 3 labels"),
        ([store, *resume, "--seed", 7], "--seed 7: the checkpoint was made with 0"),
        ([store, *output, "--resume", store], "torch can load"),
        ([store, *output, "--resume", tmp_path / "out/model_weights.pth"], "not a checkpoint"),
        ([store, *output, "--lr", "1e17"], "smaller --lr"),
    ):
        status, _, messages = train_here(capsys, *arguments)
        assert status == 1, (arguments, messages)
        assert message in messages[-1]
    assert (tmp_path / "out/model_weights.pth").read_bytes() == weights


# ----- settings and checkpoints -----


@pytest.mark.parametrize("name", BOUNDS)
def test_the_command_line_takes_what_a_checkpoint_takes(name: str):
    """The smallest and the largest value of each setting, and no value beyond them."""
    flag = "--" + name.replace("_", "-")
    parser = train_model.build_parser()
    for value in BOUNDS[name]:
        requested = requested_settings(parser.parse_args(["a.h5", flag, repr(value)]))
        assert requested == {name: value}
        assert TrainingSettings(**requested)
    low, high = BOUNDS[name]
    for value in (low - 1, 2 * high + 1):
        with pytest.raises(SystemExit):
            parser.parse_args(["a.h5", flag, repr(value)])


def test_the_largest_settings_train(tmp_path: Path, capsys: pytest.CaptureFixture):
    """And resume from a checkpoint: no sum or product of seeds and steps is too large for torch."""
    store = make_store(tmp_path / "train.h5", 7)
    largest = ("--seed", 2**63 - 1, "-b", 2**63 - 1, "--lr", "1e-30", "--wd", "1e18", "--size", 2)
    for resume in ((), ("--resume", tmp_path / "checkpoint.pth")):
        epochs = ("--epochs", 5 if resume else 2)
        status, _, messages = train_here(capsys, store, "-o", tmp_path, *largest, *epochs, *resume)
        assert status == 0, messages
    status, _, messages = train_here(capsys, store, "-o", tmp_path, "--lr", "1e18", "--wd", "1e18")
    assert (status, "choose a smaller --lr" in messages[-1]) == (1, True)


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
def test_an_odd_checkpoint_is_a_one_line_error(
    tmp_path: Path, place: str, odd: object, capsys: pytest.CaptureFixture
):
    """Nothing is written."""
    store = make_store(tmp_path / "train.h5", 9)
    output = ("-o", tmp_path, "--epochs", 1)
    assert train_here(capsys, store, *output)[0] == 0
    checkpoint = parent = torch.load(tmp_path / "checkpoint.pth")
    *above, last = (int(name) if name.isdecimal() else name for name in place.split("/"))
    for name in above:
        parent = parent[name]
    parent[last] = odd
    torch.save(checkpoint, tmp_path / "odd.pth")
    weights = (tmp_path / "model_weights.pth").read_bytes()
    status, out, messages = train_here(capsys, store, *output, "--resume", tmp_path / "odd.pth")
    assert (status, out) == (1, "")
    assert re.search(
        r"error: \S+odd\.pth: (not a checkpoint; train_model|a checkpoint with settings that are not valid)",
        messages[-1],
    )
    assert (tmp_path / "model_weights.pth").read_bytes() == weights
