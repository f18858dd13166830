"""The reader in docs/format.md, which shares no code with this project, reads stores of every kind."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imagestore.store.label_names import group_name
from imagestore.store.labels import find_labels
from imagestore.store.reader import ImageStore
from imagestore.store.writer import StoreWriter
from tests.helpers.archives import pack, write
from tests.helpers.commands import ROOT, Run
from tests.helpers.small_stores import COLOURS, add, picture
from tests.helpers.written_stores import IMAGES, make_record

PAGE = (ROOT / "docs/format.md").read_text()
PROGRAM = re.search(r"^```python\n(# read_store\.py\n.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]
ODD_LABELS = [
    "AC/DC",
    "",
    ".",
    "..",
    "100%",
    "100%25",
    "%empty",
    "a\0b",
    "%2E",
    "café",
    "x" * 300,
    "\udcff raw",
]

Images = list[tuple[str, str, bytes]]  # label, name and bytes of each


@pytest.fixture(scope="module")
def reader() -> dict[str, Callable[[Path], Iterator[tuple[str, str, bytes]]]]:
    """The functions of the page's program."""
    functions: dict = {"__name__": "read_store"}
    exec(compile(PROGRAM, "read_store.py", "exec"), functions)
    return functions


def images_in(path: Path) -> Images:
    """The images of a store, as the commands see them."""
    with ImageStore(path) as store:
        labels = find_labels(store)
        return [
            (labels.name_of(i), store.path_of(i).partition("/")[2], store.read(i)) for i in range(len(store))
        ]


def labelled_archive(path: Path) -> Path:
    """A tar with a folder for each label, and two members with the same base name."""
    members = [(f"{label}/{i}.jpg", picture(COLOURS[label], i)) for i, label in enumerate([*COLOURS] * 4)]
    return write(path, pack([*members, ("red/again/0.jpg", picture(COLOURS["red"], 99))]))


def sort(run: Run, folder: Path) -> list[Path]:
    run("colourHeuristic.py", "sort", labelled_archive(folder / "a.tar"), "sorted.h5", 9, 3, "--seed", 1)
    return [folder / "sorted.h5"]


def partition(run: Run, folder: Path) -> list[Path]:
    options = ("--labels", "folder", "--no-palette")
    run("colourHeuristic.py", "partition", labelled_archive(folder / "a.tar"), "a.h5", "b.h5", 0.5, *options)
    return [folder / "a.h5", folder / "b.h5"]


def merge(run: Run, folder: Path) -> list[Path]:
    run("colourHeuristic.py", "merge", "merged.h5", *partition(run, folder))
    return [folder / "merged.h5"]


def add_again(run: Run, folder: Path) -> list[Path]:
    sort(run, folder)
    return sort(run, folder)


def odd_names(run: Run, folder: Path) -> list[Path]:
    with StoreWriter(folder / "odd.h5") as writer:
        for (label, member), data in IMAGES.items():
            writer.add(make_record(label, member, data), data)
        writer.publish()
    return [folder / "odd.h5"]


def odd_labels(run: Run, folder: Path) -> list[Path]:
    with StoreWriter(folder / "labels.h5") as writer:
        for i, label in enumerate(ODD_LABELS):
            data = b"image %d" % i
            record = make_record("", b"%d.jpg" % i, data)
            writer.add(
                type(record)(**vars(record) | {"label": group_name(label).encode(errors="surrogateescape")}),
                data,
            )
        writer.publish()
    return [folder / "labels.h5"]


IN_TURN = [pytest.param(make, marks=pytest.mark.slow) for make in (add_again, partition, merge)]
WRITTEN_HERE = [sort, odd_names, odd_labels, *IN_TURN]


@pytest.mark.parametrize("make", WRITTEN_HERE)
def test_it_reads_what_is_written_here(reader, run, tmp_path, make):
    for path in make(run, tmp_path):
        images = images_in(path)
        assert [*reader["by_index"](path)] == images
        assert sorted(reader["by_hdf5"](path), key=repr) == sorted(images, key=repr)
        assert len(images) >= 4


def test_it_reads_labels_that_are_escaped(reader, run, tmp_path):
    found = {data: label for label, _, data in reader["by_hdf5"](*odd_labels(run, tmp_path))}
    assert found == {b"image %d" % i: label for i, label in enumerate(ODD_LABELS)}


def test_it_reads_a_packed_folder(reader, run, tmp_path):
    files = {("red", "1.jpg"): b"one", ("red", "deep/er/2.jpg"): b"two", ("blue", "empty"): b""}
    for (label, name), data in files.items():
        (tmp_path / "folder" / label / name).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / "folder" / label / name, data)
    (tmp_path / "folder/red/link.jpg").symlink_to("1.jpg")
    run("h5vfs.py", "pack", tmp_path / "folder", "packed.h5")
    found = sorted(reader["by_hdf5"](tmp_path / "packed.h5"))
    assert found == sorted((label, name, data) for (label, name), data in files.items())


def test_it_reads_stores_of_older_tools(reader, old_store):
    found = sorted(reader["by_hdf5"](old_store))
    assert found == sorted(images_in(old_store)) and len(found) == 36
    assert {label for label, _, _ in found} == {"d._red", "l._blue", "green"}


def test_it_does_not_believe_the_index_of_an_edited_store(reader, run, tmp_path):
    (path,) = sort(run, tmp_path)
    add(path, "red/new.jpg", picture(COLOURS["red"], 100))
    with pytest.raises(AssertionError):
        list(reader["by_index"](path))
    assert sorted(reader["by_hdf5"](path)) == sorted(images_in(path))


@pytest.mark.parametrize("place", [-1, -10, -30, -60, -400, 41])
def test_it_notices_a_damaged_index(reader, run, tmp_path, place):
    (path,) = odd_names(run, tmp_path)
    data = bytearray(path.read_bytes())
    data[place if place > 0 else len(data) + place - 4] ^= 1
    path.write_bytes(data)
    with pytest.raises((AssertionError, OSError, ValueError)):
        list(reader["by_index"](path))


def test_it_is_a_program(run, tmp_path):
    (path,) = odd_labels(run, tmp_path)
    (tmp_path / "read_store.py").write_text(PROGRAM)
    words = [sys.executable, tmp_path / "read_store.py", path]
    encoding = {"PYTHONIOENCODING": "utf-8:surrogateescape"}
    done = subprocess.run(words, capture_output=True, timeout=120, check=True, env=encoding)
    assert len(done.stdout.splitlines()) == len(ODD_LABELS)


def test_it_is_short() -> None:
    lines = [line for line in PROGRAM.splitlines() if line and not line.startswith(("import", "#"))]
    assert len(lines) <= 40
