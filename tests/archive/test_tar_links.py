"""Links of a tar to images that are passed over under their own names: in DVC's and git-annex's folders."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestore.console import UserError
from imagestore.sources.open_archive import open_archive
from tests.helpers.archives import (
    COMPRESSIONS_TO_SCAN,
    MTIME,
    PACKERS,
    Image,
    assert_reads,
    noise,
    pack,
    stream,
    stream_until_error,
    tar_entry,
    write,
)
from tests.helpers.commands import Run, without_summary
from tests.helpers.small_stores import picture
from tests.helpers.stored_images import stored_images

JPEG = b"\xff\xd8\xff\xe0"  # a JPEG begins so


def hard(name: str, target: str) -> tarfile.TarInfo:
    return tar_entry(name, tarfile.LNKTYPE, target)


def soft(name: str, target: str) -> tarfile.TarInfo:
    return tar_entry(name, tarfile.SYMTYPE, target)


def read(path: Path) -> tuple[list[Image], Counter[str]]:
    """Return all images of an archive and what was passed over; its index says the same afterwards."""
    with open_archive(path) as archive:
        images = [(member.name, data) for member, data in archive.stream()]
        skipped = +archive.skipped
    assert_reads(path, images)
    with open_archive(path) as again:
        assert [(member.name, data) for member, data in again.stream()] == images
        assert +again.skipped == skipped
    return images, skipped


# ----- the folders of DVC and git-annex, packed by tar -----


@pytest.mark.parametrize("compression", ["", "--gzip", "--bzip2", "--xz"])
@pytest.mark.parametrize("kind", ["hard", "relative", "absolute"])
def test_a_cache_packed_with_its_links(run: Run, tmp_path: Path, kind: str, compression: str) -> None:
    """DVC makes hard or absolute symbolic links, git-annex relative ones."""
    cache, photos = tmp_path / "repository/.cache/ab", tmp_path / "repository/photos"
    cache.mkdir(parents=True)
    photos.mkdir()
    expected = {}
    for i in range(4):
        file, link = cache / f"{i:030x}", photos / f"p{i}.jpg"
        file.write_bytes(picture((200, 40, 50), i))
        expected[f"./photos/p{i}.jpg"] = file.read_bytes()
        if kind == "hard":
            os.link(file, link)
        else:
            link.symlink_to(file if kind == "absolute" else Path("..", ".cache", "ab", file.name))
    command = ["tar", "--sort=name", "-C", tmp_path / "repository", *compression.split(), "-cf", "a.tar", "."]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    done = run("colourHeuristic.py", "partition", "a.tar", "a.h5", "b.h5", 0.5)
    assert stored_images(tmp_path / "a.h5", tmp_path / "b.h5") == expected
    assert without_summary(done.stderr) == ""
    run("colourHeuristic.py", "sort", "a.tar", "c.h5", 2, 1)
    assert stored_images(tmp_path / "c.h5").items() <= expected.items()
    assert "./photos/p3.jpg: red" in run("colourHeuristic.py", "identify", "a.tar", "./photos/p3.jpg").stdout


@pytest.mark.parametrize("compression", COMPRESSIONS_TO_SCAN)
def test_links_come_behind_the_other_images(tmp_path: Path, compression: str) -> None:
    entries = [
        (".cache/b", JPEG + b"second"),
        soft("0.jpg", "late/.hidden"),
        (".cache/a", noise(300_000, 1)),
        hard("1.jpg", ".cache/a"),
        ("plain.jpg", b"plain"),
        hard("2", ".cache/b"),
        ("late/.hidden", b"third"),
    ]
    images, skipped = read(write(tmp_path / "a", pack(entries, compression)))
    assert images == [
        ("plain.jpg", b"plain"), ("2", JPEG + b"second"), ("1.jpg", noise(300_000, 1)), ("0.jpg", b"third"),
    ]  # fmt: skip
    assert skipped == {}


# ----- which links are images -----


@pytest.mark.parametrize(
    ("entries", "names", "skipped"),
    [
        ([(".a", b"1"), hard("b.jpg", ".a"), hard("c.jpg", "b.jpg")], ["b.jpg"], {"links": 1}),
        ([(".a", b"1"), soft("b.jpg", ".a"), soft("c.jpg", "b.jpg")], ["b.jpg"], {"links": 1}),
        ([(".a", b"1"), soft(".b", ".a"), hard("c.jpg", ".b")], ["c.jpg"], {"links": 1}),
        ([("a.jpg", b"1"), hard("b.jpg", "a.jpg"), soft("c.jpg", "a.jpg")], ["a.jpg"], {"links": 2}),
        ([("a", b"1"), hard("b.jpg", "a")], ["b.jpg"], {}),
        ([("a", b"1"), hard("b", "a"), soft("c", "a")], [], {"not images": 1, "links": 2}),
        ([(".a", b"1"), hard("b", ".a")], [], {"hidden": 1, "links": 1}),
        ([(".a", b"1"), hard(".b.jpg", ".a")], [], {"hidden": 1, "links": 1}),
        ([("a.bin", bytes((2 << 20) + 1)), hard("b.jpg", "a.bin")], [], {"not images": 1, "links": 1}),
        ([hard("b.jpg", ".a"), (".a", b"1")], [], {"hidden": 1, "broken links": 1}),
        ([soft("b.jpg", ".missing"), soft("b", ".missing")], [], {"broken links": 1, "links": 1}),
        ([soft("a.jpg", "b.jpg"), soft("b.jpg", "a.jpg")], [], {"broken links": 2}),
        ([(".a", b"1"), soft("b.jpg", "../.a")], [], {"hidden": 1, "broken links": 1}),
        ([(".a", b"1"), soft("x/b.jpg", ".././../x/../.a")], [], {"hidden": 1, "broken links": 1}),
        ([(".a", b"1"), soft("x/y/b.jpg", ".././/../x/../.a")], ["x/y/b.jpg"], {}),
        ([("./.a", b"1"), hard("./b.jpg", ".//.a")], ["./b.jpg"], {}),
        ([("/data/.a", b"1"), soft("/data/b.jpg", "/data/.a")], ["/data/b.jpg"], {}),
        ([(".c/a", b"1"), ("a", b"2"), soft("b.jpg", "/r/.c/a")], ["b.jpg"], {"not images": 1}),
        ([("a", b"2"), soft("b.jpg", "/r/.c/a")], [], {"not images": 1, "broken links": 1}),
        ([("d/.c/a.jpg", b"1"), soft("d/link", ".c")], [], {"hidden images": 1, "links": 1}),
    ],
)  # fmt: skip
def test_which_links_are_images(
    tmp_path: Path,
    entries: list[Image | tarfile.TarInfo],
    names: list[str],
    skipped: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("IMAGESTORE_DECODE_MEMORY", "2M")
    images, counts = read(write(tmp_path / "a.tar", pack(entries)))
    assert [name for name, _ in images] == names
    assert counts == skipped
    assert all(data == b"1" for _, data in images)


def test_a_link_leads_to_the_last_member_before_it(tmp_path: Path) -> None:
    """`tar -r` adds a name again. A symbolic link leads to what is there in the end."""
    entries = [
        (".a", b"old"), hard("b.jpg", ".a"), soft("s.jpg", ".a"), (".a", b"new"), hard("c.jpg", ".a"),
    ]  # fmt: skip
    images, skipped = read(write(tmp_path / "a.tar", pack(entries)))
    assert images == [("b.jpg", b"old"), ("s.jpg", b"new")]
    assert skipped == {"links": 1}


def test_a_name_that_no_store_takes_has_a_link(run: Run, tmp_path: Path) -> None:
    data, long = picture((200, 40, 50), 1), "x" * 32_001 + ".jpg"
    write(tmp_path / "a.tar", pack([(long, data), hard("short.jpg", long)]))
    done = run("colourHeuristic.py", "partition", "a.tar", "a.h5", "b.h5", 1)
    assert stored_images(tmp_path / "a.h5") == {"short.jpg": data}
    assert "its name is too long" in done.stderr


def test_the_times_are_those_of_the_files(tmp_path: Path) -> None:
    entries = [(".a", b"1"), soft("b.jpg", ".a")]  # the link itself has the time 0
    with open_archive(write(tmp_path / "a.tar", pack(entries))) as archive:
        assert archive.find("b.jpg").mtime == MTIME


# ----- kinds of tar -----


@pytest.mark.parametrize("options", [["--format=oldgnu"], ["--format=gnu"], ["--format=posix"]], ids=" ".join)
def test_links_to_sparse_files(tmp_path: Path, options: list[str]) -> None:
    with open(tmp_path / ".holes", "wb") as file:
        for offset in (0, 300_000, 700_000, 1_200_000, 1_900_000, 2_500_000):
            file.seek(offset)
            file.write(noise(5000, offset))
        file.truncate(3_000_000)
    os.link(tmp_path / ".holes", tmp_path / "a.bmp")
    command = ["tar", "-cSf", "s.tar", *options, ".holes", "a.bmp"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    assert (tmp_path / "s.tar").stat().st_size < 500_000, "tar stored no sparse file: the test shows nothing"
    assert read(tmp_path / "s.tar") == ([("a.bmp", (tmp_path / ".holes").read_bytes())], {})


def with_body(name: str, target: str, data: bytes, has_body: bool) -> bytes:
    """A hard link whose header has a size, with the file's bytes behind it or without them."""
    info = hard(name, target)
    info.size = len(data)
    body = data + bytes(-len(data) % tarfile.BLOCKSIZE) if has_body else b""
    return info.tobuf(tarfile.USTAR_FORMAT) + body


