"""Parts of split files: each says how to join all of them."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from imagestore.archive.protocol import DamagedArchive
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


# The second is in six parts of 64 KiB: `zip -s 0` of Info-ZIP 3.0 would damage it.
MEMBERS = {"a.jpg": noise(9000, 1), "b.jpg": noise(325_000, 2), "c.jpg": noise(70_000, 3)}


@pytest.fixture
def split_zip(tmp_path, monkeypatch, request):
    """b.z01, b.z02 … and b.zip, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name, data in MEMBERS.items():
        write(tmp_path / name, data)
    options = getattr(request, "param", "-s 64k")
    subprocess.run(f"zip -q {options} b.zip *.jpg", shell=True, check=True)


@pytest.mark.skipif(not shutil.which("zip"), reason="there is no zip")
@pytest.mark.parametrize(
    "split_zip",
    ["-s 64k", "-0 -s 65k", "-s 64k -fz", "-0 -s 250k", "-s 64k -z < a.jpg"],
    ids=["deflated", "stored", "zip64", "two parts", "a comment"],
    indirect=True,
)
def test_parts_of_a_split_zip(split_zip):
    for path in (min(Path().glob("b.z*")), Path("b.zip")):
        command = refusal(path).partition(
            f"{path} is a part of a file that was split: join the parts first: "
        )[2]
        assert command.startswith("cat ")
        subprocess.run(command, shell=True, check=True)
        with open_archive(Path("b-joined.zip")) as archive:
            assert {member.name: data for member, data in archive.stream()} == MEMBERS
            assert {member.name: archive.read(member) for member in archive.members()} == MEMBERS
        Path("b-joined.zip").unlink()


@pytest.mark.skipif(not shutil.which("zip"), reason="there is no zip")
def test_parts_in_capital_letters_and_with_blanks(split_zip):
    for path in list(Path().glob("b.z*")):
        path.rename(f"my {path.name}".upper())
    command = refusal(Path("MY B.Z01")).partition("join the parts first: ")[2]
    subprocess.run(command, shell=True, check=True)
    assert dict(stream(Path("MY B-joined.zip"))) == MEMBERS


@pytest.mark.skipif(not shutil.which("zip"), reason="there is no zip")
def test_missing_parts_of_a_zip_are_named(split_zip):
    Path("b.z02").unlink()
    assert "copy b.z02 here too, and then cat b.z[0-9][0-9] b.zip > b-joined.zip" in refusal(Path("b.zip"))
    subprocess.run("cat b.z[0-9][0-9] b.zip > joined.zip", shell=True, check=True)
    found = {}
    with open_archive(Path("joined.zip")) as archive:
        assert "the parts are not joined, or not all" in str(archive.damage)
        with pytest.raises(DamagedArchive, match=r"1 member: b\.jpg"):
            found.update((member.name, data) for member, data in archive.stream())
    assert found == {"a.jpg": MEMBERS["a.jpg"]}
    last = Path("b.zip").read_bytes()
    Path("b.zip").unlink()
    assert "copy b.z02, b.zip here too" in refusal(Path("b.z01"))
    Path("c.zip").write_bytes(last)
    assert "copy the others (.z01 and so on) here too" in refusal(Path("c.zip"))


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
