"""The names of images in a store: names that HDF5 and file systems can hold."""

from __future__ import annotations

LONGEST_NAME = 255  # bytes; the limit of most file systems
LONGEST_SUFFIX = 16  # bytes; what follows the last dot is no suffix if it is longer


def safe_name(member: bytes) -> bytes:
    """The base name of an archive member, changed if HDF5 or a file system could not hold it."""
    name = member.rstrip(b"/").rpartition(b"/")[2].replace(b"\0", b"_")
    if name in (b"", b".", b".."):
        return b"_" + name
    return name if len(name) <= LONGEST_NAME else _with_ending(name, b"")


def numbered_name(name: bytes, number: int) -> bytes:
    """'image.jpg' and 2 give 'image~2.jpg', cut to at most LONGEST_NAME bytes."""
    return _with_ending(name, b"~%d" % number)


def _with_ending(name: bytes, ending: bytes) -> bytes:
    """`name` with `ending` before its suffix; the stem is cut if the result would be too long."""
    stem, dot, suffix = name.rpartition(b".")
    if not stem or len(suffix) > LONGEST_SUFFIX:
        stem, dot, suffix = name, b"", b""
    ending += dot + suffix
    return _whole_characters(stem, LONGEST_NAME - len(ending)) + ending


def _whole_characters(text: bytes, length: int) -> bytes:
    """At most `length` bytes of `text`, not ending inside a UTF-8 character."""
    end = length
    while 0 < end < len(text) and text[end] & 0xC0 == 0x80:
        end -= 1
    return text[: end or length]