@pytest.mark.parametrize("has_body", [True, False])
def test_hard_links_with_a_size(tmp_path: Path, has_body: bool) -> None:
    """pax packs the bytes again if it is told to. Old tars give the size alone."""
    data = noise(1500, 1)
    end = pack([("last.jpg", b"last")])
    links = with_body("b.jpg", ".a", data, has_body) + with_body("d.jpg", "c.jpg", data, has_body)
    start = pack([(".a", data), ("c.jpg", data)]).rstrip(b"\0")
    start += bytes(-len(start) % tarfile.BLOCKSIZE)
    images, skipped = read(write(tmp_path / "a.tar", start + links + end))
    assert images == [("c.jpg", data), ("last.jpg", b"last"), ("b.jpg", data)]
    assert skipped == {"links": 1}


def test_a_body_is_an_image_without_its_target(tmp_path: Path) -> None:
    data = noise(1500, 1)
    tar = with_body("b.jpg", "missing", data, has_body=True) + pack([("last.jpg", b"last")])
    assert read(write(tmp_path / "a.tar", tar)) == ([("last.jpg", b"last"), ("b.jpg", data)], {})


# ----- damaged archives -----


@pytest.mark.parametrize("compression", COMPRESSIONS_TO_SCAN)
def test_a_cut_archive_gives_the_links_before_the_cut(tmp_path: Path, compression: str) -> None:
    entries = [(".a", noise(100_000, 1)), hard("b.jpg", ".a"), ("c.jpg", noise(3_000_000, 2))]
    data = PACKERS[compression](pack(entries)[:2_000_000])
    images, message = stream_until_error(write(tmp_path / "a", data))
    assert images == [("b.jpg", noise(100_000, 1))]
    assert "in the middle of 'c.jpg'" in message
    data = pack(entries, compression)[:1_500_000]
    images, message = stream_until_error(write(tmp_path / "b", data))
    assert images == [("b.jpg", noise(100_000, 1))]
    assert "in the middle of 'c.jpg'" in message


