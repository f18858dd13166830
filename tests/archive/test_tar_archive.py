"""Tar archives: all images are delivered as they are, and no index ever leads to wrong bytes."""

from __future__ import annotations

import os
import shutil
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestore.cache_folder import SAMPLES
from imagestore.console import UserError
from imagestore.sources.open_archive import open_archive
from tests.helpers.archives import COMPRESSIONS, assert_reads, pack, photographs, stream, write
from tests.helpers.descriptors import open_descriptors

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


# ----- streaming -----


@pytest.mark.parametrize("format", FORMATS, ids=["ustar", "gnu", "pax"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_each_format_is_streamed_then_read_by_its_index(tmp_path, compression, format):
    expected = photographs(30)
    path = write(tmp_path / "named.anything", pack(expected, compression, format))
    assert stream(path) == expected
    assert_reads(path, expected)


def test_an_archive_without_members(tmp_path):
    path = write(tmp_path / "a.tar", pack([]))
    assert stream(path) == []
    assert_reads(path, [])


def test_a_stream_may_be_left_early(large_archives, cache):
    path, images = large_archives["gz"]
    with open_archive(path) as archive:
        images_again = archive.stream()
        assert [next(images_again)[1] for _ in range(3)] == [data for _, data in images[:3]]
        images_again.close()
        assert not archive.indexed and not cache.exists()
        assert [data for _, data in archive.stream()] == [data for _, data in images]
        assert archive.indexed
        assert [data for _, data in archive.stream()] == [data for _, data in images]


def test_an_archive_that_shrinks_while_it_is_streamed(tmp_path):
    images = photographs(200, 50_000)
    path = write(tmp_path / "a.tar", pack(images))
    streamed = []
    with open_archive(path) as archive, pytest.raises(UserError, match="ends in the middle of"):
        for member, data in archive.stream():
            streamed.append((member.name, data))
            os.truncate(path, 5_000_000)
    assert streamed == images[: len(streamed)] and len(streamed) > 50


def test_an_archive_that_changes_gets_no_index(tmp_path, cache, capfd):
    path = write(tmp_path / "a.tar", pack(photographs(50)))
    with open_archive(path) as archive:
        for _ in archive.stream():
            os.utime(path, (1, 1))
    assert "changed while it was read" in capfd.readouterr().err
    assert not cache.exists()


# ----- finding -----


def test_members_of_equal_names_are_two_images(tmp_path):
    path = write(tmp_path / "a.tgz", pack([("a.jpg", b"1"), ("b.jpg", b"2"), ("a.jpg", b"3")], "gz"))
    with open_archive(path) as archive:
        assert [archive.read(member) for member in archive.members()] == [b"1", b"2", b"3"]
        assert archive.read(archive.find("a.jpg")) == b"3"


def test_find_suggests_similar_names(tmp_path):
    path = write(tmp_path / "a.tar", pack([("jpg/rose.jpg", b"1"), ("jpg/tulip.jpg", b"2"), ("x.jpg", b"3")]))
    with open_archive(path) as archive:
        for name in ("rose.jpg", "jpg/roes.jpg"):
            with pytest.raises(UserError, match=r"did you mean .*jpg/rose.jpg"):
                archive.find(name)
        # Parts of names are no names.
        for part in ("g/rose.jpg", ".jpg", "", "jpg/rose.jpg\0", "e.jpg\0jpg/tulip.jpg"):
            with pytest.raises(UserError):
                archive.find(part)


# ----- reading -----


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_reads_in_any_order_give_the_same_bytes(large_archives, compression, tmp_path):
    path, images = large_archives[compression]
    index = tmp_path / "index"
    with open_archive(path, index) as first:
        first.members()
    examples = 40 if compression in ("tar", "gz") else 5

    @settings(max_examples=examples)
    @given(st.lists(st.integers(0, len(images) - 1), min_size=1, max_size=8))
    def check(order):
        with open_archive(path, index) as archive:
            assert archive.indexed
            for i in order:
                assert archive.read(archive.members()[i]) == images[i][1]

    check()


def test_parent_and_child_both_read_after_a_fork(large_archives):
    path, images = large_archives["gz"]
    with open_archive(path) as archive:
        members = archive.members()
        assert archive.read(members[200]) == images[200][1]
        child = os.fork()
        if not child:
            right = all(archive.read(members[i]) == images[i][1] for i in (3, 201, 150))
            os._exit(0 if right else 1)
        assert all(archive.read(members[i]) == images[i][1] for i in (270, 10, 199))
        assert os.waitpid(child, 0)[1] == 0


def test_descriptors_are_closed(large_archives):
    path, _ = large_archives["gz"]
    before = open_descriptors()
    for _ in range(3):
        with open_archive(path) as archive:
            archive.read(archive.members()[7])
            next(archive.stream())
    assert open_descriptors() <= before


def test_members_of_another_archive_are_refused(tmp_path):
    path = write(tmp_path / "a.tar", pack([("a.jpg", b"1"), ("b.jpg", b"2")]))
    other = write(tmp_path / "b.tar", pack([("a.jpg", b"3"), ("b.jpg", b"2"), ("c.jpg", b"4")]))
    with open_archive(path) as archive, open_archive(other) as other_archive:
        members = other_archive.members()
        assert archive.read(members[1]) == b"2"
        for member in (members[0], members[2]):
            with pytest.raises(UserError, match="belongs to another archive"):
                archive.read(member)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_change_that_the_digest_misses_is_noticed(tmp_path, large_archives, compression):
    source, images = large_archives[compression]
    path, index = tmp_path / "a", tmp_path / "a.index"
    shutil.copy2(source, path)
    stream(path, index)
    status = path.stat()
    data = path.read_bytes()
    offset = status.st_size // 2  # between two samples of the digest
    assert SAMPLES % 2 == 0
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(bytes(byte ^ 0x55 for byte in data[offset : offset + 30]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    wrong = 0
    with open_archive(path, index) as archive:
        assert archive.indexed, "the digest was not meant to see this"
        for member in list(archive.members()):
            try:
                assert archive.read(member) == images[member.position][1]
            except UserError as error:
                wrong += 1
                assert str(path) in str(error)
                break
    assert wrong == 1
    assert not index.exists()
