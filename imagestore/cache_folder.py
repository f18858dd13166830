"""The user's cache folder: it keeps what takes long to find out about a large file.

Whatever is kept there is tied to the file by the file's fingerprint. The user may delete it at any time.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

# The bytes of a file that its digest covers.
SAMPLE = 4096
SAMPLES = 32
ENDS = 64 << 10  # at the beginning, and again at the end


def fingerprint(descriptor: int) -> dict[str, int | str]:
    """Return an open file's size, modification time (ns) and a BLAKE2 digest of its ends and of samples."""
    status = os.fstat(descriptor)
    digest = hashlib.blake2b(digest_size=16)
    digest.update(os.pread(descriptor, ENDS, 0))
    for i in range(1, SAMPLES + 1):
        digest.update(os.pread(descriptor, SAMPLE, status.st_size * i // (SAMPLES + 1)))
    digest.update(os.pread(descriptor, ENDS, max(0, status.st_size - ENDS)))
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "digest": digest.hexdigest()}


def path_for(file: Path) -> Path:
    """Return where the index of `file` is kept: in $XDG_CACHE_HOME/imagestore, else in ~/.cache/imagestore.

    All names of a file (symbolic links, relative paths) have the same place.
    """
    digest = hashlib.blake2b(os.fsencode(os.path.realpath(file)), digest_size=8)
    return _cache_home() / "imagestore" / f"{digest.hexdigest()}.index"


def _cache_home() -> Path:
    """Return the folder that all programs of the user share for caches (XDG Base Directory Specification)."""
    folder = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(folder):  # the specification ignores a relative path
        folder = os.path.expanduser("~/.cache")
    if not os.path.isabs(folder):  # there is no HOME and no such user (containers): "~" itself would be made
        folder = os.devnull  # nothing can be made below it
    return Path(folder)
