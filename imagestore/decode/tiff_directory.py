"""The first directory of a TIFF or of an EXIF block, which has the same structure (TIFF 6.0, section 2).

BigTIFF is read too: its numbers are wider.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from imagestore.decode.metadata import Metadata

# What the pixels depend on: the size, the bits, the compression, and where the data is. TIFF 6.0, appendix A.
PIXEL_TAGS = frozenset(
    [*range(256, 260), 262, 266, 273, *range(277, 282), 284, 292, 293, 317, 318, 319, 320, *range(322, 326)]
    + [332, 338, 339, 340, 341, 347, *range(512, 522), *range(529, 533), 50674]
)
MOST_ENTRIES = 65_535  # there are no more tags
# Type of an entry -> how struct reads one value of it, for whole numbers
WHOLE_NUMBERS = {1: "B", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l", 16: "Q", 17: "q"}


@dataclass(frozen=True)
class Layout:
    """How a directory is written."""

    order: str  # of the bytes of a number, as struct names it
    count: str  # of the entries
    entry: str  # tag, type, number of values, and the value, or where it is
    place: str  # of the next directory

    def size(self, kind: str) -> int:
        """Bytes of a part."""
        return struct.calcsize(self.order + kind)


@dataclass(frozen=True)
class Directory:
    """The place of a directory in its file, and its entries as they are written."""

    layout: Layout
    start: int
    entries: tuple[bytes, ...]
    next: bytes  # the place of the next directory as it is written; empty where the file ends before it


def pixels_only(data: bytes) -> bytes:
    """A TIFF whose first directory has only the entries that its pixels need."""
    directory = read_directory(data)
    if directory is None:
        return data
    layout = directory.layout
    kept = [entry for entry in directory.entries if _tag(layout, entry) in PIXEL_TAGS]
    written = struct.pack(layout.order + layout.count, len(kept)) + b"".join(kept)
    written += directory.next.ljust(layout.size(layout.place), b"\0")
    view = memoryview(data)
    return b"".join([view[: directory.start], written, view[directory.start + len(written) :]])


def read_metadata(data: bytes) -> Metadata:
    """A TIFF as its own EXIF block: the orientation stands in its first directory."""
    return Metadata([data])


def read_whole_number(block: bytes, tag: int) -> int | None:
    """The value of the first entry with this tag, if it is one whole number; otherwise None."""
    directory = read_directory(block)
    if directory is None:
        return None
    layout = directory.layout
    for entry in directory.entries:
        found, kind, count, value = struct.unpack(layout.order + layout.entry, entry)
        if found != tag or count != 1 or kind not in WHOLE_NUMBERS:
            continue
        number = layout.order + WHOLE_NUMBERS[kind]
        if struct.calcsize(number) <= len(value):
            return struct.unpack_from(number, value)[0]
    return None


def read_directory(block: bytes) -> Directory | None:
    """The first directory, as far as the file holds it; None if there is none."""
    layout = _layout(block[:4])
    if layout is None:
        return None
    place = 4 if layout.place == "L" else 8
    try:
        (start,) = struct.unpack_from(layout.order + layout.place, block, place)
        (count,) = struct.unpack_from(layout.order + layout.count, block, start)
    except (struct.error, OverflowError):
        return None
    first, size = start + layout.size(layout.count), layout.size(layout.entry)
    entries = tuple(_entries(block, first, min(count, MOST_ENTRIES), size))
    behind = first + count * size
    return Directory(layout, start, entries, block[behind : behind + layout.size(layout.place)])


def _layout(mark: bytes) -> Layout | None:
    if mark in (b"II*\0", b"MM\0*"):
        return Layout("<" if mark[:1] == b"I" else ">", "H", "HHL4s", "L")
    if mark in (b"II+\0", b"MM\0+"):  # BigTIFF
        return Layout("<" if mark[:1] == b"I" else ">", "Q", "HHQ8s", "Q")
    return None


def _entries(block: bytes, first: int, count: int, size: int) -> Iterator[bytes]:
    for place in range(first, min(first + count * size, len(block) - size + 1), size):
        yield block[place : place + size]


def _tag(layout: Layout, entry: bytes) -> int:
    return struct.unpack_from(layout.order + "H", entry)[0]
