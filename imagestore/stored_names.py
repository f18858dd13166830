"""Names that stores, archives, labels files and tables keep: UTF-8 in every locale.

In Python such a name is text, and its bytes that are not UTF-8 are surrogates (PEP 383). So a label is the
same text in every run, and every name can be turned back into its bytes. A path of the file system is another
kind of text: it is in the encoding of the locale, as sys.argv and os.listdir have it. Only the functions here
turn one kind into the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

Found = TypeVar("Found")

# The surrogates of the bytes 128 to 255, and what they are in Windows-1252; its five gaps are as in Latin-1.
WINDOWS_1252 = {0xDC00 + i: bytes([i]).decode("cp1252", "ignore") or chr(i) for i in range(128, 256)}


def decode(name: bytes) -> str:
    """A stored name as text."""
    return name.decode("utf-8", "surrogateescape")


def encode(name: str) -> bytes:
    """The bytes of a stored name."""
    return name.encode("utf-8", "surrogateescape")


def from_path(path: str) -> str:
    """The stored name with the same bytes as a path of the file system."""
    return decode(os.fsencode(path))


def to_path(name: str) -> str:
    """The path of the file system with the same bytes as a stored name."""
    return os.fsdecode(encode(name))


def as_windows_1252(name: str) -> str:
    """A name or a text in which bytes that are not UTF-8 are characters of Windows-1252, as in Excel."""
    return name.translate(WINDOWS_1252)


def readings(argument: str) -> list[str]:
    """The stored names that an argument of the command line can mean: usually one.

    Without UTF-8 in the locale there are two: the characters that the user typed, and the bytes that a script
    passed on.
    """
    return list(dict.fromkeys([decode(encode(argument)), from_path(argument)]))


def find_first(
    find: Callable[[str], Found], readings_of_argument: Sequence[str], missing: type[Exception]
) -> Found:
    """What `find` returns for the first reading that it knows; it raises `missing` for the others.

    If it knows none, the error is that of the first reading.
    """
    first, *others = readings_of_argument
    try:
        return find(first)
    except missing:
        for other in others:
            with suppress(missing):
                return find(other)
        raise
