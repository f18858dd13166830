"""An icon (ICO) is a list of pictures; the largest is the picture.

Pillow would decode a picture of any size inside while it opens the icon, before anything can be checked.
"""

from __future__ import annotations

import math
import struct

from imagestore.decode import png_chunks
from imagestore.decode.errors import NotAnImage

LIST, ENTRY = 6, 16  # bytes of the head and of each entry of the list
LONGEST_SIDE = 2048  # pixels of a bitmap inside. The list can say 256 at most


def pixels_only(data: bytes) -> bytes:
    """The largest picture of an icon: a PNG, or an icon of nothing else. Raises NotAnImage, struct.error."""
    picture = _largest_picture(data)
    return png_chunks.pixels_only(picture) if picture.startswith(png_chunks.SIGNATURE) else picture


def _largest_picture(data: bytes) -> bytes:
    count = struct.unpack_from("<H", data, 4)[0]
    entries = [struct.unpack_from("<BBBBHHII", data, LIST + ENTRY * i) for i in range(count)]
    if not entries:
        raise NotAnImage("an icon without pictures")
    entry = max(entries, key=_size_and_depth)
    size, place = entry[6:]
    picture = data[place : place + size]
    if picture.startswith(png_chunks.SIGNATURE):
        return picture
    _check_bitmap(picture)
    return b"\0\0\1\0\1\0" + struct.pack("<BBBBHHII", *entry[:6], size, LIST + ENTRY) + picture


def _size_and_depth(entry: tuple[int, ...]) -> tuple[int, float]:
    """The pixels of a picture in the list, and the bits of each. A side of 0 is 256."""
    width, height, colours, _, _, bits, _, _ = entry
    return (width or 256) * (height or 256), bits or (math.log2(colours) if colours else math.inf)


def _check_bitmap(picture: bytes) -> None:
    width, height = struct.unpack_from("<ii", picture, 4)
    if width > LONGEST_SIDE or abs(height) > 2 * LONGEST_SIDE:  # the mask counts as height
        raise NotAnImage(f"an icon that claims {width:,} x {abs(height) // 2:,} pixels; it is not decoded")
