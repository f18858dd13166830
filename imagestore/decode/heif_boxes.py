"""AVIF and HEIF: a picture whose EXIF block is hidden from the decoder.

Properties of the picture (irot, imir) say how it is turned, not EXIF (ISO/IEC 23008-12, 6.5.10 and A.2.3).
"""

from __future__ import annotations

import re

# An entry of the table of items: version, flags, the item's number, its protection, its kind
_exif_entry = re.compile(rb"(infe(?:\x02.{3}.{2}|\x03.{3}.{4}).{2})Exif", re.DOTALL)


def pixels_only(data: bytes) -> bytes:
    """The file with its EXIF blocks as blocks of a kind that nothing reads."""
    return _exif_entry.sub(rb"\1skip", data)
