"""The image members of an archive, in columns: a million of them take little memory."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

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
