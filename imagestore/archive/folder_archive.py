"""A folder of images in place of an archive."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from isal.isal_zlib import crc32

from imagestore import stored_names
from imagestore.archive.file_kinds import members_of_kind
from imagestore.archive.folder_links import FolderLinks
from imagestore.archive.image_files import is_image, reason_to_skip_file
from imagestore.archive.members import Member
from imagestore.archive.passed_over import PassedOver
from imagestore.archive.protocol import Archive, no_such_image
from imagestore.console import UserError, describe
from imagestore.image_formats import FIRST_BYTES


class FolderArchive(Archive):
    """The images below a folder, in the order of their names. It leaves no index.

    Of its links, only those are followed that FolderLinks takes for images.
    """

    def __init__(self, path: Path) -> None:
        """Read nothing yet."""
        self.path = path
        self.skipped = PassedOver()
        self._members: list[Member] | None = None

    @property
    def indexed(self) -> bool:
        return self._members is not None

    def members(self) -> list[Member]:
        if self._members is None:
            for _ in self.stream():
                pass
        assert self._members is not None
        return self._members

    def stream(self) -> Iterator[tuple[Member, bytes]]:
        self.skipped = PassedOver()
        links = FolderLinks(self.path, self.skipped)
        members: list[Member] = []
        for name in self._file_names():
            data = self._image_bytes(name, links)
            if data is None:
                continue
            mtime = os.stat(self.path / name).st_mtime_ns // 10**9  # rounded down, also before 1970
            member = Member(stored_names.from_path(name), len(data), mtime, crc32(data), len(members))
            members.append(member)
            yield member, data
        self._members = members

    def _file_names(self) -> Iterator[str]:
        """Yield the paths of all files, relative to the folder."""
        for folder, subfolders, files in os.walk(self.path, onerror=self._count_unreadable):
            subfolders.sort()
            relative = os.path.relpath(folder, self.path)
            self.skipped["folders"] += relative != "."
            for name in subfolders:
                if os.path.islink(os.path.join(folder, name)):
                    self.skipped.note("links", os.path.join(relative, name))
            for name in sorted(files):
                yield name if relative == "." else f"{relative}/{name}"

    def _count_unreadable(self, error: OSError) -> None:
        self.skipped.note("unreadable", str(error.filename))

    def _image_bytes(self, name: str, links: FolderLinks) -> bytes | None:
        """Return the bytes of an image. If the file is none, count the reason and return None."""
        try:
            status = os.lstat(self.path / name)
            reason, data = links.read(name) if stat.S_ISLNK(status.st_mode) else self._read_file(name, status)
        except OSError:
            reason, data = "unreadable", b""
        if reason is None:
            return data
        self.skipped.note(reason, name)
        return None

    def _read_file(self, name: str, status: os.stat_result) -> tuple[str | None, bytes]:
        """Return (None, the image's bytes), or the reason why the file is no image. Raises OSError."""
        reason = reason_to_skip_file(name, status)
        if reason is not None:
            return reason, b""
        data = _read_image(self.path / name)
        return (None if is_image(name, data) else members_of_kind(name, data)), data

    def read(self, member: Member) -> bytes:
        path = self.path / stored_names.to_path(member.name)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UserError(describe(error)) from error
        if len(data) != member.size or crc32(data) != member.crc32:
            raise UserError(f"{path} changed since it was listed: run the command again")
        return data

    def find(self, name: str) -> Member:
        for member in self.members():
            if member.name == name:
                return member
        raise no_such_image(self.path, name, self.members(), self.skipped)

    def close(self) -> None:
        """Do nothing: no file stays open."""


def _read_image(path: Path) -> bytes:
    """The bytes of an image; at least the first ones of another file."""
    with open(path, "rb") as file:
        beginning = file.read(FIRST_BYTES)
        return beginning + file.read() if is_image(path.name, beginning) else beginning
