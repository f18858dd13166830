"""Folders to pack, and functions that say what a folder contains."""

from __future__ import annotations

import os
import stat
from pathlib import Path

HOSTILE_NAMES = [
    b"-rf", b"a b", b"'\"$(x)`", b"new\nline", b"\x1b[31m", "d\u00e9j\u00e0 \u82b1.jpg".encode(),
    b"\xff\xfe.jpg", b"a%20b.jpg", b"%2F", b"%C1", b"%-", b"x%~2.jpg", b"%2E.", b"...",
    b"n" * 255, "\u82b1".encode() * 85,
]  # fmt: skip


def snapshot(folder: Path) -> dict[bytes, tuple]:
    """Each path in a folder with its contents: ("link", text), or (mode, mtime in whole seconds, bytes)."""
    top = os.fsencode(folder)
    contents = {}
    for parent, subfolders, files in os.walk(top):
        for name in [b".", *files, *subfolders]:
            path = os.path.join(parent, name)
            state = os.lstat(path)
            key = os.path.relpath(path, top)
            if stat.S_ISLNK(state.st_mode):
                contents[key] = ("link", os.readlink(path))
            else:
                data = None if stat.S_ISDIR(state.st_mode) else Path(os.fsdecode(path)).read_bytes()
                contents[key] = (state.st_mode, state.st_mtime_ns // 10**9, data)
    return contents


def make_folder(folder: Path) -> Path:
    """A folder with each kind of entry that pack copies."""
    for name in ("red/deep", "blue", "empty"):
        (folder / name).mkdir(parents=True)
    (folder / "red/a.jpg").write_bytes(bytes(range(256)) * 400)
    (folder / "red/deep/b.jpg").write_bytes(b"deep")
    (folder / "root.txt").write_text("at the top\n")
    (folder / "blue/nothing").touch()
    os.link(folder / "red/a.jpg", folder / "blue/hard.jpg")
    (folder / "blue/near").symlink_to("nothing")
    (folder / "blue/far").symlink_to("../red/a.jpg")
    (folder / "blue/nowhere").symlink_to("../red/missing")
    (folder / "to-folder").symlink_to("red/deep")
    (folder / "root.txt").chmod(0o640)
    (folder / "empty").chmod(0o555)
    os.utime(folder / "red/a.jpg", (981173106, 981173106))
    os.utime(folder / "red", (1, 1))
    os.utime(folder / "blue", (-5, -5))
    os.utime(folder, (86400, 86400))
    return folder


def regular_files(folder: Path) -> set[str]:
    """The paths of all regular files in a folder, relative to it."""
    paths = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)) for path in paths}


def overwrite(path: Path, offset: int, data: bytes) -> None:
    """Replace the bytes at `offset` of a file, without HDF5."""
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)
