"""A file that is given as a store and is none: what it is, and the command that makes stores of it."""

from __future__ import annotations

import gzip
import io
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from imagestore.console import UserError
from imagestore.sources.no_store import check_are_stores, check_is_hdf5
from tests.helpers.archives import noise, pack, write
from tests.helpers.array_files import write_datasets
from tests.helpers.commands import Run
from tests.helpers.small_stores import picture

IMAGES = {f"{label}/{i}.jpg": picture((200, 9 * i, 30), i) for i, label in enumerate("abcabc")}
COMMANDS = [
    ["colourHeuristic.py", "summary", "SOURCE"],
    ["colourHeuristic.py", "merge", "new.h5", "SOURCE"],
    ["h5vfs.py", "verify", "SOURCE"],
    ["h5vfs.py", "ls", "SOURCE"],
    ["h5vfs.py", "attrs", "SOURCE"],
    ["h5vfs.py", "mv", "SOURCE", "1.jpg", "a/"],
    ["h5vfs.py", "rm", "SOURCE", "1.jpg", "--dry-run"],
    ["h5vfs.py", "unpack", "SOURCE", "new"],
    ["h5vfs.py", "unpack", "SOURCE", "new", "--format", "imagefolder"],
    ["h5vfs.py", "SOURCE", "mnt"],
    ["train_model.py", "SOURCE"],
]


def zip_file() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, data in IMAGES.items():
            packed.writestr(name, data)
    return buffer.getvalue()


def parquet_file() -> bytes:
    buffer = io.BytesIO()
    rows = [{"image": data, "label": name[0]} for name, data in IMAGES.items()]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def command_in(message: str) -> str:
    assert " is no store; this makes stores of the images in it: " in message
    return message.strip().partition(" images in it: ")[2]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_every_command_says_how_to_make_a_store(run: Run, tmp_path: Path, command: list[str]) -> None:
    write(tmp_path / "a.zip", zip_file())
    (tmp_path / "mnt").mkdir()
    done = run(*(word.replace("SOURCE", "a.zip") for word in command), check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert command_in(done.stderr).endswith("colourHeuristic.py partition a.zip train.h5 test.h5 0.8")
    assert {path.name for path in tmp_path.iterdir()} == {"a.zip", "mnt"}


@pytest.mark.parametrize(
    ("name", "data", "labels"),
    [
        ("a.tgz", gzip.compress(pack(IMAGES.items()), mtime=0), False),
        ("wrongly named.h5", zip_file(), False),
        ("a.parquet", parquet_file(), True),
    ],
)
def test_the_command_makes_stores(tmp_path: Path, monkeypatch, name: str, data: bytes, labels: bool) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        check_is_hdf5(write(Path(name), data))
    command = command_in(str(caught.value))
    assert command.endswith(" --labels source") == labels
    subprocess.run(["bash", "-c", command], check=True, timeout=120)
    check_are_stores(["train.h5", "test.h5"])


def test_arrays_of_pixels_are_no_store_but_files_of_a_mount(tmp_path: Path) -> None:
    datasets = {"images": np.zeros((9, 8, 8, 3), np.uint8), "labels": (np.arange(9) % 3).astype(np.uint8)}
    path = write_datasets(tmp_path / "a.h5", **datasets)
    check_is_hdf5(path)
    with pytest.raises(UserError) as caught:
        check_are_stores([path])
    assert command_in(str(caught.value)).endswith("train.h5 test.h5 0.8 --labels source")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", "a git-lfs pointer: git lfs pull"),
        (b"<!DOCTYPE html>\n<html>", "an HTML page: "),
        (b"name,label\n1.jpg, rose\n", "a text file ('name,label 1.jpg, rose')"),
        (picture((200, 0, 0), 1), "one image: "),
        (
            gzip.compress(b"\x89HDF\r\n\x1a\n" + bytes(99), mtime=0),
            "its content is an HDF5 file: decompress it first",
        ),
    ],
)
@pytest.mark.parametrize("check", [check_is_hdf5, lambda path: check_are_stores([path])])
def test_other_files_are_called_by_their_names(tmp_path: Path, check, data: bytes, words: str) -> None:
    path = write(tmp_path / "a.h5", data)
    with pytest.raises(UserError) as caught:
        check(path)
    assert str(caught.value).startswith(f"{path}: not an HDF5 file: it is ") and words in str(caught.value)


def test_what_is_not_known_is_left_to_whoever_opens_it(tmp_path: Path) -> None:
    check_are_stores([write(tmp_path / "a.h5", noise(3000, 1)), tmp_path / "missing.h5"])
