"""Which files of an archive or a folder are images, and for which reasons the others are skipped."""

from __future__ import annotations

import os
import stat

from imagestore.archive.file_kinds import members_of_kind
from imagestore.decode.memory_bound import memory_bound
from imagestore.image_formats import begins_as_image, has_image_suffix

MADE_BY_MACOS = "__MACOSX"
LONGEST_NAME = 32_000  # bytes of a member's name that a store takes: an HDF5 attribute holds 64 KiB

# A run prints its counts in this order, without the folders. Then come the names of file_kinds.py.
SKIP_REASONS = (
    "folders",
    "not images",
    "links",
    "broken links",
    "devices",
    "hidden",
    "hidden images",
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
        return reason_for_hidden(name, looks_like_image=has_image_suffix(name))
    if size > memory_bound():  # no worker could decode it
        return "too large" if has_image_suffix(name) else members_of_kind(name, b"")
    return None


def reason_for_hidden(name: str, *, looks_like_image: bool) -> str:
    """Return how a hidden file is counted: images in hidden folders are told from what else is hidden."""
    return "hidden images" if looks_like_image and hidden_folder(name) else "hidden"


def is_image(name: str, data: bytes) -> bool:
    """Whether a file is an image by the suffix of its name, or by its first bytes."""
    return has_image_suffix(name) or begins_as_image(data)


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder in its path, is hidden or made by macOS (`._name`, `__MACOSX`)."""
    return any(part == MADE_BY_MACOS or _is_hidden_part(part) for part in name.split("/"))


def hidden_folder(name: str) -> str:
    """The path of the first hidden folder that a file is in; empty if there is none, or if macOS made it."""
    parts = name.split("/")
    if MADE_BY_MACOS in parts or parts[-1].startswith("._"):
        return ""
    first = next((i for i, part in enumerate(parts[:-1]) if _is_hidden_part(part)), None)
    return "" if first is None else "/".join(parts[: first + 1])


def _is_hidden_part(part: str) -> bool:
    return part.startswith(".") and part not in (".", "..")
