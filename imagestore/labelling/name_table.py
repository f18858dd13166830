"""A table that says something of images by their names, such as a CSV file with their labels."""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from imagestore import stored_names
from imagestore.console import UserError, printable
from imagestore.image_formats import has_image_suffix

T = TypeVar("T")


class AmbiguousName(UserError):
    """A name of the table could mean several images, or an image several names."""


class NameTable:
    """Values by the names of images: an image is found by its full name, or else by its base name.

    A table with `jpg/1.jpg` or with `1.jpg` says something of the member `flowers/jpg/1.jpg`. Of several
    names with that base name, the one counts that has most of the last folders in common. If there is none,
    a table with `1` says something of the member. An accent that is a character of its own (macOS) is equal
    to one that is not. Raises AmbiguousName if a name has two different values.
    """

    def __init__(self, path: Path, rows: Iterable[tuple[str, str | None]]) -> None:
        """`rows` are (name, value), where None is no value; `path` is their file, for messages."""
        self.path = path
        self._values: dict[str, str | None] = {}
        for name, value in rows:
            self._add(normal_name(name), value)
        self._by_end: dict[int, dict[str, list[str]]] = {}  # for a number of last parts; see _names_by_end
        self._members: dict[str, str] = {}  # name in the table -> the member that was found by it

    def __len__(self) -> int:
        return len(self._values)

    def values(self) -> set[str]:
        """All values of the table."""
        return {value for value in self._values.values() if value is not None}

    def find(self, member_name: str) -> str | None:
        """The value of a member; None if the table has none for it. Raises AmbiguousName."""
        member_name = normal_name(member_name)
        name = self._find_name(member_name)
        if name is None and not member_name.isascii():
            found = map(self._find_name, other_spellings(member_name))
            name = next((name for name in found if name is not None), None)
        if name is None:
            return None
        first = self._members.setdefault(name, member_name)
        if first != member_name:
            raise AmbiguousName(
                f"{self.path}: {printable(name)} could be {printable(first)} or {printable(member_name)}: "
                "give the full names of the archive"
            )
        return self._values[name]

    def _add(self, name: str, value: str | None) -> None:
        """Add a row. If another one has the same name, a row without a value says nothing."""
        known = self._values.get(name)
        if known is None or value is None:
            self._values[name] = known if value is None else value
        elif known != value:
            raise AmbiguousName(
                f"{self.path} names {printable(name)} twice, with {printable(known)} and with "
                f"{printable(value)}: leave one of them"
            )

    def _find_name(self, member_name: str) -> str | None:
        return member_name if member_name in self._values else self._find_by_end(member_name)

    def _find_by_end(self, member_name: str) -> str | None:
        """The name that has most of its last parts in common with a member's, at least the base name."""
        names = with_same_end(member_name, self._names_by_end)
        if not names and (bare_name := without_suffix(member_name)):
            names = with_same_end(bare_name, self._names_by_end)
        if len({self._values[name] for name in names}) > 1:
            raise AmbiguousName(
                f"{self.path}: {printable(member_name)} could be {printable(names[0])} or "
                f"{printable(names[1])}: give the full names of the archive"
            )
        return names[0] if names else None

    def _names_by_end(self, parts: int) -> dict[str, list[str]]:
        """The names by their last parts: one or two for each, which have different values if any have."""
        if parts not in self._by_end:
            by_end = self._by_end[parts] = dict[str, list[str]]()
            for name, value in self._values.items():
                names = by_end.setdefault(last_parts(name, parts), [])
                if len(names) == 2 and self._values[names[0]] == self._values[names[1]] != value:
                    names.pop()
                if len(names) < 2:
                    names.append(name)
        return self._by_end[parts]


def normal_name(name: str) -> str:
    """A name without "./" at its beginning, and with "/" between its parts if it comes from Windows."""
    if "\\" in name and "/" not in name:
        name = name.replace("\\", "/")
    return name.removeprefix("./")


def other_spellings(name: str) -> list[str]:
    """What a name may be if its bytes are Windows-1252. In a zip file they were read as code page 437."""
    spellings = [stored_names.as_windows_1252(name)]
    with contextlib.suppress(UnicodeEncodeError):
        spellings.append(stored_names.as_windows_1252(stored_names.decode(name.encode("cp437"))))
    return [spelling for spelling in spellings if spelling != name]


def without_suffix(name: str) -> str | None:
    """The name of an image without its suffix, as in some tables; None if that is an image's name, too."""
    bare_name = name.rpartition(".")[0]
    return bare_name if has_image_suffix(name) and not has_image_suffix(bare_name) else None


def with_same_end(name: str, by_end: Callable[[int], Mapping[str, list[T]]]) -> list[T]:
    """What has most of its last parts in common with a name, at least the base name.

    `by_end(parts)` gives what there is by its last parts, as `last_parts` has them.
    """
    found: list[T] = []
    for parts in range(1, 2 + name.count("/")):
        longer = by_end(parts).get(last_parts(name, parts), [])
        found = longer or found
        if len(longer) < 2:
            break
    return found


def last_parts(name: str, count: int) -> str:
    """The last parts of a name, the last of which is its base name, in Unicode's form NFC."""
    return unicodedata.normalize("NFC", "/".join(name.rsplit("/", count)[-count:]))
