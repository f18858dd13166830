"""A folder of images is read like an archive."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from imagestore.console import UserError
from imagestore.sources.open_archive import open_archive
from tests.helpers.archives import stream, write


@pytest.fixture
def folder(tmp_path):
    """Three images, one of them in a subfolder."""
    (tmp_path / "folder" / "deeper").mkdir(parents=True)
    for name, data in (("a.jpg", b"1"), ("b c.png", b"2"), ("deeper/a.jpg", b"3")):
        (tmp_path / "folder" / name).write_bytes(data)
    return tmp_path / "folder"


def test_images_come_in_the_order_of_their_names(folder):
    assert stream(folder) == [("a.jpg", b"1"), ("b c.png", b"2"), ("deeper/a.jpg", b"3")]
    with open_archive(folder) as archive:
        assert [archive.read(member) for member in archive.members()] == [b"1", b"2", b"3"]


def test_other_files_are_skipped_and_counted(folder):
    (folder / "notes.txt").write_text("no image")
    (folder / "link.jpg").symlink_to("a.jpg")
    (folder / "gone.jpg").symlink_to("nothing")
    (folder / "._a.jpg").write_bytes(b"macOS")
    os.mkfifo(folder / "pipe.jpg")
    with open_archive(folder) as archive:
        assert [member.name for member in archive.members()] == ["a.jpg", "b c.png", "deeper/a.jpg"]
        assert archive.skipped == Counter(
            {"folders": 1, "not images": 1, "links": 1, "broken links": 1, "hidden": 1, "devices": 1}
        )


def test_a_second_pass_counts_anew(folder):
    write(folder / "notes.txt", b"no image")
    with open_archive(folder) as archive:
        for _ in range(2):
            assert len(list(archive.stream())) == 3
            assert +archive.skipped == Counter({"folders": 1, "not images": 1})


def test_a_folder_is_indexed_after_a_whole_pass(folder, cache):
    with open_archive(folder) as archive:
        next(archive.stream())
        assert not archive.indexed
        archive.members()
        assert archive.indexed
    assert not cache.exists()


def test_a_changed_or_missing_file_is_not_read(folder):
    with open_archive(folder) as archive:
        member = archive.find("deeper/a.jpg")
        (folder / "deeper/a.jpg").write_bytes(b"4")
        with pytest.raises(UserError, match="changed"):
            archive.read(member)
        (folder / "deeper/a.jpg").unlink()
        with pytest.raises(UserError, match="No such file"):
            archive.read(member)


def test_find_suggests_similar_names(folder):
    with open_archive(folder) as archive, pytest.raises(UserError, match="did you mean"):
        archive.find("deeper/b.jpg")
