"""An archive whose images are the rows of something: RowArchive. Parquet and HDF5 files are such archives.

The first pass over the rows leaves an index, as that over a tar does. After that, `members`, `find` and
`read` touch only the rows that they need.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from isal.isal_zlib import crc32

from imagestore import cache_folder
from imagestore.archive.image_files import SKIP_REASONS, is_image
from imagestore.archive.index import ArchiveIndex, IndexFile
from imagestore.archive.members import Location, Member, Members
from imagestore.archive.passed_over import PassedOver
from imagestore.archive.protocol import Archive, DamagedArchive, find_last
from imagestore.console import UserError, counted, first_line, note, printable
from imagestore.decode.memory_bound import memory_bound
from imagestore.tables.table_options import TableOptions

ROW_RULES = 2  # raised if a row may get another name or other bytes than by an earlier version
EMPTY = "without bytes"  # a reason to skip a row
NAMES_SHOWN = 5
FEWEST_DIGITS = 6  # of a row's number in its name


class Row(NamedTuple):
    """One row: the place by which it is read again, and the image in it."""

    place: int
    name: str
    data: bytes | None  # None if the row holds no bytes
    label: str | None


def damaged_at(path: Path, where: str, error: Exception) -> DamagedArchive:
    """The error of a pass over rows that cannot go on behind a row."""
    return DamagedArchive(f"{path} is damaged at {where} ({first_line(error)}): copy or make it again")


class Rows(Protocol):
    """The rows of an open file. They keep working after a fork, in parent and child."""

    name: str  # of the dataset or column, if the file holds several; else ""

    def __iter__(self) -> Iterator[Row]:
        """Yield all rows. Raises DamagedArchive behind the last one that can be read."""

    def read(self, place: int) -> bytes:
        """Return the bytes of a row. Ascending places are the fastest. Raises UserError."""

    def close(self) -> None:
        """Close the file, except for the descriptor."""


class RowArchive(Archive):
    """The images in rows, in their order. If a name comes twice, both are images."""

    def __init__(self, path: Path, descriptor: int, rows: Rows, options: TableOptions) -> None:
        """Take over an open file, and look for its index."""
        self.path = path
        self._descriptor = descriptor
        self._rows = rows
        self._mtime = os.fstat(descriptor).st_mtime_ns // 10**9
        self._fingerprint = cache_folder.fingerprint(descriptor) | {"rows": rows.name, "row_rules": ROW_RULES}
        if options.follow_external:
            self._fingerprint["follow_external"] = 1
        self._index_file = IndexFile(path, self._fingerprint, options.index, labels=options.labels)
        self._index = self._index_file.load()
        self._remarks_told = False
        self.skipped = self._index.skipped if self._index else PassedOver()

    @property
    def indexed(self) -> bool:
        return self._index is not None

    def members(self) -> Members:
        if self._index is None:
            with contextlib.suppress(DamagedArchive):  # `damage` keeps it
                for _ in self.stream():
                    pass
        assert self._index is not None
        self._tell(self._index.remarks)
        return self._index.members

    def stream(self) -> Iterator[tuple[Member, bytes]]:
        members, empty = Members(), []
        self.skipped = PassedOver(dict.fromkeys((*SKIP_REASONS, EMPTY), 0))
        try:
            for row in self._rows:
                reason = _reason_to_skip(row)
                if reason is None:
                    yield self._add(members, row), row.data
                    continue
                self.skipped.note(reason, row.name)
                if reason == EMPTY:
                    empty.append(row.name)
        except DamagedArchive as damage:
            self.damage = damage
            if self._index is None:  # it is not written to a file: every run must find the damage
                self._index = ArchiveIndex(members, self.skipped, b"", _remarks(empty))
            raise
        if self._index is None:
            self._keep(ArchiveIndex(members, self.skipped, b"", _remarks(empty)))
        self._tell(_remarks(empty))

    def _add(self, members: Members, row: Row) -> Member:
        return members.add(
            row.name,
            size=len(row.data),
            mtime=self._mtime,
            crc32=crc32(row.data),
            location=Location(row.place, False),
            label=row.label,
        )

    def _keep(self, index: ArchiveIndex) -> None:
        """Use the index from now on, and write it for later runs."""
        self._index = index
        if cache_folder.fingerprint(self._descriptor).items() <= self._fingerprint.items():
            self._index_file.save(index)
        else:
            note(f"{self.path} changed while it was read: its index is not kept")

    def _tell(self, remarks: list[str]) -> None:
        """Print remarks on the archive, once."""
        if not self._remarks_told:
            self._remarks_told = True
            for remark in remarks:
                note(f"{self.path} {remark}")

    def read(self, member: Member) -> bytes:
        members = self.members()
        if member.position >= len(members) or members[member.position] != member:
            raise UserError(f"{self.path}: the member {member.name!r} belongs to another archive")
        data = self._rows.read(members.location(member.position).offset)
        if len(data) != member.size or crc32(data) != member.crc32:
            self._index_file.remove()
            raise UserError(f"{self.path} changed, or is damaged at {member.name!r}: run the command again")
        return data

    def find(self, name: str) -> Member:
        return find_last(self, self.members(), name)

    def close(self) -> None:
        if self._descriptor >= 0:
            self._rows.close()
            os.close(self._descriptor)
            self._descriptor = -1


def _reason_to_skip(row: Row) -> str | None:
    """Return why a row is no image, or None. The name does not hide it: it may be a path elsewhere."""
    if not row.data:
        return EMPTY
    if len(row.data) > memory_bound():
        return "too large"
    return None if is_image(row.name, row.data) else "not images"


def _remarks(empty: list[str]) -> list[str]:
    """What the user should know about rows that hold no bytes, to follow the path."""
    if not empty:
        return []
    names = ", ".join(map(printable, empty[:NAMES_SHOWN])) + (", …" if len(empty) > NAMES_SHOWN else "")
    return [f"has {counted(len(empty), 'row')} without the bytes of an image: {names}"]
