"""The segments of a JPEG: what its pixels need, its metadata, its scans and its end (ITU-T T.81, annex B)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from imagestore.decode.errors import NotAnImage
from imagestore.decode.metadata import Metadata

MOST_SCANS = 100  # of a progressive JPEG: each takes time. Encoders write about ten
PIXELS_PER_BYTE = 512  # at most: a Huffman code has a bit or more, and 64 pixels have a code or more

END_OF_IMAGE, START_OF_SCAN = 0xD9, 0xDA
APP0, APP1, APP14, APP15, COMMENT = 0xE0, 0xE1, 0xEE, 0xEF, 0xFE
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # the other three are tables
ARITHMETIC_FRAMES = {0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
PROGRESSIVE_FRAMES = {0xC2, 0xC6, 0xCA, 0xCE}
WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xD9)}  # among them are restart markers and the start of the image
END = b"\xff\xd9"
XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"

# In the data of a scan, a 0 follows each byte 255 that is data; restart markers belong to the scan.
_marker_behind_scan = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


class Segment(NamedTuple):
    """A marker with its parameters. (A dataclass takes three times as long to make.)"""

    marker: int  # without its byte 255
    start: int  # of the marker in the file
    body: bytes = b""  # what stands behind the length


@dataclass(frozen=True)
class Scan:
    """A pass over the picture. It makes coefficients of some components exact, down to the bit `low`."""

    components: tuple[int, ...]
    coefficients: range
    low: int  # 0: all bits


@dataclass
class Structure:
    """What the segments of a JPEG say, up to its end or to where it is cut."""

    is_progressive: bool = False
    height: int = 0
    components: tuple[int, ...] = ()
    scans: list[Scan] = field(default_factory=list)
    end_of_scans: int = 0  # the place in the file behind the data of the last scan
    has_end: bool = False


def pixels_only(data: bytes) -> bytes:
    """A JPEG with the segments that its pixels need."""
    kept = [data[:2]]
    kept_from = 2  # where the bytes begin that are neither kept yet nor left out
    for segment in _header(data):
        if _is_metadata(segment):
            kept.append(data[kept_from : segment.start])
            end = segment.start + 4 + len(segment.body)
            kept_from = max(data.find(b"\xff", end), end)  # decoders pass over what stands between segments
    return b"".join([*kept, memoryview(data)[kept_from:]]) if kept_from > 2 else data


def read_metadata(data: bytes) -> Metadata:
    """The EXIF and XMP blocks of a JPEG."""
    blocks = [segment.body for segment in _header(data) if segment.marker == APP1]
    xmp = [block for block in blocks if block.startswith(XMP_MARK)]
    return Metadata([block for block in blocks if block.startswith(b"Exif\0\0")], b"".join(xmp[:1]))


def _header(data: bytes) -> Iterator[Segment]:
    """The segments before the first scan."""
    return itertools.takewhile(lambda segment: segment.marker != START_OF_SCAN, _segments(data))


def _is_metadata(segment: Segment) -> bool:
    """Whether no pixel needs it. JFIF and Adobe say how to convert colours, if they are whole."""
    if segment.marker == APP0:
        return not segment.body.startswith(b"JFIF\0") or len(segment.body) < 14
    if segment.marker == APP14:
        return not segment.body.startswith(b"Adobe") or len(segment.body) < 12
    return APP0 < segment.marker <= APP15 or segment.marker == COMMENT


def check_claims(image: JpegImageFile, data: bytes) -> None:
    """Raise NotAnImage if an opened JPEG claims more pixels than its bytes hold, or takes too many scans."""
    if image.width * image.height > PIXELS_PER_BYTE * len(data) and not _is_arithmetic(data):
        raise NotAnImage(f"claims {image.width:,} x {image.height:,} pixels, more than its bytes can hold")
    if not is_progressive_jpeg(image) or data.count(b"\xff\xda") <= MOST_SCANS:
        return
    if len(read_structure(data).scans) > MOST_SCANS:  # bytes behind the picture do not count
        raise NotAnImage(f"a progressive JPEG of more than {MOST_SCANS} scans; it is not decoded")


def _is_arithmetic(data: bytes) -> bool:
    """Whether it has no Huffman codes."""
    return any(segment.marker in ARITHMETIC_FRAMES for segment in _header(data))


def is_progressive_jpeg(image: Image.Image) -> bool:
    """Whether an opened image is a JPEG whose scans refine each other."""
    return isinstance(image, JpegImageFile) and "progressive" in image.info


def read_structure(data: bytes) -> Structure:
    """The scans of a JPEG that is whole or cut. Stops behind MOST_SCANS."""
    structure = Structure()
    for segment in _segments(data):
        if segment.marker in FRAMES and not structure.components:
            structure.is_progressive = segment.marker in PROGRESSIVE_FRAMES
            structure.height = int.from_bytes(segment.body[1:3], "big")
            structure.components = tuple(segment.body[6::3])
        elif segment.marker == START_OF_SCAN:
            structure.scans.append(_read_scan(segment.body))
            structure.end_of_scans = _end_of_scan(data, segment)
        structure.has_end = segment.marker == END_OF_IMAGE
        if len(structure.scans) > MOST_SCANS:
            break
    return structure


def _read_scan(body: bytes) -> Scan:
    count = body[0] if body else 0
    first, last, bits = body[1 + 2 * count : 4 + 2 * count].ljust(3, b"\0")
    return Scan(tuple(body[1 : 1 + 2 * count : 2]), range(first, min(last, 63) + 1), bits & 15)


def _segments(data: bytes) -> Iterator[Segment]:
    """Each whole segment behind the start of the image, up to its end, or to where the file is cut."""
    place = 2
    while (start := data.find(b"\xff", place)) >= 0:  # decoders pass over what stands between segments
        marker = data[start + 1] if start + 1 < len(data) else 0
        place = start + 1 if marker == 0xFF else start + 2  # bytes 255 may fill up the place before a marker
        if marker == END_OF_IMAGE:
            yield Segment(marker, start)
            return
        if marker == 0xFF or marker in WITHOUT_LENGTH:
            continue
        length = int.from_bytes(data[place : place + 2], "big")
        segment = Segment(marker, start, data[place + 2 : place + length])
        if length < 2 or len(segment.body) < length - 2:
            return
        yield segment
        place = _end_of_scan(data, segment) if marker == START_OF_SCAN else place + length


def _end_of_scan(data: bytes, start: Segment) -> int:
    behind = _marker_behind_scan.search(data, start.start + 4 + len(start.body))
    return behind.start() if behind else len(data)
