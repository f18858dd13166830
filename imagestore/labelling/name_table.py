"""A table that says something of images by their names, such as a CSV file with their labels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from imagestore.console import UserError, printable


class AmbiguousName(UserError):
    """A name of the table could mean several images, or an image several names."""


class NameTable:
    """Values by the names of images: an image is found by its full name, or else by its base name.

    A table with `jpg/1.jpg` or with `1.jpg` says something of the member `flowers/jpg/1.jpg`. Raises
    AmbiguousName if a name has two different values.
    """

    def __init__(self, path: Path, rows: Iterable[tuple[str, str]]) -> None:
        """`rows` are (name, value); `path` is the file that they come from, for messages."""
        self.path = path
        self._values: dict[str, str] = {}
        for name, value in rows:
            self._add(normal_name(name), value)
        self._names_by_base: dict[str, list[str]] = {}
        for name in self._values:
            self._names_by_base.setdefault(base_name(name), []).append(name)
        self._members: dict[str, str] = {}  # name in the table -> the member that was found by it

    def __len__(self) -> int:
        return len(self._values)

    def values(self) -> set[str]:
        """All values of the table."""
        return set(self._values.values())

    def find(self, member_name: str) -> str | None:
        """The value of a member; None if the table does not name it. Raises AmbiguousName."""
        member_name = normal_name(member_name)
        name = member_name if member_name in self._values else self._by_base_name(member_name)
        if name is None:
            return None
        first = self._members.setdefault(name, member_name)
        if first != member_name:
            raise AmbiguousName(
                f"{self.path}: {printable(name)} could be {printable(first)} or {printable(member_name)}: "
                "give the full names of the archive"
            )
        return self._values[name]

    def _add(self, name: str, value: str) -> None:
        if self._values.setdefault(name, value) != value:
            raise AmbiguousName(
                f"{self.path} names {printable(name)} twice, with {printable(self._values[name])} and with "
                f"{printable(value)}: leave one of them"
            )

    def _by_base_name(self, member_name: str) -> str | None:
        names = self._names_by_base.get(base_name(member_name), [])
        if len({self._values[name] for name in names}) > 1:
            raise AmbiguousName(
                f"{self.path}: {printable(member_name)} could be {printable(names[0])} or "
                f"{printable(names[1])}: give the full names of the archive"
            )
        return names[0] if names else None


def normal_name(name: str) -> str:
    """A name without "./" at its beginning, and with "/" between its parts if it comes from Windows."""
    if "\\" in name and "/" not in name:
        name = name.replace("\\", "/")
    return name.removeprefix("./")


def base_name(name: str) -> str:
    """The last part of a name."""
    return name.rpartition("/")[2]
