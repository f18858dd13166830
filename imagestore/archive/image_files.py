"""Which files of an archive or a folder are images, and for which reasons the others are skipped."""

from __future__ import annotations

import os
import stat

from imagestore.decode.memory_bound import memory_bound
from imagestore.image_formats import begins_as_image, has_image_suffix

LONGEST_NAME = 32_000  # bytes of a member's name that a store takes: an HDF5 attribute holds 64 KiB

# A run prints its counts in this order, without the folders.
SKIP_REASONS = (
    "folders",
    "not images",
    "links",
    "broken links",
    "devices",
    "hidden",
    "too large",
    "unreadable",
)


def reason_to_skip_file(name: str, status: os.stat_result) -> str | None:
    """Return why a file of a folder, no link, is no image, as far as its status tells, or None."""
    if not stat.S_ISREG(status.st_mode):
        return "devices"
    return reason_to_skip_name(name, status.st_size)


def reason_to_skip_name(name: str, size: int) -> str | None:
    """Return why a regular file is no image, as far as its name and its size tell, or None."""
    if is_hidden(name):
        return "hidden"
    if size > memory_bound():  # no worker could decode it
        return "too large" if has_image_suffix(name) else "not images"
    return None


def is_image(name: str, data: bytes) -> bool:
    """Whether a file is an image by the suffix of its name, or by its first bytes."""
    return has_image_suffix(name) or begins_as_image(data)


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder in its path, is hidden or made by macOS (`._name`, `__MACOSX`)."""
    return any(
        part == "__MACOSX" or (part.startswith(".") and part not in (".", "..")) for part in name.split("/")
    )