def test_a_link_is_not_found_in_another_archive(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", pack([(".a", b"1"), hard("b.jpg", ".a")]))
    with open_archive(path) as archive:
        member = archive.find("b.jpg")
        assert archive.read(member) == b"1"
        with pytest.raises(UserError, match="holds no image"):
            archive.find(".a")


# ----- against the system -----

names = st.sampled_from(["a.jpg", "b.jpg", ".h/a", ".h/b.jpg", "d/c.jpg", "d/.c", "e", "d/e"])
steps = st.lists(st.tuples(names, st.sampled_from(["file", "hard", "soft"]), names), max_size=12)


def build(folder: Path, steps: list[tuple[str, str, str]]) -> None:
    """Make a folder with files and links, each name once; every file begins as an image."""
    for folder_name in (".h", "d"):
        (folder / folder_name).mkdir(parents=True)
    for i, (name, kind, target) in enumerate(steps):
        path, other = folder / name, folder / target
        if os.path.lexists(path):
            continue
        if kind == "soft" and name != target:
            path.symlink_to(os.path.relpath(other, path.parent))
        elif kind == "hard" and other.exists() and not other.is_symlink():
            os.link(other, path)
        else:
            path.write_bytes(JPEG + bytes([i]))


def visible_contents(folder: Path) -> set[bytes]:
    """The contents of all files that have a name which is not hidden."""
    paths = [
        path for path in folder.rglob("*") if not any(p[0] == "." for p in path.relative_to(folder).parts)
    ]
    return {path.read_bytes() for path in paths if path.is_file()}


@settings(max_examples=40)
@given(steps)
def test_every_visible_file_comes_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    build(folder / "r", steps)
    subprocess.run(["tar", "-C", folder / "r", "-cf", folder / "a.tar", "."], check=True, timeout=120)
    for source in (folder / "a.tar", folder / "r"):
        contents = [data for _, data in stream(source)]
        assert set(contents) == visible_contents(folder / "r")
        if source.is_file():
            assert len(contents) == len(set(contents))


def test_tar_itself_refuses_a_link_before_its_file(tmp_path: Path) -> None:
    """So such a link is broken, and not an image."""
    tar = pack([hard("b.jpg", ".a"), (".a", b"1")])
    done = subprocess.run(["tar", "-xf", "-"], input=tar, cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode != 0 and not (tmp_path / "b.jpg").exists()
    with tarfile.open(fileobj=io.BytesIO(tar)) as packed:
        assert packed.getnames() == ["b.jpg", ".a"]
