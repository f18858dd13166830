"""FolderWriter: what is replaced, what stays, and which permissions and times are set."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagestore.tools.copy_report import CopyReport, NotCopied
from imagestore.tools.folder_writer import FolderWriter, Metadata

METADATA = Metadata(mtime_ns=5 * 10**9, permissions=0o640)


def mode_and_seconds(path: Path) -> tuple[int, int]:
    """The permissions of a file or folder, and its time in seconds."""
    state = path.stat()
    return stat.S_IMODE(state.st_mode), state.st_mtime_ns // 10**9


def test_a_file_has_its_bytes_permissions_and_time(tmp_path: Path):
    with FolderWriter(tmp_path / "out") as writer:
        writer.write_file(b"a/b/file", [b"two ", b"pieces"], METADATA)
        assert writer.has_file(b"a/b/file", size=10, mtime_ns=5 * 10**9)
        assert not writer.has_file(b"a/b/file", size=10, mtime_ns=5 * 10**9 + 1)
        assert not writer.has_file(b"a/b/file", size=9, mtime_ns=5 * 10**9)
        assert not writer.has_file(b"a/b/other", size=10, mtime_ns=5 * 10**9)
    assert (tmp_path / "out/a/b/file").read_bytes() == b"two pieces"
    assert mode_and_seconds(tmp_path / "out/a/b/file") == (0o640, 5)


def test_set_user_id_is_never_set(tmp_path: Path):
    with FolderWriter(tmp_path / "out") as writer:
        writer.write_file(b"file", [b""], Metadata(mtime_ns=0, permissions=0o7755))
        writer.make_folder(b"folder", Metadata(mtime_ns=0, permissions=0o7755))
        writer.finish_folders(CopyReport())
    assert mode_and_seconds(tmp_path / "out/file") == mode_and_seconds(tmp_path / "out/folder") == (0o755, 0)


def test_an_existing_file_is_replaced_not_written_to(tmp_path: Path):
    (tmp_path / "outside").write_text("another name of out/file")
    (tmp_path / "out").mkdir()
    os.link(tmp_path / "outside", tmp_path / "out/file")
    with FolderWriter(tmp_path / "out") as writer:
        writer.write_file(b"file", [b"new"], METADATA)
    assert (tmp_path / "out/file").read_bytes() == b"new"
    assert (tmp_path / "outside").read_text() == "another name of out/file"


def test_a_damaged_file_leaves_the_old_one(tmp_path: Path):
    def pieces() -> Iterator[bytes]:
        yield b"begin"
        raise NotCopied("damaged")

    (tmp_path / "file").write_text("old")
    with FolderWriter(tmp_path) as writer, pytest.raises(NotCopied):
        writer.write_file(b"file", pieces(), METADATA)
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_folders_get_their_time_after_their_files(tmp_path: Path):
    with FolderWriter(tmp_path / "out") as writer:
        for path in (b"", b"a", b"a/b"):
            writer.make_folder(path, Metadata(mtime_ns=5 * 10**9, permissions=0o555))
        writer.write_file(b"a/b/file", [b""], METADATA)
        writer.finish_folders(CopyReport())
    for folder in ("out", "out/a", "out/a/b"):
        assert mode_and_seconds(tmp_path / folder) == (0o555, 5)
        (tmp_path / folder).chmod(0o755)


def test_an_existing_top_folder_keeps_its_metadata(tmp_path: Path):
    (tmp_path / "out").mkdir(mode=0o711)
    os.utime(tmp_path / "out", (7, 7))
    with FolderWriter(tmp_path / "out") as writer:
        writer.make_folder(b"", METADATA)
        writer.finish_folders(CopyReport())
    assert mode_and_seconds(tmp_path / "out") == (0o711, 7)


def test_hard_links_and_symlinks_are_made(tmp_path: Path):
    with FolderWriter(tmp_path) as writer:
        writer.write_file(b"a/deep/first", [b"linked"], METADATA)
        assert writer.add_hard_link(b"b/second", b"a/deep/first")
        assert not writer.add_hard_link(b"b/third", b"a/deep/missing")
        for too_long in (b"n" * 256, b"n" * 256 + b"/first"):
            assert not writer.add_hard_link(b"b/third", too_long)
            assert not writer.add_hard_link(too_long, b"a/deep/first")
        writer.add_symlink(b"b/link", b"second")
    assert (tmp_path / "a/deep/first").samefile(tmp_path / "b/second")
    assert os.readlink(tmp_path / "b/link") == "second"
    assert sorted(os.listdir(tmp_path / "b")) == ["link", "second"]
