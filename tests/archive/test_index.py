"""The index of an archive never leads to wrong bytes: if it does not fit, it is not used and made anew."""

from __future__ import annotations

import os

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestore.archive.index import ArchiveIndex, load_index, save_index
from imagestore.archive.members import Location, Members
from imagestore.archive.passed_over import PassedOver
from imagestore.files.checksummed_columns import write_columns
from imagestore.sources.open_archive import open_archive
from tests.helpers.archives import assert_reads, pack, photographs, stream, write

FINGERPRINT = {"size": 5, "mtime_ns": 1, "digest": "00"}


def indexed_archive(tmp_path, images, compression="gz"):
    """Return the paths of an archive and of its index."""
    path, index = write(tmp_path / "a.tgz", pack(images, compression)), tmp_path / "a.index"
    stream(path, index)
    assert_reads(path, images, index)
    return path, index


# ----- the file -----


def small_index():
    """Return an index of two members, one of them sparse."""
    members = Members()
    members.add("a.jpg", size=5, mtime=-7, crc32=0xFFFFFFFF, location=Location(512, False))
    members.add("\udcff.jpg", size=0, mtime=1 << 40, crc32=0, location=Location(1 << 40, True))
    return ArchiveIndex(members, PassedOver({"links": 3}, {"links": "a\udcff"}), b"points")


def test_a_loaded_index_is_the_saved_one(tmp_path):
    saved = small_index()
    save_index(tmp_path / "folder" / "index", saved, FINGERPRINT)
    loaded = load_index(tmp_path / "folder" / "index", FINGERPRINT)
    assert list(loaded.members) == list(saved.members)
    assert [loaded.members.location(i) for i in range(2)] == [Location(512, False), Location(1 << 40, True)]
    assert (loaded.skipped, loaded.points) == (saved.skipped, saved.points)
    assert loaded.skipped.first == {"links": "a\udcff"}


def test_an_index_fits_one_fingerprint_only(tmp_path):
    save_index(tmp_path / "index", small_index(), FINGERPRINT)
    for key, value in (("size", 6), ("mtime_ns", 2), ("digest", "01")):
        assert load_index(tmp_path / "index", {**FINGERPRINT, key: value}) is None
    assert load_index(tmp_path / "index", FINGERPRINT) is not None


def test_a_pipe_is_no_index(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert load_index(tmp_path / "pipe", FINGERPRINT) is None


def test_any_damage_to_an_index_is_noticed(tmp_path):
    images = photographs(12, 3_000)
    path, index = indexed_archive(tmp_path, images)
    whole = index.read_bytes()

    @settings(max_examples=150)
    @given(st.one_of(st.integers(0, 400), st.integers(0, len(whole) - 1)), st.integers(0, 7), st.booleans())
    def check(offset, bit, cut):
        damaged = whole[:offset] if cut else bytearray(whole)
        if not cut:
            damaged[offset] ^= 1 << bit
        index.write_bytes(damaged)
        with open_archive(path, index) as archive:
            assert not archive.indexed
            assert [archive.read(member) for member in archive.members()] == [data for _, data in images]
        if damaged[:8] == whole[:8][: len(damaged)]:
            assert index.read_bytes() == whole
        else:
            assert index.read_bytes() == damaged, "a file that is no index is left alone"

    check()


# ----- the archive it belongs to -----


def test_an_index_of_another_archive_is_not_used(tmp_path):
    _, index = indexed_archive(tmp_path, photographs(12))
    others = [(name, data[::-1]) for name, data in photographs(12)]
    other = write(tmp_path / "other.tgz", pack(others, "gz"))
    with open_archive(other, index) as archive:
        assert not archive.indexed
        assert [archive.read(member) for member in archive.members()] == [data for _, data in others]
    assert_reads(other, others, index)


def test_new_content_of_equal_size_and_time_is_noticed(tmp_path):
    path, index = indexed_archive(tmp_path, photographs(12), "tar")
    status = path.stat()
    others = [(name, data[::-1]) for name, data in photographs(12)]
    write(path, pack(others))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    with open_archive(path, index) as archive:
        assert not archive.indexed
        assert [archive.read(member) for member in archive.members()] == [data for _, data in others]


def test_a_touched_archive_gets_a_new_index(tmp_path):
    images = photographs(5)
    path, index = indexed_archive(tmp_path, images)
    os.utime(path, (1, 1))
    with open_archive(path, index) as archive:
        assert not archive.indexed
    stream(path, index)
    assert_reads(path, images, index)


# ----- where it is kept -----


def test_any_file_in_the_cache_is_replaced(tmp_path, cache):
    images = photographs(5)
    path = write(tmp_path / "a.tgz", pack(images, "gz"))
    stream(path)
    (index,) = cache.iterdir()
    index.write_bytes(b"garbage")
    assert stream(path) == images
    assert_reads(path, images)
    assert list(cache.iterdir()) == [index]


def test_a_file_of_the_user_is_not_replaced(tmp_path, capfd):
    images = photographs(5)
    path = write(tmp_path / "a.tgz", pack(images, "gz"))
    precious = write(tmp_path / "thesis.txt", b"years of work")
    assert stream(path, precious) == images
    assert precious.read_bytes() == b"years of work"
    assert "left alone" in capfd.readouterr().err


def test_no_place_for_an_index_stops_nothing(tmp_path, monkeypatch, capfd):
    images = photographs(5)
    path = write(tmp_path / "a.tgz", pack(images, "gz"))
    blocked = write(tmp_path / "file", b"no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    with open_archive(path) as archive:
        assert [archive.read(member) for member in archive.members()] == [data for _, data in images]
    assert capfd.readouterr().err == ""
    with open_archive(path, blocked / "index") as archive:
        assert [archive.read(member) for member in archive.members()] == [data for _, data in images]
    assert "could not be kept" in capfd.readouterr().err
    assert blocked.read_bytes() == b"no folder"


def test_without_a_home_no_index_is_kept(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999)  # no such user
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "a.tar", pack([("a.jpg", b"1")]))
    assert stream(path) == [("a.jpg", b"1")]
    assert os.listdir(tmp_path) == ["a.tar"]


def test_a_file_of_columns_that_is_no_index_is_not_believed(tmp_path):
    """Its checksums are right, but it was made for something else."""
    beginning, magic = b"imgarchi", b"imgarchive-index"
    for facts in ({}, {"version": 2, "archive": FINGERPRINT}):
        with (tmp_path / "index").open("wb") as file:
            file.write(beginning)
            file.flush()
            write_columns(file.fileno(), len(beginning), magic, facts, [("a", np.zeros(3))])
        assert load_index(tmp_path / "index", FINGERPRINT) is None
