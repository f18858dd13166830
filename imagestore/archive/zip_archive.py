"""A zip archive: ZipArchive. The directory at the end of the file is its index."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from imagestore.archive.file_kinds import members_of_kind
from imagestore.archive.image_files import SKIP_REASONS, is_image, reason_to_skip_name
from imagestore.archive.members import Location, Member, Members
from imagestore.archive.passed_over import PassedOver
from imagestore.archive.protocol import Archive, DamagedArchive, find_last
from imagestore.archive.zip_data import DamagedEntry, read_entry
from imagestore.archive.zip_entries import NoDirectory, ZipEntry, read_directory, scan_headers
from imagestore.console import UserError, counted, note, printable
from imagestore.image_formats import FIRST_BYTES, has_image_suffix

ENCRYPTED, LINKS, FOLDERS, UNREADABLE = "encrypted", "links", "folders", "unreadable"
NAMES_SHOWN = 5


class ZipArchive(Archive):
    """A zip archive. If a name comes twice, both members are images.

    The members are independent of each other: a damaged one costs no other. If the directory is missing
    because the file was cut short, the members before the cut are all.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        """Take over an open file. Raises UserError if nothing in it can be read."""
        self.path = path
        self._descriptor = descriptor
        self.skipped = PassedOver(dict.fromkeys((*SKIP_REASONS, ENCRYPTED), 0))
        self._entries = self._read_entries()
        self._members: Members | None = None
        self._image_entries: list[ZipEntry] = []  # of each member

    @property
    def indexed(self) -> bool:
        return True

    def _read_entries(self) -> list[ZipEntry]:
        try:
            return read_directory(self._descriptor)
        except NoDirectory as error:
            entries = list(scan_headers(self._descriptor))
            if not entries:
                raise UserError(
                    f"{self.path} is a zip file that is damaged, or ends in its first member: "
                    "download or copy it again"
                ) from error
            whole = counted(len(entries), "whole member")
            self.damage = DamagedArchive(
                f"{self.path} has no directory at its end ({error}), and {whole}: download or copy it again"
            )
            return entries

    def members(self) -> Members:
        if self._members is None:
            self._members = self._list_images()
        return self._members

    def _list_images(self) -> Members:
        """The images among the entries; the others are counted, and the encrypted ones are named."""
        members, encrypted = Members(), []
        for entry in self._entries:
            reason = self._reason_to_skip(entry)
            if reason is None:
                # The place of a member is not needed: its entry knows it.
                members.add(
                    entry.name,
                    size=entry.size,
                    mtime=entry.mtime,
                    crc32=entry.crc32,
                    location=Location(0, False),
                )
                self._image_entries.append(entry)
            else:
                self.skipped.note(reason, entry.name)
                encrypted += [entry.name] if reason == ENCRYPTED else []
        if encrypted:
            note(f"{self.path}: encrypted, so not read: {_count_and_first(encrypted)}")
        return members

    def _reason_to_skip(self, entry: ZipEntry) -> str | None:
        """Return why an entry is no image, or None if it is one."""
        if entry.is_folder or entry.is_link:
            return FOLDERS if entry.is_folder else LINKS
        reason = reason_to_skip_name(entry.name, entry.size)
        if reason is None and entry.is_encrypted:
            reason = ENCRYPTED if has_image_suffix(entry.name) else "not images"
        if reason is None and not has_image_suffix(entry.name):
            try:
                beginning = read_entry(self._descriptor, entry, FIRST_BYTES)
            except DamagedEntry:
                return UNREADABLE
            if not is_image(entry.name, beginning):
                reason = members_of_kind(entry.name, beginning)
        return reason

    def stream(self) -> Iterator[tuple[Member, bytes]]:
        broken: list[str] = []
        for member in self.members():
            try:
                yield member, self._read_entry(member)
            except DamagedEntry as error:
                broken.append(f"{member.name} ({error})")
        if broken:
            self.damage = DamagedArchive(
                f"{self.path} is damaged: {_count_and_first(broken)}: download or copy it again"
            )
        if self.damage:
            raise self.damage

    def read(self, member: Member) -> bytes:
        try:
            return self._read_entry(member)
        except DamagedEntry as error:
            raise UserError(f"{self.path}: {printable(member.name)} is damaged: {error}") from error

    def _read_entry(self, member: Member) -> bytes:
        members = self.members()
        if member.position >= len(members) or members[member.position] != member:
            raise UserError(f"{self.path}: the member {member.name!r} belongs to another archive")
        return read_entry(self._descriptor, self._image_entries[member.position])

    def find(self, name: str) -> Member:
        return find_last(self, self.members(), name)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _count_and_first(names: list[str]) -> str:
    """The number of members, and the first of their names."""
    shown = ", ".join(map(printable, names[:NAMES_SHOWN]))
    more = len(names) - NAMES_SHOWN
    count = counted(len(names), "member")
    return f"{count}: {shown}, and {more:,} more" if more > 0 else f"{count}: {shown}"
