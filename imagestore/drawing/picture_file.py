"""A picture's file, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from imagestore.console import UserError
from imagestore.files.atomic_write import write_whole


def write_picture(encoded: bytes, path: Path) -> None:
    """Write an encoded picture. Raises UserError."""
    try:
        with write_whole(path) as temporary:
            temporary.write_bytes(encoded)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
