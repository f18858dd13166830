"""`h5vfs.py attrs` as a user runs it: attributes of every kind and length."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.helpers.commands import Run
from tests.helpers.odd_stores import make_indexed

LONG = "x" * 100_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with attributes at every kind of object."""
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        file["red/1.jpg"] = np.arange(9, dtype=np.uint8)
        file["table"] = np.arange(4.0)
        file["link"] = h5py.SoftLink("/red/1.jpg")
        file["again/red"] = file["red"]
        file.attrs["title"] = "Blümen\x1b[2J\nzwei"
        file.attrs["bytes"] = np.bytes_(b"\xff")
        file["red"].attrs["model_config"] = LONG
        file["red/1.jpg"].attrs.update({"long": LONG[:70_000], "short": "5", "number": 5, "half": 0.5})
        file["table"].attrs["array"] = np.arange(30_000)
        file["table"].attrs["point"] = np.array((1, b"a"), [("x", "i4"), ("name", "S2")])
    return tmp_path / "a.h5"


def lines(run: Run, *arguments: object) -> list[str]:
    """The lines that `attrs` prints."""
    return run("h5vfs.py", "attrs", *arguments).stdout.splitlines()


def test_attributes_of_the_root_are_printable_lines(run, path):
    assert lines(run, path) == ["bytes = \\xff", "title = Blümen\\x1b[2J\\nzwei"]


def test_attributes_of_any_length_are_printed(run, path):
    assert lines(run, path, "red") == lines(run, path, "/again/red") == [f"model_config = {LONG}"]
    expected = ["half = 0.5", f"long = {LONG[:70_000]}", "number = 5", "short = 5"]
    assert lines(run, path, "red/1.jpg") == lines(run, path, "link") == expected


def test_attributes_as_one_json_object(run, path):
    assert json.loads(run("h5vfs.py", "attrs", path, "red/1.jpg", "--json").stdout) == {
        "half": 0.5, "long": LONG[:70_000], "number": 5, "short": "5",
    }  # fmt: skip
    found = json.loads(run("h5vfs.py", "attrs", "--json", path, "table.npy").stdout)
    assert found == {"array": list(range(30_000)), "point": {"x": 1, "name": "a"}}
    title = json.loads(run("h5vfs.py", "attrs", "--json", path).stdout)["title"]
    assert title == "Blümen\x1b[2J\nzwei"
    assert json.loads(run("h5vfs.py", "attrs", "--json", path, "again").stdout) == {}


def test_a_store_with_an_index_has_attributes_too(run, tmp_path):
    make_indexed(tmp_path / "store.h5", 3)
    assert "member = jpg/image_0000.jpg" in lines(run, tmp_path / "store.h5", "label0/image_0000.jpg")


def test_an_attribute_that_cannot_be_read_is_named(run, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["good"] = 1
        time = h5py.h5t.UNIX_D32LE
        h5py.h5a.create(file.id, b"odd", time, h5py.h5s.create(h5py.h5s.SCALAR))
    done = run("h5vfs.py", "attrs", tmp_path / "a.h5", check=False)
    assert (done.returncode, done.stdout) == (1, "good = 1\n")
    assert done.stderr.startswith("h5vfs: odd: cannot be read (")


@pytest.mark.parametrize("name", ["none", "red/none", "red/1.jpg/none"])
def test_a_path_that_leads_nowhere_is_one_line(run, path, name):
    done = run("h5vfs.py", "attrs", path, name, check=False)
    assert (done.returncode, done.stdout) == (1, "") and "no such file" in done.stderr
