"""Parts of split files: each says how to join all of them."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from imagestore.console import UserError
from imagestore.sources.open_archive import open_archive
from tests.helpers.archives import noise, pack, photographs, stream, write

DATA = gzip.compress(pack(photographs(3)), mtime=0)
SIZE = len(DATA) // 3 + 1


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        open_archive(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("names", "whole"),
    [
        (["a.tgz.aa", "a.tgz.ab", "a.tgz.ac"], "a.tgz"),
        (["a.tgz.00", "a.tgz.01", "a.tgz.02"], "a.tgz"),
        (["a b.tgz.9", "a b.tgz.10", "a b.tgz.11"], "a b.tgz"),
        (["a.tgz-part1", "a.tgz-part2", "a.tgz-part3"], "a.tgz"),
        (["a.tgz.partaz", "a.tgz.partba", "a.tgz.partbb"], "a.tgz"),
        (["xaa", "xab", "xac"], "x"),
        (["aa", "ab", "ac"], "joined"),
    ],
)
def test_each_part_says_how_to_join_all(tmp_path, monkeypatch, names, whole):
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(names):
        Path(name).write_bytes(DATA[i * SIZE : (i + 1) * SIZE])
    for name in names:
        start, _, command = refusal(Path(name)).partition(" is a part of a file that was split: ")
        assert start == name
        subprocess.run(["bash", "-c", command.removeprefix("join the parts first: ")], check=True)
        assert stream(Path(whole)) == photographs(3)
        Path(whole).unlink()


@pytest.mark.parametrize("names", ["{i:02d}", "part{i}", "{letters}"])
def test_many_parts_are_a_range(tmp_path, monkeypatch, names):
    monkeypatch.chdir(tmp_path)
    Path("a.tgz").write_bytes(b"")  # is not overwritten
    size = len(DATA) // 11 + 1
    for i in range(11):
        Path("a.tgz." + names.format(i=i, letters=f"a{chr(97 + i)}")).write_bytes(
            DATA[i * size : (i + 1) * size]
        )
    command = refusal(min(Path().glob("a.tgz.*"))).partition("join the parts first: ")[2]
    subprocess.run(["bash", "-c", command], check=True)
    assert command.endswith(" > joined-a.tgz")
    assert stream(Path("joined-a.tgz")) == photographs(3)


@pytest.mark.skipif(not shutil.which("zip"), reason="there is no zip")
def test_parts_of_a_split_zip(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = photographs(8)
    for name, data in images:
        write(tmp_path / name.rpartition("/")[2], data)
    subprocess.run("zip -q -s 64k b.zip *.jpg", shell=True, check=True)
    for name in ("b.z01", "b.z02", "b.zip"):
        command = refusal(Path(name)).partition("join the parts first: ")[2]
        subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)
        assert [data for _, data in stream(Path("b-joined.zip"))] == [data for _, data in images]
        Path("b-joined.zip").unlink()


@pytest.mark.parametrize(
    "neighbour", [DATA, pack(photographs(1)), b"PK\3\4" + DATA, b"words of a text\n" * 9]
)
def test_whole_archives_with_numbers_are_no_parts(tmp_path, neighbour):
    write(tmp_path / "shard-01", DATA)
    write(tmp_path / "shard-02", neighbour[: len(DATA)])
    assert stream(tmp_path / "shard-01") == photographs(3)


def test_a_larger_neighbour_is_no_part(tmp_path):
    write(tmp_path / "a.1", DATA)
    write(tmp_path / "a.2", noise(len(DATA) + 1, 4))
    assert stream(tmp_path / "a.1") == photographs(3)
