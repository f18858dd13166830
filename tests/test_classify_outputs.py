"""What classify.py prints and writes: each flag, with real stores, as a user runs it."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

import classify
from imagestore.classifying.answers_sheet import RIGHT_COLOUR, WRONG_COLOUR
from imagestore.console import main
from imagestore.networks.labels_file import save_labels
from imagestore.training.metrics_file import COLUMNS, EpochMetrics, MetricsFile
from tests.helpers.commands import ROOT, Run
from tests.helpers.small_stores import COLOURS, add, make_store, picture
from tests.helpers.weights_files import save_old_weights, save_weights

LABELS = list(COLOURS)  # blue, green, red


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The labels file of a network that knows blue, green and red."""
    folder = tmp_path_factory.mktemp("trained")
    make_store(folder / "train.h5", 60)
    command = [sys.executable, ROOT / "train_model.py", folder / "train.h5", "-o", folder, "--epochs", "12"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder / "train_labels.json"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """12 images that are right, and 3 blue ones below red/ that are wrong."""
    path = make_store(tmp_path / "test.h5", 12, first=500)
    for i in range(3):
        add(path, f"red/blue_{i}.jpg", picture(COLOURS["blue"], 900 + i))
    return path


def classify_here(capsys: pytest.CaptureFixture, *arguments: object) -> tuple[int, list[str], list[str]]:
    """Exit status, and the lines of standard output and standard error, of a run in this process."""
    status = main("classify", classify.build_parser(), classify.classify, list(map(str, arguments)))
    captured = capsys.readouterr()
    return status, captured.out.splitlines(), captured.err.splitlines()


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# ----- what is printed -----


def test_accuracy_is_told_balanced_too(trained: Path, store: Path, capsys) -> None:
    """Of 7 images below red/ 4 are right, of the others all: (4/7 + 1 + 1) / 3."""
    status, out, err = classify_here(capsys, store, trained, "all")
    assert (status, len(out), err) == (0, 17, [])
    assert out[-2:] == ["accuracy 80.0 % (12 of 15)", "balanced accuracy 85.7 %"]


def test_top_k_tells_the_likeliest_labels(trained: Path, store: Path, capsys) -> None:
    _, out, _ = classify_here(capsys, store, trained, "all", "--top-k", 2)
    (line,) = (line for line in out if line.startswith("red/blue_0"))
    found = re.fullmatch(r"red/blue_0.jpg  blue  ([\d.]+) %  (green|red)  ([\d.]+) %  wrong: red", line)
    assert float(found[1]) > float(found[3])
    _, out, _ = classify_here(capsys, store, trained, "all", "--top-k", 99)
    assert all(line.count(" %  ") == 3 for line in out[:15])


def test_json_is_all_of_standard_output(trained: Path, store: Path, tmp_path: Path, capsys) -> None:
    flags = (
        "--json",
        "--top-k",
        3,
        "--report",
        "--plot",
        tmp_path / "sheet.png",
        "--csv",
        tmp_path / "a.csv",
    )
    status, out, err = classify_here(capsys, store, trained, "all", *flags)
    answers = [json.loads(line) for line in out]
    assert (status, len(answers)) == (0, 15)
    wrong = [answer for answer in answers if not answer["right"]]
    assert [answer["name"] for answer in wrong] == [f"red/blue_{i}.jpg" for i in range(3)]
    for answer in answers:
        assert answer["true_label"] == answer["name"].split("/")[0]
        assert answer["top"][0] == {"label": answer["label"], "confidence": answer["confidence"]}
        assert sum(guess["confidence"] for guess in answer["top"]) == pytest.approx(1, abs=1e-4)
    assert err[:2] == ["accuracy 80.0 % (12 of 15)", "balanced accuracy 85.7 %"]
    assert err[-2:] == [f"wrote {tmp_path}/a.csv", f"wrote {tmp_path}/sheet.png"]


def test_of_several_stores_each_image_has_its_own(trained: Path, tmp_path: Path, capsys) -> None:
    """Images of two stores may have one name. The table begins as that of one store."""
    stores = [str(make_store(tmp_path / name, 3, first=800)) for name in ("part-1.h5", "part-2.h5")]
    table = tmp_path / "answers.csv"
    flags = ("all", "--csv", table, "--json", "--top-k", 2)
    _, out, _ = classify_here(capsys, tmp_path / "part-*.h5", trained, *flags)
    rows = rows_of(table)
    titles = ["name", "label", "confidence", "true_label", "label_2", "confidence_2", "source"]
    assert [*rows[0]] == titles
    assert [row["source"] for row in rows] == [store for store in stores for _ in range(3)]
    assert [json.loads(line)["source"] for line in out] == [row["source"] for row in rows]
    _, out, _ = classify_here(capsys, stores[0], trained, *flags)
    assert [*rows_of(table)[0]] == titles[:-1]
    assert "source" not in json.loads(out[0])


def test_of_several_archives_each_image_has_its_own(trained: Path, tmp_path: Path, capsys) -> None:
    for shard in ("a", "b"):
        with tarfile.open(tmp_path / f"{shard}.tar", "w") as tar:
            for name in ("blue.jpg", "red.jpg"):
                (tmp_path / name).write_bytes(picture(COLOURS[name[:-4]], 5))
                tar.add(tmp_path / name, name)
    flags = ("all", "--json", "--index", tmp_path / "indexes")
    (tmp_path / "indexes").mkdir()
    _, out, _ = classify_here(capsys, tmp_path / "{a,b}.tar", trained, *flags)
    sources = [(json.loads(line)["source"], json.loads(line)["name"]) for line in out]
    assert sources == [(f"{tmp_path}/{s}.tar", f"{n}.jpg") for s in "ab" for n in ("blue", "red")]


@pytest.mark.parametrize("first", [0, 1])
def test_true_labels_that_are_numbers_get_names(trained: Path, tmp_path: Path, capsys, first: int) -> None:
    """As sort and partition give them: the names count from the smallest number."""
    numbers = {str(first + i): colour for i, colour in enumerate(COLOURS.values())}
    store = make_store(tmp_path / "numbers.h5", 6, first=900, colours=numbers)
    names = tmp_path / "names.txt"
    names.write_text("\n".join(COLOURS))
    status, out, err = classify_here(capsys, store, trained, "all", "--class-names", names)
    assert (status, out[-2:], err) == (0, ["accuracy 100.0 % (6 of 6)", "balanced accuracy 100.0 %"], [])
    names.write_text("rose\ntulip")
    status, out, err = classify_here(capsys, store, trained, "all", "--class-names", names)
    counted = "counted from 0, none is for label 2" if first == 0 else "counted from 1, none is for label 3"
    assert (status, out, len(err)) == (1, [], 1)
    assert err[0].startswith(f"classify: error: --class-names {names}: has 2 names, and {counted};")
    other = make_store(tmp_path / "named.h5", 3)
    _, _, err = classify_here(capsys, other, trained, "all", "--class-names", names)
    assert err == [f"classify: --class-names {names}: names none of the true labels"]


def test_a_report_tells_of_each_label(trained: Path, store: Path, capsys) -> None:
    _, out, _ = classify_here(capsys, store, trained, "all", "--report")
    assert [line.split() for line in out[-4:]] == [
        ["label", "precision", "recall", "images", "predicted"],
        ["blue", "57.1", "%", "100.0", "%", "4", "7"],
        ["green", "100.0", "%", "100.0", "%", "4", "4"],
        ["red", "100.0", "%", "57.1", "%", "7", "4"],
    ]


def test_errors_only_prints_and_draws_only_errors(trained: Path, store: Path, tmp_path: Path, capsys) -> None:
    """The accuracy counts all, and the table has all."""
    sheet, table = tmp_path / "sheet.png", tmp_path / "a.csv"
    flags = ("--errors-only", "--plot", sheet, "--csv", table)
    _, out, _ = classify_here(capsys, store, trained, "all", *flags)
    assert [line.split()[0] for line in out[:3]] == [f"red/blue_{i}.jpg" for i in range(3)]
    assert out[3:5] == ["accuracy 80.0 % (12 of 15)", "balanced accuracy 85.7 %"]
    assert len(rows_of(table)) == 15
    assert has_colours(sheet) == (False, True)
    _, out, _ = classify_here(capsys, store, trained, "all", "--errors-only", "--json")
    assert [json.loads(line)["right"] for line in out] == [False] * 3


def test_without_errors_there_is_nothing_to_draw(trained: Path, tmp_path: Path, capsys) -> None:
    store = make_store(tmp_path / "right.h5", 6, first=700)
    flags = ("--errors-only", "--plot", tmp_path / "sheet.png")
    status, out, err = classify_here(capsys, store, trained, "all", *flags)
    assert (status, out) == (0, ["accuracy 100.0 % (6 of 6)", "balanced accuracy 100.0 %"])
    assert err == [f"classify: nothing to draw: {tmp_path}/sheet.png is not written"]


@pytest.mark.parametrize(("flag", "lines"), [("--errors-only", 0), ("--report", 3)])
def test_what_needs_true_labels_says_so(trained: Path, tmp_path: Path, capsys, flag: str, lines: int) -> None:
    folder = tmp_path / "jpg"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.jpg").write_bytes(picture(COLOURS["red"], i))
    status, out, err = classify_here(capsys, folder, trained, "all", "--index", tmp_path / "index", flag)
    assert (status, len(out)) == (0, lines)
    assert err == [f"classify: {flag} shows nothing, because no true label is known"]


# ----- labels by name -----


def test_labels_are_matched_by_name(trained: Path, tmp_path: Path, capsys) -> None:
    """The store lacks blue, which is the first label of the network."""
    store = make_store(tmp_path / "two.h5", 8, 500, {name: COLOURS[name] for name in ("green", "red")})
    status, out, err = classify_here(capsys, store, trained, "all", "--report")
    assert (status, err) == (0, [])
    assert out[8:10] == ["accuracy 100.0 % (8 of 8)", "balanced accuracy 100.0 %"]
    assert [line.split()[0] for line in out[-3:]] == ["green", "red", "1"]
    assert out[-1] == "1 more label has no image here and was never predicted"


def test_labels_the_network_does_not_know_are_wrong(trained: Path, tmp_path: Path, capsys) -> None:
    """They are counted and named, and the accuracy of the others is told."""
    colours = {"azure": (40, 60, 200), **COLOURS}
    store = make_store(tmp_path / "four.h5", 16, 500, colours)
    status, out, err = classify_here(capsys, store, trained, "all")
    assert status == 0
    assert out[-2:] == ["accuracy 75.0 % (12 of 16)", "balanced accuracy 75.0 %"]
    assert err == [
        "classify: 4 of them have a label that the network was not trained on (azure); "
        "of the others, 100.0 % are right (12 of 12)"
    ]


# ----- files -----


def test_a_table_has_a_row_for_each_image(trained: Path, store: Path, tmp_path: Path, capsys) -> None:
    _, out, _ = classify_here(capsys, store, trained, "all", "--csv", tmp_path / "a.csv", "--top-k", 2)
    rows = rows_of(tmp_path / "a.csv")
    assert list(rows[0]) == ["name", "label", "confidence", "true_label", "label_2", "confidence_2"]
    assert [row["name"] for row in rows] == [line.split()[0] for line in out[:15]]
    assert all(row["true_label"] == row["name"].split("/")[0] for row in rows)
    assert {row["label"] for row in rows if row["name"].startswith("red/blue")} == {"blue"}
    assert all(float(row["confidence"]) >= float(row["confidence_2"]) for row in rows)
    assert out[-1] == f"wrote {tmp_path}/a.csv"


def test_a_table_gives_labels_to_other_commands(run: Run, trained: Path, tmp_path: Path) -> None:
    """Such as `partition --labels`: an archive is labelled by a network."""
    folder = tmp_path / "jpg"
    folder.mkdir()
    for i in range(9):
        (folder / f"{i}.jpg").write_bytes(picture(COLOURS[LABELS[i % 3]], i))
    run("classify.py", folder, trained, "all", "--csv", "answers.csv")
    run("colourHeuristic.py", "partition", folder, "a.h5", "b.h5", "1", "--labels", "answers.csv")
    with h5py.File(tmp_path / "a.h5") as file:
        assert {label: len(file[label]) for label in file} == dict.fromkeys(LABELS, 3)


@pytest.mark.parametrize("with_table", [True, False])
def test_features_are_rows_in_the_order_of_the_table(
    trained: Path, store: Path, tmp_path: Path, capsys, with_table: bool
) -> None:
    """Images that cannot be decoded are in neither."""
    add(store, "green/image_0000.jpg", b"not an image at all")
    table = tmp_path / ("a.csv" if with_table else "f.npy.csv")
    flags = ("--csv", table) if with_table else ()
    status, out, err = classify_here(capsys, store, trained, "all", "--features", tmp_path / "f.npy", *flags)
    features, rows = np.load(tmp_path / "f.npy", mmap_mode="r"), rows_of(table)
    assert (status, features.dtype, len(features), len(rows)) == (0, np.float32, 15, 15)
    assert out[-2:] == [f"wrote {table}", f"wrote {tmp_path}/f.npy"]
    assert len(err) == 1 and "skipped green/image_0000.jpg" in err[0]
    means = {label: features[[row["label"] == label for row in rows]].mean(0) for label in LABELS}
    for row, vector in zip(rows, features, strict=True):
        nearest = min(means, key=lambda label: float(((vector - means[label]) ** 2).sum()))
        assert nearest == row["label"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([table.name, "f.npy", "test.h5"])


def has_colours(path: Path) -> tuple[bool, bool]:
    """Whether a sheet has a frame of the colour of right images, and of wrong ones."""
    with Image.open(path) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    colours = (tuple(bytes.fromhex(colour[1:])) for colour in (RIGHT_COLOUR, WRONG_COLOUR))
    return tuple(bool((pixels == colour).all(2).sum() > 500) for colour in colours)


def test_the_sheet_marks_right_and_wrong(trained: Path, store: Path, tmp_path: Path, capsys) -> None:
    classify_here(capsys, store, trained, "all", "--plot", tmp_path / "sheet.png")
    assert has_colours(tmp_path / "sheet.png") == (True, True)


def test_outputs_that_cannot_be_written_are_refused(
    trained: Path, store: Path, tmp_path: Path, capsys
) -> None:
    same = tmp_path / "one"
    for flags in (("--csv", same, "--features", same), ("--plot", same, "--csv", same)):
        status, out, err = classify_here(capsys, store, trained, "all", *flags)
        assert (status, out) == (1, [])
        assert err == [f"classify: error: {same}: is named for two files; name another"]
    for flag in ("--csv", "--features"):
        status, out, err = classify_here(capsys, store, trained, "all", flag, tmp_path / "no/where")
        assert (status, out, len(err)) == (1, [], 1)
        assert "no folder" in err[0]
    for flag in ("--csv", "--features", "--plot"):
        status, out, err = classify_here(capsys, store, trained, "all", flag, "/proc/result.png")
        assert (status, out, len(err)) == (1, [], 1)
        assert err[0].startswith("classify: error: /proc/result.png: ") and "write elsewhere" in err[0]
    status, out, err = classify_here(capsys, store, trained, "all", "--plot", tmp_path / "sheet.xyz")
    assert (status, out, len(err)) == (1, [], 1)
    assert "pictures are not written as .xyz" in err[0]


def test_no_file_is_left_if_nothing_can_be_decoded(trained: Path, tmp_path: Path, capsys) -> None:
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file["red/a.jpg"] = np.frombuffer(picture(COLOURS["red"], 1)[:300], np.uint8)
    flags = ("--csv", tmp_path / "a.csv", "--features", tmp_path / "f.npy")
    status, out, err = classify_here(capsys, tmp_path / "bad.h5", trained, "all", *flags)
    assert (status, out) == (1, [])
    assert "none of the 1 image could be decoded" in err[-1]
    assert os.listdir(tmp_path) == ["bad.h5"]


@pytest.mark.slow
def test_a_stopped_run_leaves_no_half_table(trained: Path, tmp_path: Path) -> None:
    data = [np.frombuffer(picture(colour, 1, (400, 300)), np.uint8) for colour in COLOURS.values()]
    with h5py.File(tmp_path / "test.h5", "w") as file:
        for i in range(9000):
            file[f"{LABELS[i % 3]}/{i}.jpg"] = data[i % 3]
    command = [sys.executable, ROOT / "classify.py", "test.h5", trained, "all", "-j", "1"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
    with subprocess.Popen([*command, "--csv", "a.csv", "--features", "f.npy"], **options) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 143
    assert "classify: stopped before the last image; not written: a.csv and f.npy" in err
    assert "wrote" not in out
    assert os.listdir(tmp_path) == ["test.h5"]


# ----- the network and the machine -----


def test_no_worker_decodes_in_the_process_itself(trained: Path, store: Path, capsys) -> None:
    expected = classify_here(capsys, store, trained, "all", "-j", 2)
    assert classify_here(capsys, store, trained, "all", "-j", 0) == expected


def test_weights_of_earlier_versions_still_work(store: Path, tmp_path: Path, capsys) -> None:
    torch.manual_seed(3)
    save_old_weights(tmp_path / "model_weights.pth", LABELS, side=16)
    save_labels(LABELS, tmp_path / "labels.json")
    flags = ("--top-k", 2, "--features", tmp_path / "f.npy")
    status, _, err = classify_here(capsys, store, tmp_path / "labels.json", "all", *flags)
    assert (status, err) == (0, [])
    assert len(np.load(tmp_path / "f.npy")) == 15


@pytest.mark.parametrize("model", ["mlp", "small", "resnet18"])
def test_a_network_of_any_model_needs_no_flag(model: str, store: Path, tmp_path: Path, capsys) -> None:
    torch.manual_seed(3)
    save_weights(tmp_path / "model_weights.pth", LABELS, 32, model)
    save_labels(LABELS, tmp_path / "labels.json")
    status, out, err = classify_here(
        capsys, store, tmp_path / "labels.json", "all", "--features", tmp_path / "f.npy"
    )
    assert (status, err) == (0, [])
    assert out[-1] == f"wrote {tmp_path}/f.npy"
    assert np.load(tmp_path / "f.npy").shape[0] == 15


# ----- docs/training.md -----


def test_the_python_of_the_docs_runs(trained: Path, store: Path, tmp_path: Path, capsys) -> None:
    """On what a training and classify.py write."""
    classify_here(capsys, store, trained, "all", "--features", tmp_path / "features.npy")
    metrics = MetricsFile(tmp_path / "metrics.csv")
    for epoch, accuracy in ((1, 0.5), (2, 0.75), (3, 0.25)):
        figures = dict.fromkeys(COLUMNS, 0.5) | {"epoch": epoch, "val_accuracy": accuracy}
        metrics.add(EpochMetrics(**figures))
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/training.md").read_text(), re.M | re.S)
    options = {"capture_output": True, "text": True, "timeout": 60, "cwd": tmp_path, "check": True}
    outputs = [
        subprocess.run([sys.executable, "-c", block], **options).stdout
        for block in blocks
        if "metrics.csv" in block or "features.npy" in block
    ]
    assert outputs[0] == "best epoch: 2\n"
    assert re.fullmatch(r"most like blue/\S+ are \['(blue/|red/blue)\S+', '\S+', '\S+'\]\n", outputs[1])
