"""The user's cache folder: what was found out about a large file, so that it need not be found out again.

Used by archive_index and index_cache. What is kept there is tied to the file by its fingerprint, and can
be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

SAMPLE = 4096


SAMPLES = 32


ENDS = 64 << 10  # of the digest: as much of the file's beginning and of its end


def fingerprint(descriptor: int) -> dict[str, int | str]:
    """An open file's size, modification time (ns) and BLAKE2 digest of its ends and of samples between."""
    status = os.fstat(descriptor)
    digest = hashlib.blake2b(digest_size=16)
    digest.update(os.pread(descriptor, ENDS, 0))
    for i in range(1, SAMPLES + 1):
        digest.update(os.pread(descriptor, SAMPLE, status.st_size * i // (SAMPLES + 1)))
    digest.update(os.pread(descriptor, ENDS, max(0, status.st_size - ENDS)))
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "digest": digest.hexdigest()}


def path_for(file: Path) -> Path:
    """Where the index of `file` is kept: in $XDG_CACHE_HOME/imagestore, else in ~/.cache/imagestore."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    folder = Path(cache) if os.path.isabs(cache) else Path(os.path.expanduser("~/.cache"))
    if not folder.is_absolute():  # no HOME, and nobody by that number (containers): "~" would be made here
        folder = Path(os.devnull)  # below which nothing can be
    place = os.path.realpath(file)
    name = hashlib.blake2b(os.fsencode(place), digest_size=8).hexdigest()
    return folder / "imagestore" / f"{name}.index"
