"""What a store knows of one image, without its bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

PALETTE_COLUMNS = ("share", "L", "a", "b", "R", "G", "B")


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """One image of a store.

    `label` and `name` are its place in the store. `member` is its name in the archive that it came from, or
    empty. `size` (bytes) and `crc32` are those of the image's bytes; `crc32` is None if the store keeps none.
    `mtime` (of the member) and `created` (when it was stored) are seconds since 1970. `created` is 0 if it is
    unknown. An `mtime` of 0 is unknown if `created` is unknown too; else it is the beginning of 1970.
    `palette` is float32 (k, 7), a row of PALETTE_COLUMNS for each dominant colour, or None.
    """

    label: bytes
    name: bytes
    size: int
    member: bytes = b""
    crc32: int | None = None
    mtime: int = 0
    created: int = 0
    palette: np.ndarray | None = field(default=None, compare=False)

    @property
    def modified(self) -> int | None:
        """The member's time in seconds since 1970, or None if it is unknown."""
        return self.mtime if self.mtime or self.created else None
