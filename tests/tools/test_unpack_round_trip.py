"""Folders that are packed and unpacked again come back as they were."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestore.tools.pack import pack
from imagestore.tools.unpack import unpack
from tests.helpers.commands import Run
from tests.helpers.folders import HOSTILE_NAMES, snapshot


def test_a_folder_comes_back_as_it_was(run: Run, folder: Path, tmp_path: Path):
    before = snapshot(folder)
    done = run("h5vfs.py", "pack", folder, "packed.h5")
    assert "packed 5 files, 4 links into packed.h5" in done.stderr
    assert not done.stdout
    run("h5vfs.py", "unpack", "packed.h5", "back")
    assert snapshot(tmp_path / "back") == before == snapshot(folder)
    first, second = (tmp_path / "back" / name for name in ("red/a.jpg", "blue/hard.jpg"))
    assert first.samefile(second)


def test_hostile_names_come_back(run: Run, tmp_path: Path):
    top = tmp_path / "top"
    for name in HOSTILE_NAMES:
        subfolder = os.path.join(os.fsencode(top), name)
        os.makedirs(subfolder)
        with open(os.path.join(subfolder, name), "wb") as file:
            file.write(name)
    os.utime(top, (5, 5))
    before, siblings = snapshot(top), os.listdir(tmp_path)
    run("h5vfs.py", "pack", top, "./-packed.h5")
    run("h5vfs.py", "unpack", "./-packed.h5", "back")
    assert snapshot(tmp_path / "back") == before
    assert sorted(os.listdir(tmp_path)) == sorted([*siblings, "-packed.h5", "back"])
    assert len(run("h5vfs.py", "verify", "./-packed.h5").stdout.splitlines()) == 1


def random_entries() -> st.SearchStrategy:
    """(name, kind, bytes, permissions, seconds) of one entry of a folder."""
    any_name = st.binary(min_size=1, max_size=40) | st.sampled_from(HOSTILE_NAMES)
    names = any_name.filter(lambda name: not set(name) & {0, 47} and name not in (b".", b".."))
    permissions = st.integers(0, 0o777).map(lambda mode: mode | 0o700)
    kinds = st.sampled_from(["file", "folder", "link", "hard link"])
    return st.tuples(names, kinds, st.binary(max_size=200), permissions, st.integers(0, 2**32))


def fill(top: bytes, entries: list[tuple], choose: st.DataObject) -> None:
    """Fill a folder. A link leads to an entry that was made before it, on the shortest way."""
    folders, files, metadata = [top], [], {top: (0o750, 7)}
    for name, kind, data, permissions, seconds in entries:
        path = os.path.join(choose.draw(st.sampled_from(folders)), name)
        with contextlib.suppress(FileExistsError):
            if kind == "link":
                target = choose.draw(st.sampled_from(folders + files))
                os.symlink(os.path.relpath(target, os.path.dirname(path)), path)
            elif kind == "hard link" and files:
                os.link(choose.draw(st.sampled_from(files)), path)
            elif kind == "folder":
                os.mkdir(path)
                folders.append(path)
                metadata[path] = permissions, seconds
            else:
                with open(path, "xb") as file:
                    file.write(data)
                files.append(path)
                metadata[path] = permissions, seconds
    for path, (permissions, seconds) in metadata.items():
        os.chmod(path, permissions)
        os.utime(path, (seconds, seconds))


@pytest.mark.slow
@settings(max_examples=80)
@given(st.lists(random_entries(), max_size=14), st.data())
def test_any_folder_comes_back(entries: list[tuple], choose: st.DataObject):
    with tempfile.TemporaryDirectory() as scratch:
        top = Path(scratch, "top")
        top.mkdir()
        fill(os.fsencode(top), entries, choose)
        assert pack(top, Path(scratch, "packed.h5")) == 0
        assert unpack([Path(scratch, "packed.h5")], Path(scratch, "back")) == 0
        assert snapshot(Path(scratch, "back")) == snapshot(top)
