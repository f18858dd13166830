"""The image members of an archive, in columns: a million of them take little memory."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, overload

from imagestore import stored_names

# The columns, with codes of array.array.
COLUMNS = {"name_end": "Q", "size": "Q", "mtime": "q", "crc32": "I", "place": "q", "label": "i"}
NO_LABEL = -1  # in the column `label`


@dataclass(frozen=True, slots=True)
class Member:
    """One image of an archive. Its name, its size and the CRC-32 of its bytes together identify it.

    `name` is the name in the archive (see stored_names.py), `size` is in bytes, `mtime` in seconds since the
    epoch. `position` counts the archive's images from 0.
    """

    name: str
    size: int
    mtime: int
    crc32: int
    position: int
    label: str | None = None  # what the archive itself says, if it says anything


@dataclass(frozen=True)
class SourceLabels:
    """Says that the labels are wanted which an archive itself holds."""

    key: str | None = None  # what the archive calls the label; None: the usual words
    optional: bool = False  # an archive without labels is no error


class Location(NamedTuple):
    """Where a member is in the decompressed archive."""

    offset: int  # of the member's data; of its header if it is sparse
    is_sparse: bool


@dataclass
class Members(Sequence[Member]):
    """The image members of an archive, in its order: a list that makes each Member when it is asked for."""

    names: bytearray | bytes = field(default_factory=bytearray)  # each name ends in a NUL
    columns: dict[str, array] = field(
        default_factory=lambda: {key: array(code) for key, code in COLUMNS.items()}
    )
    label_names: list[str] = field(default_factory=list)  # by the numbers in the column `label`

    def __post_init__(self) -> None:
        """Note the number of each label."""
        self._label_numbers = {name: number for number, name in enumerate(self.label_names)}

    def add(
        self, name: str, *, size: int, mtime: int, crc32: int, location: Location, label: str | None = None
    ) -> Member:
        """Append a member and return it."""
        assert isinstance(self.names, bytearray)
        self.names += stored_names.encode(name) + b"\0"
        # The column `place` holds the offset of the data, or -1 minus the offset of a sparse member's header.
        place = -1 - location.offset if location.is_sparse else location.offset
        row = (len(self.names), size, mtime, crc32, place, self._label_number(label))
        for column, value in zip(self.columns.values(), row, strict=True):
            column.append(value)
        return Member(name, size, mtime, crc32, len(self) - 1, label)

    def set_label(self, position: int, label: str) -> None:
        """Give the member at `position` a label."""
        self.columns["label"][position] = self._label_number(label)

    def _label_number(self, label: str | None) -> int:
        if label is None:
            return NO_LABEL
        number = self._label_numbers.setdefault(label, len(self.label_names))
        if number == len(self.label_names):
            self.label_names.append(label)
        return number

    def _label(self, position: int) -> str | None:
        number = self.columns["label"][position]
        return None if number == NO_LABEL else self.label_names[number]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.columns["size"])

    @overload
    def __getitem__(self, index: int) -> Member: ...
    @overload
    def __getitem__(self, index: slice) -> list[Member]: ...
    def __getitem__(self, index: int | slice) -> Member | list[Member]:
        """Return one member, or a list of members."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        size, mtime, crc32 = (self.columns[key][position] for key in ("size", "mtime", "crc32"))
        return Member(self._name(position), size, mtime, crc32, position, self._label(position))

    def __iter__(self) -> Iterator[Member]:
        """Iterate over the members in the archive's order."""
        return map(self.__getitem__, range(len(self)))

    def _name(self, position: int) -> str:
        ends = self.columns["name_end"]
        name = self.names[ends[position - 1] if position else 0 : ends[position] - 1]
        return stored_names.decode(name)

    def location(self, position: int) -> Location:
        """Return where the member at `position` is in the decompressed archive."""
        place = self.columns["place"][position]
        return Location(place, False) if place >= 0 else Location(-1 - place, True)

    def last_named(self, name: str) -> Member | None:
        """Return the last member of that name (tar would extract this one), or None."""
        pattern, ends = stored_names.encode(name) + b"\0", self.columns["name_end"]
        search_end = len(self.names)
        while (start := self.names.rfind(pattern, 0, search_end)) >= 0:
            position = bisect_left(ends, start + len(pattern))
            if self._name(position) == name:
                return self[position]
            search_end = start + len(pattern) - 1
        return None
