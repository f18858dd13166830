"""The decompressed bytes of a file, from any place: one small class for each kind of compression.

Used by archive only. gzip and bzip2 are read by rapidgzip, which notes seek points on its way: exported
once, they let a later run start in the middle. What rapidgzip cannot read is read again by a plain
decoder, which delivers every byte before a break and then says what is wrong. xz needs no seek points,
since an xz file lists its own blocks (one that has a single block can only be read from the front).

A source belongs to one thread. It may be used after a fork, by parent and child alike: every read names
its place in the file, and nothing runs in the background.
"""

from __future__ import annotations

from collections.abc import Callable

from imagestore.archive.plain_decoders import Decoder, Uncompressed, Xz
from imagestore.archive.rapidgzip_decoder import Bzip2, Gzip

# How each kind begins, and what reads it.
FORMATS: list[tuple[str, bytes, Callable[[int, bytes | None], Decoder]]] = [
    ("gzip", b"\x1f\x8b\x08", Gzip),
    ("bzip2", b"BZh", Bzip2),
    ("xz", b"\xfd7zXZ\x00", Xz),
    ("tar", b"", Uncompressed),
]


def kind_of(head: bytes) -> str:
    """The name of the compression that a file with these first bytes has."""
    return next(name for name, magic, _ in FORMATS if head.startswith(magic))


def open_decoder(descriptor: int, kind: str, points: bytes | None = None) -> Decoder:
    """The decompressed bytes of an open file; `points` (even empty) prepares for jumping about."""
    return next(opener for name, _, opener in FORMATS if name == kind)(descriptor, points)
