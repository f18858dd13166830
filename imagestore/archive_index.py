"""What the first pass over an archive leaves for the next: its image members, and where their bytes are.

Used by archive only. An index is one file: a magic word, a JSON header, columns, seek points, all under
one checksum. It names the archive by size, modification time and a digest of parts of its bytes; one
that is stale, cut short, altered or of another archive is not believed, and a new one is made.

A million members load in a few hundredths of a second, since columns stay columns: a Member is built
when asked for. Members never change, so threads and forked processes may share them.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

from isal import isal_zlib

MAGIC = b"imgarchi"
HEAD = struct.Struct("<8sII")  # magic, length of the header, CRC-32 of the header and all that follows
VERSION = 1
COLUMNS = {"name_end": "Q", "size": "Q", "mtime": "q", "crc32": "I", "place": "q"}


def encode(name: str) -> bytes:
    """A member's name as the bytes it has in the archive."""
    return name.encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Member:
    """One image of an archive. The name, the size and the CRC-32 of its bytes together identify it.

    `name` is as in the archive (bytes that are no UTF-8 by surrogateescape); `size` in bytes; `mtime` in
    seconds since the epoch; `position` counts the archive's images from 0.
    """

    name: str
    size: int
    mtime: int
    crc32: int
    position: int


@dataclass
class Members(Sequence[Member]):
    """The image members of an archive, in its order: a list that builds its items when asked for."""

    names: bytearray | bytes = field(default_factory=bytearray)  # each name ends in a NUL
    columns: dict[str, array] = field(
        default_factory=lambda: {key: array(code) for key, code in COLUMNS.items()}
    )

    def add(self, name: str, size: int, mtime: int, crc32: int, place: int) -> Member:
        """Append a member whose data are at `place` (negative, -1 - p: whose header is at p)."""
        assert isinstance(self.names, bytearray)
        self.names += encode(name) + b"\0"
        for column, value in zip(
            self.columns.values(), (len(self.names), size, mtime, crc32, place), strict=True
        ):
            column.append(value)
        return Member(name, size, mtime, crc32, len(self) - 1)

    def __len__(self) -> int:
        """How many images."""
        return len(self.columns["size"])

    @overload
    def __getitem__(self, index: int) -> Member: ...
    @overload
    def __getitem__(self, index: slice) -> list[Member]: ...
    def __getitem__(self, index: int | slice) -> Member | list[Member]:
        """One member, or a list of them."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        size, mtime, crc32 = (self.columns[key][position] for key in ("size", "mtime", "crc32"))
        return Member(self._name(position), size, mtime, crc32, position)

    def __iter__(self) -> Iterator[Member]:
        """Every member, in the archive's order."""
        return map(self.__getitem__, range(len(self)))

    def _name(self, position: int) -> str:
        end = self.columns["name_end"]
        name = self.names[end[position - 1] if position else 0 : end[position] - 1]
        return name.decode("utf-8", "surrogateescape")

    def place(self, position: int) -> int:
        """Where the member's data begin; negative, -1 - p, where its header is at p."""
        return self.columns["place"][position]

    def last_named(self, name: str) -> Member | None:
        """The last member of that name, as tar would extract it, or None."""
        wanted, ends = encode(name) + b"\0", self.columns["name_end"]
        end = len(self.names)
        while (found := self.names.rfind(wanted, 0, end)) >= 0:
            position = bisect_left(ends, found + len(wanted))
            if self._name(position) == name:
                return self[position]
            end = found + len(wanted) - 1
        return None


@dataclass
class Index:
    """All that a later run needs: the members, what was passed over, seek points."""

    members: Members
    skipped: dict[str, int]
    points: bytes


def save(path: Path, index: Index, archive: dict[str, int | str]) -> None:
    """Write the index as a whole or not at all. Raises OSError."""
    columns = [_little(column).tobytes() for column in index.members.columns.values()]
    parts = [bytes(index.members.names), *columns, index.points]
    header = {
        "version": VERSION, "archive": archive, "skipped": index.skipped,
        "lengths": [len(part) for part in parts],
    }  # fmt: skip
    body = [json.dumps(header).encode(), *parts]
    checksum = 0
    for part in body:
        checksum = isal_zlib.crc32(part, checksum)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(partial, "wb") as file:
            file.writelines([HEAD.pack(MAGIC, len(body[0]), checksum), *body])
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def load(path: Path, archive: dict[str, int | str]) -> Index | None:
    """The index at `path`, or None where it is not a whole, unaltered index of this very archive."""
    if not path.is_file():  # a pipe would wait for a writer
        return None
    try:
        data = memoryview(path.read_bytes())
        magic, length, checksum = HEAD.unpack_from(data)
        if magic != MAGIC or isal_zlib.crc32(data[HEAD.size :]) != checksum:
            return None
        start = HEAD.size + length
        header = json.loads(bytes(data[HEAD.size : start]))
        if header["version"] != VERSION or header["archive"] != archive:
            return None
        parts = _split(data[start:], header["lengths"])
        columns = {
            key: _column(code, part) for (key, code), part in zip(COLUMNS.items(), parts[1:-1], strict=True)
        }
        return Index(Members(bytes(parts[0]), columns), header["skipped"], bytes(parts[-1]))
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return None


def is_index(path: Path) -> bool:
    """Whether a file may be replaced by an index: it is one, the beginning of one, or absent."""
    if path.exists() and not path.is_file():  # such as /dev/null
        return False
    try:
        with open(path, "rb") as file:
            return MAGIC.startswith(file.read(len(MAGIC)))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def _split(data: memoryview, lengths: list[int]) -> list[memoryview]:
    if sum(lengths) != len(data):
        raise ValueError("the parts of the index do not fill it")
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    return [data[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def _column(code: str, part: memoryview) -> array:
    column = array(code)
    column.frombytes(part)
    return _little(column)


def _little(column: array) -> array:
    """The column in the file's byte order, or back from it."""
    if sys.byteorder == "little":
        return column
    swapped = array(column.typecode, column)
    swapped.byteswap()
    return swapped
