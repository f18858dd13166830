"""The names of images in a store: what HDF5 and file systems can hold."""

from __future__ import annotations

LONGEST_NAME = 255  # bytes; what file systems allow


def safe_name(member: bytes) -> bytes:
    """The base name of a member, as a name that HDF5 and file systems can hold."""
    name = member.rstrip(b"/").rpartition(b"/")[2].replace(b"\0", b"_")
    if name in (b"", b".", b".."):
        return b"_" + name
    return name if len(name) <= LONGEST_NAME else numbered(name, None)


def numbered(name: bytes, number: int | None) -> bytes:
    """'image.jpg' as 'image~2.jpg', within the longest name that a file system can hold."""
    stem, dot, suffix = name.rpartition(b".")
    if not stem or len(suffix) > 16:
        stem, dot, suffix = name, b"", b""
    tail = (b"" if number is None else b"~%d" % number) + dot + suffix
    return _whole_characters(stem, LONGEST_NAME - len(tail)) + tail


def _whole_characters(text: bytes, length: int) -> bytes:
    """At most `length` bytes of `text`, not ending inside a UTF-8 character."""
    while length < len(text) and text[length] & 0xC0 == 0x80:
        length -= 1
    return text[:length]
