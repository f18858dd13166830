"""Symbolic links of a folder to images that are passed over under their own names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagestore.sources.open_archive import open_archive
from tests.helpers.archives import Image, stream, write
from tests.helpers.commands import Run, without_summary
from tests.helpers.small_stores import picture
from tests.helpers.stored_images import stored_images

JPEG = b"\xff\xd8\xff\xe0"  # a JPEG begins so


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one image in a hidden folder."""
    (tmp_path / "folder/.cache").mkdir(parents=True)
    write(tmp_path / "folder/.cache/a", JPEG)
    return tmp_path / "folder"


def read(folder: Path) -> tuple[list[Image], dict[str, int]]:
    with open_archive(folder) as archive:
        images = [(member.name, data) for member, data in archive.stream()]
        assert [archive.read(member) for member in archive.members()] == [data for _, data in images]
        return images, +archive.skipped


@pytest.mark.parametrize("absolute", [True, False])
def test_links_into_a_hidden_folder_are_images(run: Run, tmp_path: Path, absolute: bool) -> None:
    cache, photos = tmp_path / "repository/.git/annex", tmp_path / "repository/photos"
    cache.mkdir(parents=True)
    photos.mkdir()
    expected = {}
    for i in range(3):
        write(cache / f"SHA256E-{i}", picture((200, 40, 50), i))
        os.utime(cache / f"SHA256E-{i}", (5, 5))
        expected[f"photos/p{i}.jpg"] = picture((200, 40, 50), i)
        target = cache / f"SHA256E-{i}" if absolute else f"../.git/annex/SHA256E-{i}"
        (photos / f"p{i}.jpg").symlink_to(target)
    done = run("colourHeuristic.py", "partition", "repository", "a.h5", "b.h5", 1)
    assert stored_images(tmp_path / "a.h5") == expected and without_summary(done.stderr) == ""
    with open_archive(tmp_path / "repository") as archive:
        assert [member.mtime for member in archive.members()] == [5, 5, 5]
    assert "red" in run("colourHeuristic.py", "identify", "repository", "photos/p1.jpg").stdout


def test_a_file_is_taken_once(folder: Path) -> None:
    (folder / "a.jpg").symlink_to(".cache/a")
    (folder / "b.jpg").symlink_to("a.jpg")
    assert read(folder) == ([("a.jpg", JPEG)], {"folders": 1, "links": 1})


def test_other_links_are_counted(folder: Path, tmp_path: Path) -> None:
    write(folder / "image.jpg", b"1")
    write(folder / "image", JPEG + b"2")
    write(folder / "text", b"text")
    write(tmp_path / ".outside.jpg", JPEG)
    links = {
        "to an image.jpg": "image.jpg",
        "to an image without a suffix.jpg": "image",
        "to a folder": ".cache",
        "out.jpg": "../.outside.jpg",
        "text again": "text",
        ".hidden.jpg": ".cache/a",
        "to a device.jpg": "/dev/null",
        "nowhere": "missing",
    }
    for name, target in links.items():
        (folder / name).symlink_to(target)
    (folder / "nowhere.jpg").symlink_to(".cache/missing")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    images, skipped = read(folder)
    assert images == [("image", JPEG + b"2"), ("image.jpg", b"1")]
    assert skipped == {"folders": 1, "links": len(links), "broken links": 2, "hidden": 1, "not images": 1}


def test_a_link_gives_a_file_the_name_of_an_image(folder: Path) -> None:
    write(folder / "text", b"text")
    (folder / "text.jpg").symlink_to("text")
    (folder / "no suffix").symlink_to(".cache/a")
    assert stream(folder) == [("no suffix", JPEG), ("text.jpg", b"text")]
