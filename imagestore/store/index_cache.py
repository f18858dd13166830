"""The index of a large store that has none of its own, kept in the user's cache after the first walk.

A walk takes minutes where there are a million images. What it found is written as a store's own index is,
behind a stamp of the store as it was: inode, size, times, a digest of parts of it. Any write to the store
changes the time of its last change (st_ctime), which nobody can set; an index with another stamp is not
believed. Used by store.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

from imagestore import cache_folder, files
from imagestore.console import UserError
from imagestore.store.index import StoreIndex
from imagestore.store.trailer import read_trailer, write_trailer

WORTH_KEEPING = 10_000  # images; fewer are walked in about a second


SETTLED = 2.0  # seconds: coarser than any clock of files, so that no later write has the same time


STAMP_BYTES = 16


def stamp(store: int) -> bytes | None:
    """What the open file is now; None where it was written to just now, so that no stamp could tell."""
    status = os.fstat(store)
    if abs(time.time() - status.st_ctime) < SETTLED:
        return None
    facts = {**cache_folder.fingerprint(store), "inode": status.st_ino, "ctime_ns": status.st_ctime_ns}
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=STAMP_BYTES).digest()


def load(path: Path, expected: bytes | None) -> StoreIndex | None:
    """The index kept for the store at `path`, whole in memory; None where there is none with that stamp."""
    if expected is None:
        return None
    try:
        with cache_folder.path_for(path).open("rb") as file:
            if file.read(STAMP_BYTES) != expected:
                return None
            index = read_trailer(file.fileno(), STAMP_BYTES)
            return index and index.walked_copy()
    except OSError:
        return None


def save(path: Path, stamped: bytes | None, index: StoreIndex) -> None:
    """Keep the index of the store at `path` where that is worth it and possible."""
    if stamped is None or len(index) < WORTH_KEEPING:
        return
    place = cache_folder.path_for(path)
    with contextlib.suppress(OSError, UserError):  # no room, no permission: then it is walked again
        place.parent.mkdir(parents=True, exist_ok=True)
        with files.whole(place) as part, part.open("wb") as file:
            file.write(stamped)
            file.flush()
            write_trailer(file.fileno(), STAMP_BYTES, index)
