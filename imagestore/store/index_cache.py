"""The index of a large store that has none of its own, kept in the user's cache folder after the first walk.

With a million images, a walk takes minutes. The index is kept in the format of a store's own index, behind a
stamp. The stamp is a digest of the store's inode, size, times and parts of its bytes. Any write to the store
changes the time of its last change (st_ctime), which nobody can set. So an index whose stamp is right belongs
to the store as it is now.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

from imagestore import cache_folder
from imagestore.console import UserError
from imagestore.files.atomic_write import write_whole
from imagestore.store.index import StoreIndex
from imagestore.store.trailer import read_trailer, write_trailer

FEWEST_IMAGES = 10_000  # fewer are walked in about a second
SECONDS_TO_SETTLE = 2.0  # longer than the steps in which any file system counts time
STAMP_BYTES = 16
WALK_VERSION = 2  # raise it if a walk finds other images in the same file


def stamp_of(store: int) -> bytes | None:
    """The stamp of an open file.

    None if the file was written to just now: a further write might get the same time, and so the same stamp.
    """
    status = os.fstat(store)
    if abs(time.time() - status.st_ctime) < SECONDS_TO_SETTLE:
        return None
    facts = {**cache_folder.fingerprint(store), "inode": status.st_ino, "ctime_ns": status.st_ctime_ns}
    facts["walk"] = WALK_VERSION
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=STAMP_BYTES).digest()


def load(path: Path, stamp: bytes | None) -> StoreIndex | None:
    """The index kept for the store at `path`, in memory; None if there is none with this stamp."""
    if stamp is None:
        return None
    try:
        with cache_folder.path_for(path).open("rb") as file:
            if file.read(STAMP_BYTES) != stamp:
                return None
            index = read_trailer(file.fileno(), STAMP_BYTES)
            return index and index.copy_as_walked()
    except OSError:
        return None


def save(path: Path, stamp: bytes | None, index: StoreIndex) -> None:
    """Keep the index of the store at `path`, if it is large and the cache folder can be written to.

    Images in other files are not kept: the stamp does not tell whether those files changed.
    """
    if stamp is None or len(index) < FEWEST_IMAGES or index.remarks.uses_other_files:
        return
    kept_index = cache_folder.path_for(path)
    with contextlib.suppress(OSError, UserError):  # no room or no permission: the store is walked again
        kept_index.parent.mkdir(parents=True, exist_ok=True)
        with write_whole(kept_index) as temporary, temporary.open("wb") as file:
            file.write(stamp)
            file.flush()
            write_trailer(file.fileno(), STAMP_BYTES, index)
