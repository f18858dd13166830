"""The cache folder: a fingerprint tells files apart, and each file has one place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imagestore.cache_folder import ENDS, SAMPLE, SAMPLES, fingerprint, path_for

SIZE = 10_000_000


@pytest.fixture
def large_file(tmp_path):
    """A file of zeros, much larger than what its digest covers."""
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.truncate(SIZE)
    os.utime(path, ns=(5, 5))
    return path


def fingerprint_of(path):
    with open(path, "rb") as file:
        return fingerprint(file.fileno())


def change(path, offset):
    """Change one byte, and put the modification time back."""
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(b"x")
    os.utime(path, ns=(5, 5))


# ----- fingerprint -----


def test_equal_files_have_equal_fingerprints(large_file, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(large_file.read_bytes())
    os.utime(other, ns=(5, 5))
    assert fingerprint_of(other) == fingerprint_of(large_file)


def test_a_fingerprint_has_the_size(large_file):
    before = fingerprint_of(large_file)
    os.truncate(large_file, SIZE + 1)
    os.utime(large_file, ns=(5, 5))
    after = fingerprint_of(large_file)
    assert (before["size"], after["size"]) == (SIZE, SIZE + 1)
    assert before != after


def test_a_fingerprint_has_the_time_in_nanoseconds(large_file):
    before = fingerprint_of(large_file)
    os.utime(large_file, ns=(5, 6))
    after = fingerprint_of(large_file)
    assert (before["mtime_ns"], after["mtime_ns"]) == (5, 6)
    assert before["digest"] == after["digest"]


def covered_offsets():
    """Return the first and the last byte of each part of the file that the digest covers."""
    parts = [(0, ENDS), (SIZE - ENDS, ENDS)]
    parts += [(SIZE * i // (SAMPLES + 1), SAMPLE) for i in range(1, SAMPLES + 1)]
    return [offset for start, size in parts for offset in (start, start + size - 1)]


def test_a_change_in_any_sampled_place_is_seen(large_file):
    digests = [fingerprint_of(large_file)["digest"]]
    for offset in covered_offsets():
        change(large_file, offset)
        digests.append(fingerprint_of(large_file)["digest"])
    assert len(set(digests)) == len(covered_offsets()) + 1


def test_an_empty_file_has_a_fingerprint(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "small").write_bytes(b"1")
    assert fingerprint_of(tmp_path / "empty")["size"] == 0
    assert fingerprint_of(tmp_path / "empty")["digest"] != fingerprint_of(tmp_path / "small")["digest"]


# ----- path_for -----


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = path_for(Path("a.tgz"))
    assert path.parent == tmp_path / "imagestore" and path.suffix == ".index"


@pytest.mark.parametrize("value", ["relative/folder", "", None])
def test_the_home_folder_is_the_default(tmp_path, monkeypatch, value):
    monkeypatch.setenv("HOME", str(tmp_path))
    if value is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert path_for(Path("a.tgz")).parent == tmp_path / ".cache" / "imagestore"


def test_without_a_home_nothing_can_be_made(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999)  # no such user
    path = path_for(Path("a.tgz"))
    assert path.is_absolute()
    with pytest.raises(OSError):
        path.parent.mkdir(parents=True)


def test_all_names_of_a_file_have_one_place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file, link, folder = tmp_path / "a.tgz", tmp_path / "link", tmp_path / "folder"
    file.touch()
    link.symlink_to(file)
    folder.symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    names = [
        file,
        link,
        folder / "a.tgz",
        Path("a.tgz"),
        tmp_path / "folder" / ".." / tmp_path.name / "a.tgz",
    ]
    assert {path_for(name) for name in names} == {path_for(file)}
    assert path_for(tmp_path / "b.tgz") != path_for(file)
