"""Which files of an archive or a folder are images, and for which reasons the others are skipped."""

from __future__ import annotations

import os
import stat

LARGEST_IMAGE = 64 << 20  # bytes; no photograph is larger, and each worker holds a few images

IMAGE_SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".dib"]
)

IMAGE_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")

# A run prints its counts in this order, without the folders.
SKIP_REASONS = ("folders", "not images", "links", "devices", "hidden", "too large", "unreadable")


def reason_to_skip_file(name: str, status: os.stat_result) -> str | None:
    """Return why a file of a folder is no image, as far as its status tells, or None."""
    if stat.S_ISLNK(status.st_mode):
        return "links"
    if not stat.S_ISREG(status.st_mode):
        return "devices"
    return reason_to_skip_name(name, status.st_size)


def reason_to_skip_name(name: str, size: int) -> str | None:
    """Return why a regular file is no image, as far as its name and its size tell, or None."""
    if _is_hidden(name):
        return "hidden"
    if size > LARGEST_IMAGE:
        return "too large" if _has_image_suffix(name) else "not images"
    return None


def is_image(name: str, data: bytes) -> bool:
    """Whether a file is an image by the suffix of its name, or by its first bytes."""
    return (
        _has_image_suffix(name)
        or data.startswith(IMAGE_SIGNATURES)
        or (data.startswith(b"RIFF") and data[8:12] == b"WEBP")
        or (data.startswith(b"BM") and data[6:10] == bytes(4))  # BMP: two reserved fields, always zero
    )


def _is_hidden(name: str) -> bool:
    """Whether a file, or a folder in its path, is hidden or made by macOS (`._name`, `__MACOSX`)."""
    return any(
        part == "__MACOSX" or (part.startswith(".") and part not in (".", "..")) for part in name.split("/")
    )


def _has_image_suffix(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
