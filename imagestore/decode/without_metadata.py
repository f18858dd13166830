"""An encoded image whose metadata stands apart from what its pixels need."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class WithoutMetadata:
    """What decoders read, and the blocks that may say which side of the picture is up."""

    data: bytes
    exif: list[bytes] = field(default_factory=list)
    xmp: bytes = b""
