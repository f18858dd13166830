"""Which files of an archive or a folder are images, and why the others are passed over."""

from __future__ import annotations

import os
import stat

LARGEST = 64 << 20  # bytes; no photograph is larger, and every worker holds a few of them


SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".dib"]
)


BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")


SKIPPED = ("folders", "not images", "links", "devices", "hidden", "too large", "unreadable")


def passed_over_file(name: str, status: os.stat_result) -> str | None:
    """Why a file of a folder is no image, as far as its status tells."""
    if stat.S_ISLNK(status.st_mode):
        return "links"
    if not stat.S_ISREG(status.st_mode):
        return "devices"
    return passed_over_name(name, status.st_size)


def passed_over_name(name: str, size: int) -> str | None:
    if _is_hidden(name):
        return "hidden"
    if size > LARGEST:
        return "too large" if _has_image_suffix(name) else "not images"
    return None


def _is_hidden(name: str) -> bool:
    """Whether a file or folder on the way is hidden, or macOS's (`._name`, `__MACOSX`)."""
    return any(
        part == "__MACOSX" or (part.startswith(".") and part not in (".", "..")) for part in name.split("/")
    )


def _has_image_suffix(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def is_image(name: str, data: bytes) -> bool:
    """By its name, or, where that says nothing, by how it begins."""
    return (
        _has_image_suffix(name)
        or data.startswith(BEGINNINGS)
        or (data.startswith(b"RIFF") and data[8:12] == b"WEBP")
        or (data.startswith(b"BM") and data[6:10] == bytes(4))  # BMP: two reserved fields, always zero
    )
