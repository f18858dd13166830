"""Opening: the content of a file tells its format, and anything else ends in one line."""

from __future__ import annotations

import gzip
import lzma
import os

import pytest

from imagestore.console import UserError
from imagestore.sources.open_archive import open_archive
from tests.helpers.archives import COMPRESSIONS, pack, stream, write
from tests.helpers.descriptors import open_descriptors


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_content_tells_the_format(tmp_path, compression):
    path = write(tmp_path / "a.h5", pack([("a.jpg", b"1")], compression))
    assert stream(path) == [("a.jpg", b"1")]


def test_a_folder_is_an_archive(tmp_path):
    write(tmp_path / "a.jpg", b"1")
    assert stream(tmp_path) == [("a.jpg", b"1")]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"some text\n" * 200, "is a text file"),
        (gzip.compress(b"some text\n" * 200, mtime=0), "is no tar archive"),
        (lzma.compress(b"some text"), "is no tar archive"),
        (b"\x1f\x8b\x08", "damaged at its beginning"),
        (b"BZh91AY&SY" + bytes(100), "damaged at its beginning"),
        (b"\x89HDF\r\n\x1a\n" + bytes(1000), "damaged, or its writer did not finish: copy or make it again"),
        (b"PK\3\4" + bytes(1000), "is a zip file"),
    ],
    ids=["empty", "text", "gzip of text", "xz of text", "cut gzip", "cut bzip2", "HDF5", "zip"],
)
def test_other_files_end_in_one_line(tmp_path, data, words):
    path = write(tmp_path / "a.tgz", data)
    with pytest.raises(UserError, match=words) as caught:
        open_archive(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_store_is_an_archive(old_store):
    with open_archive(old_store) as archive:
        assert {member.name: data for member, data in archive.stream()} == {
            member.name: archive.read(member) for member in archive.members()
        }
        assert len(archive.members()) == 36


def test_missing_and_special_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, words in (("missing.tgz", "No such file"), ("pipe", "neither a file nor a folder")):
        with pytest.raises(UserError, match=words):
            open_archive(tmp_path / name)


def test_refused_files_are_closed(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, data in (("empty", b""), ("text", b"text" * 200), ("cut", b"\x1f\x8b\x08")):
        write(tmp_path / name, data)
    before = open_descriptors()
    for name in ("pipe", "empty", "text", "cut"):
        with pytest.raises(UserError):
            open_archive(tmp_path / name)
    assert open_descriptors() <= before
