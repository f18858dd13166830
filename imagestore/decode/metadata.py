"""The metadata of an encoded image, as far as it may say which side of the picture is up."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Metadata:
    """Blocks as they stand in the file."""

    exif: list[bytes] = field(default_factory=list)
    xmp: bytes = b""
