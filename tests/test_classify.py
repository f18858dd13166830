"""classify.py, run as a user runs it: what it prints for stores and archives, and its errors."""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
from pathlib import Path

import pytest
import torch
from PIL import Image

import classify
from imagestore.console import main
from imagestore.networks.labels_file import save_labels
from tests.helpers.archives import pack
from tests.helpers.commands import Run
from tests.helpers.small_stores import COLOURS, add, make_store, picture
from tests.helpers.weights_files import save_weights

LINE = re.compile(r"^(\S+)  (\S+)  ([\d.]+) %(?:  (right|wrong: \S+))?$", re.MULTILINE)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """The labels file of a network that was not trained: these tests do not need right answers."""
    torch.manual_seed(1)
    save_weights(tmp_path / "model_weights.pth", list(COLOURS), side=16)
    save_labels(list(COLOURS), tmp_path / "labels.json")
    return tmp_path / "labels.json"


def classify_here(capsys: pytest.CaptureFixture, *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a run in the tests' process, which has torch."""
    status = main("classify", classify.build_parser(), classify.classify, list(map(str, arguments)))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_store_knows_the_true_labels(run: Run, labels: Path, tmp_path: Path) -> None:
    """As a command: more images than there are, one that cannot be decoded, and a contact sheet.

    A group without an image is left out.
    """
    store = make_store(tmp_path / "test.h5", 30)
    add(store, "red/text.jpg", b"not an image at all")
    add(store, "purple/new.jpg", Image.new("RGB", (9, 9)).tobytes())
    done = run("classify.py", store, labels, "100", "--plot", "sheet.png")
    lines = LINE.findall(done.stdout)
    assert len(lines) == 30
    for name, label, confidence, verdict in lines:
        true_label = name.split("/")[0]
        assert verdict == ("right" if label == true_label else f"wrong: {true_label}")
        assert 100 / 3 <= float(confidence) + 0.1 <= 100.1
    right = sum(verdict == "right" for *_, verdict in lines)
    assert f"accuracy {100 * right / 30:.1f} % ({right} of 30)" in done.stdout
    assert "left out: purple (no image that can be decoded among 1 dataset)" in done.stderr
    assert "there are only 31 images: taking all of them" in done.stderr
    assert done.stderr.count("skipped") == 1
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        sheet.load()


def test_an_archive_has_true_labels_only_by_the_heuristic(
    sample: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """COUNT members are classified. The same seed chooses the same members, and the index is used again."""
    with_index = (sample, labels, 7, "--seed", 4, "--index", tmp_path / "index")
    status, out, _ = classify_here(capsys, *with_index)
    lines = LINE.findall(out)
    assert (status, len(lines), "accuracy" in out) == (0, 7, False)
    assert all(name.startswith("jpg/image_") and not verdict for name, _, _, verdict in lines)
    assert (tmp_path / "index").exists()
    assert classify_here(capsys, *with_index)[1] == out
    other = classify_here(capsys, sample, labels, 7, "--seed", 5, "--index", tmp_path / "index")[1]
    assert other != out

    judged = classify_here(capsys, *with_index, "--heuristic")[1]
    assert [line[:3] for line in LINE.findall(judged)] == [line[:3] for line in lines]
    assert all(verdict for *_, verdict in LINE.findall(judged))
    assert re.search(r"^accuracy [\d.]+ % \(\d of 7\)$", judged, re.MULTILINE)


def test_a_member_of_any_name_is_one_plain_line(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """A name that is no UTF-8, and one that a terminal would act on. The archive has no suffix."""
    with tarfile.open(tmp_path / "photos", "w:gz") as archive:
        for name in ("jpg/\udcff.jpg", "jpg/\x1b[1m\n.jpg"):
            entry, data = tarfile.TarInfo(name), picture(COLOURS["red"], 1)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    status, out, _ = classify_here(capsys, tmp_path / "photos", labels, 2, "--index", tmp_path / "index")
    assert status == 0
    assert [name for name, *_ in LINE.findall(out)] == [r"jpg/\xff.jpg", r"jpg/\x1b[1m\n.jpg"]


def test_a_label_of_any_name_is_one_plain_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A predicted label, a true label, and a label in a message: a store may come from anywhere."""
    names = ["dark\x1b[1m\nred", "no-utf8-\udcff"]
    save_weights(tmp_path / "model_weights.pth", names, side=16)
    save_labels(names, tmp_path / "labels.json")
    store = make_store(tmp_path / "test.h5", 6, colours=dict.fromkeys(["true\x1b[2m"], (9, 9, 9)))
    add(store, "true\x1b[2m/text\n.jpg", b"not an image at all")
    status, out, err = classify_here(capsys, store, tmp_path / "labels.json", "all")
    assert status == 0
    lines = LINE.findall(out)
    assert len(lines) == 6
    assert {label for _, label, *_ in lines} <= {r"dark\x1b[1m\nred", r"no-utf8-\xff"}
    assert {verdict for *_, verdict in lines} == {r"wrong: true\x1b[2m"}
    assert r"skipped true\x1b[2m/text\n.jpg: " in err
    assert "\x1b" not in out + err


def test_true_labels_that_were_not_trained_on_are_wrong(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    store = make_store(tmp_path / "white.h5", 4, colours={"white": (250, 250, 245)})
    status, out, err = classify_here(capsys, store, labels, "all")
    assert status == 0
    assert "accuracy 0.0 % (0 of 4)" in out
    assert "4 of them have a label that the network was not trained on" in err


def test_bad_input_gets_one_line(
    labels: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    store = make_store(tmp_path / "test.h5", 6)
    (tmp_path / "text.h5").write_text("no store")
    (tmp_path / "no.json").write_text("{")
    (tmp_path / "gaps.json").write_text('{"red": 0, "blue": 2}')
    (tmp_path / "half.json").write_text(r'{"red": 0, "blue": 1, "\ud800": 2}')
    (tmp_path / "two.json").write_text('{"red": 0, "blue": 1}')
    (tmp_path / "order.json").write_text(json.dumps({name: i for i, name in enumerate([*COLOURS][::-1])}))
    (tmp_path / "cut.pth").write_bytes((tmp_path / "model_weights.pth").read_bytes()[:5000])
    torch.save({"layer": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"nearness.weight": Harmful(tmp_path / "harmed")}, tmp_path / "harmful.pth")
    (tmp_path / "apart").mkdir()
    alone = Path(shutil.copy(labels, tmp_path / "apart"))
    (tmp_path / "cut.tgz").write_bytes(sample.read_bytes()[:3000])
    for arguments, message in (
        ([tmp_path / "none.h5", labels, 1], "no such file"),
        ([tmp_path / "text.h5", labels, 1], "not an HDF5 file"),
        ([tmp_path / "cut.tgz", labels, 1, "--index", tmp_path / "i"], "cut.tgz"),
        ([store, tmp_path / "none.json", 1], "no such file; train_model.py writes it"),
        ([store, tmp_path / "no.json", 1], "not JSON"),
        ([store, tmp_path / "gaps.json", 1], "not a labels file; expected"),
        ([store, tmp_path / "half.json", 1], "not a labels file; expected"),
        ([store, tmp_path / "two.json", 1], "the weights are for 3 labels, but the labels file has 2"),
        ([store, tmp_path / "order.json", 1], "trained on other labels"),
        ([store, alone, 1], "give the weights with --weights"),
        ([store, labels, 1, "--weights", tmp_path / "cut.pth"], "not a file that torch can load"),
        ([store, labels, 1, "--weights", tmp_path / "other.pth"], "weights of another network"),
        ([store, labels, 1, "--weights", tmp_path / "list.pth"], "weights of another network"),
        ([store, labels, 1, "--weights", tmp_path / "harmful.pth"], "not a file that torch can load"),
        ([store, labels, 1, "--device", "toaster"], "not a device"),
        ([store, labels, 1, "--plot", tmp_path / "nowhere/sheet.png"], "nowhere"),
        ([store, labels, 1, "--plot", tmp_path], str(tmp_path)),
    ):
        status, out, err = classify_here(capsys, *arguments)
        assert (status, out) == (1, ""), (arguments, err)
        assert len(err.splitlines()) == 1, err
        assert message in err
    assert not (tmp_path / "harmed").exists()


def test_a_cut_archive_is_classified_up_to_the_cut(labels, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    images = [(f"{i}.jpg", picture(COLOURS["red"], i)) for i in range(5)]
    plain = pack(images)
    (tmp_path / "cut.tar").write_bytes(plain[: plain.index(b"3.jpg") + 600])
    for count in (3, 9, "all"):
        status, out, err = classify_here(capsys, tmp_path / "cut.tar", labels, count)
        assert [name for name, *_ in LINE.findall(out)] == ["0.jpg", "1.jpg", "2.jpg"]
        assert status == 1 and "cut.tar ends in the middle of '3.jpg' (images before that: 3)" in err
    (tmp_path / "two.tar").write_bytes(pack(images[:2]) + pack(images[2:]))
    for flags, found in (([], 2), (["--ignore-zeros"], 5)):
        status, out, err = classify_here(capsys, tmp_path / "two.tar", labels, "all", *flags)
        assert (status, len(LINE.findall(out))) == (0, found)
        assert ("3 more images behind its end mark" in err) == (not flags)


class Harmful:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_missing_files_are_told_before_torch_is_imported(run: Run, labels: Path, tmp_path: Path) -> None:
    """torch takes seconds to import."""
    store = make_store(tmp_path / "test.h5", 3)
    (tmp_path / "text.h5").write_text("no store")
    (tmp_path / "no.json").write_text("{")
    (tmp_path / "apart").mkdir()
    labels_without_weights = Path(shutil.copy(labels, tmp_path / "apart"))
    block_torch = tmp_path / "blocked"
    block_torch.mkdir()
    (block_torch / "torch.py").write_text("raise ImportError('too early')")
    for arguments, message in (
        ([tmp_path / "none.h5", labels, 1], "no such file"),
        ([tmp_path / "none-*.h5", labels, 1], "no file matches"),
        ([tmp_path / "none.tgz", labels, 1], "none.tgz"),
        ([tmp_path / "text.h5", labels, 1], "not an HDF5 file"),
        ([store, tmp_path / "none.json", 1], "no such file; train_model.py writes it"),
        ([store, tmp_path / "no.json", 1], "not JSON"),
        ([store, labels_without_weights, 1], "give the weights with --weights"),
        ([store, labels, 1, "--plot", tmp_path / "nowhere/sheet.png"], "nowhere"),
    ):
        in_empty_folder = {"cwd": block_torch, "env": {"PYTHONPATH": str(block_torch)}}
        done = run("classify.py", *arguments, check=False, **in_empty_folder)
        assert done.returncode == 1, (arguments, done.stderr)
        assert len(done.stderr.splitlines()) == 1
        assert message in done.stderr


@pytest.mark.parametrize("flag", ["--weights", "--plot", "--index"])
def test_an_empty_path_is_an_error(flag: str, capsys: pytest.CaptureFixture) -> None:
    """It comes from a shell variable that is not set."""
    for arguments in (["test.h5", "labels.json", 1, flag, ""], ["test.h5", "", 1]):
        with pytest.raises(SystemExit) as ended:
            classify_here(capsys, *arguments)
        assert ended.value.code == 2
        assert "a path is empty" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["0", "-1", "1.5", "some", str(10**30)])
def test_a_count_is_a_positive_number_or_all(count: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        classify_here(capsys, "test.h5", "labels.json", count)
    assert ended.value.code == 2
    assert "COUNT" in capsys.readouterr().err or count == "-1"
