"""A folder of images in place of an archive."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from isal import isal_zlib

from imagestore.archive.image_files import SKIPPED, is_image, passed_over_file
from imagestore.archive.members import Member
from imagestore.archive.protocol import not_found
from imagestore.console import UserError, describe


class FolderArchive:
    """A folder of images in place of an archive; see Archive. Links are not followed."""

    def __init__(self, path: Path) -> None:
        """Nothing is read yet."""
        self.path = path
        self.skipped: Counter[str] = Counter(dict.fromkeys(SKIPPED, 0))
        self._members: list[Member] | None = None

    @property
    def indexed(self) -> bool:
        """Whether every file has been read once; a folder leaves no index behind."""
        return self._members is not None

    def members(self) -> list[Member]:
        """Every image below the folder, by name; see Archive."""
        if self._members is None:
            for _ in self.stream():
                pass
        assert self._members is not None
        return self._members

    def stream(self) -> Iterator[tuple[Member, bytes]]:
        """Every image with its bytes, by name; see Archive."""
        self.skipped = Counter(dict.fromkeys(SKIPPED, 0))
        members: list[Member] = []
        for name in self._files():
            data = self._contents(name)
            if data is None:
                continue
            status = os.stat(self.path / name)
            member = Member(name, len(data), int(status.st_mtime), isal_zlib.crc32(data), len(members))
            members.append(member)
            yield member, data
        self._members = members

    def _files(self) -> Iterator[str]:
        for folder, folders, files in os.walk(self.path, onerror=self._unreadable):
            folders.sort()
            here = os.path.relpath(folder, self.path)
            self.skipped["folders"] += here != "."
            for name in sorted(files):
                yield name if here == "." else f"{here}/{name}"

    def _unreadable(self, error: OSError) -> None:
        self.skipped["unreadable"] += 1

    def _contents(self, name: str) -> bytes | None:
        """The bytes of an image, or None, counted, for what is none."""
        path = self.path / name
        try:
            reason = passed_over_file(name, os.lstat(path))
            data = b"" if reason else path.read_bytes()
        except OSError:
            reason, data = "unreadable", b""
        if reason is None and not is_image(name, data):
            reason = "not images"
        if reason is None:
            return data
        self.skipped[reason] += 1
        return None

    def read(self, member: Member) -> bytes:
        """The bytes of one file; see Archive."""
        try:
            data = (self.path / member.name).read_bytes()
        except OSError as error:
            raise UserError(describe(error)) from error
        if len(data) != member.size or isal_zlib.crc32(data) != member.crc32:
            raise UserError(f"{self.path / member.name} changed since it was listed: run the command again")
        return data

    def find(self, name: str) -> Member:
        """The file of that name; see Archive."""
        found = next((member for member in self.members() if member.name == name), None)
        return found or not_found(self.path, name, self.members())

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> FolderArchive:
        """The folder itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is held open."""
