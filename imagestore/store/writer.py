"""Adding images to a store, so that nothing is lost whenever and however the work ends.

Images go into a new file beside the store (a copy of it, where there is one), which takes the store's
place when it is published: at every instant the store is the old one or the new one, whole. A journal
says which images are in the new file; where a process was killed, the next writer takes them from there.
One writer at a time, by a lock file. Used by pipeline.

    .<name>.lock    .<name>.<token>.partial    .<name>.<token>.journal

A writer belongs to the thread that made it; a thread of its own keeps the lock alive and the disk busy.
"""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from h5py.h5d import DatasetID
from isal.isal_zlib import crc32

from imagestore import files
from imagestore.console import UserError
from imagestore.files import DiskFull
from imagestore.store import journal, writer_lock
from imagestore.store.partial_file import PartialFile
from imagestore.store.reader import ImageStore
from imagestore.store.record import ImageRecord

SECONDS_BETWEEN_SYNCS = 5.0


LONGEST_STEM = 200  # bytes of the store's name in the names of the files beside it


def identity(member: bytes, size: int, checksum: int) -> int:
    """A number that tells images apart: by the member's name, and its bytes' size and CRC-32."""
    return (checksum << 64) | (crc32(member) << 32) | (size & 0xFFFFFFFF)


class StoreWriter:
    """Adds images to the store at `path`, which is made where there is none; `publish` puts it in place.

    Raises UserError where it cannot be written to, is no store, or another process is writing it. As a
    context manager: where the block ends without `publish`, the store is as it was and the next writer
    goes on with what this one had.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(os.path.realpath(path))
        files.check_writable(self.path)
        self._lock = self._beside("lock")
        self._partial: PartialFile | None = None
        self._base: ImageStore | None = None
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep_alive, daemon=True)
        writer_lock.acquire(self._lock, self.path)
        self._keeper.start()
        try:
            self._base = self._open_base()
            self._known = _identities(self._base)
            self._labels = _labels(self._base)
            self.before = len(self._known)
            self.recovered = self._recover()
        except BaseException:
            self.close()
            raise

    def _beside(self, kind: str) -> Path:
        whole = os.fsencode(self.path.name)
        name = os.fsdecode(whole[:LONGEST_STEM])
        if len(whole) > LONGEST_STEM:  # else two stores whose names begin alike would share these files
            name += f"~{crc32(whole):08x}"
        return self.path.with_name(f".{name}.{kind}")

    def _open_base(self) -> ImageStore | None:
        return ImageStore(self.path, require_images=False) if self.path.exists() else None

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, image: int) -> bool:
        """Whether the store has the image with this `identity`."""
        return image in self._known

    def add(self, image: ImageRecord, data: bytes, copy_of: DatasetID | None = None) -> bool:
        """Add an image; False where the store has it already. Raises DiskFull, OSError.

        `copy_of` is a dataset of another store that is this image and is `complete` there.
        """
        key = identity(image.member, image.size, image.crc32)
        if key in self._known:
            return False
        if self._partial is None:
            self._partial = self._new_partial(self._base)
        self._partial.add(image, data, copy_of)
        self._known.add(key)
        self._labels.add(image.label)
        return True

    def begin_as(self, store: ImageStore) -> bool:
        """Let a store that is new begin as a copy of another, made by copying the file.

        False, and nothing done, where this one has images, there is no room for all of the other's, or the
        other has one twice or one that is not `complete`. Raises OSError, UserError.
        """
        if self._base is not None or self._partial is not None or not store.complete().all():
            return False
        known = _identities(store)
        if not len(known) == len(store) > 0:
            return False
        try:
            self._partial = self._new_partial(store)
        except DiskFull:
            return False
        self._known, self._labels = known, _labels(store)
        return True

    def _new_partial(self, base: ImageStore | None) -> PartialFile:
        token = secrets.token_hex(4)
        return PartialFile(self._beside(f"{token}.partial"), self._beside(f"{token}.journal"), base)

    def _recover(self) -> int:
        """Take over what killed writers left; returns the number of images. Raises DiskFull, OSError."""
        pattern = self.path.with_name(glob.escape(self._beside("").name) + "????????.journal")
        leftover = [Path(found) for found in glob.glob(str(pattern))]
        before = len(self._known)
        for old in leftover:
            self._take_over(old)
        for old in leftover:
            old.with_suffix(".partial").unlink(missing_ok=True)
            old.unlink(missing_ok=True)
        return len(self._known) - before

    def _take_over(self, old: Path) -> None:
        try:
            fd = os.open(old.with_suffix(".partial"), os.O_RDONLY)
        except FileNotFoundError:  # published, or not begun
            return
        try:
            for image, offset in journal.read(old):
                data = os.pread(fd, image.size, max(offset, 0))
                if len(data) == image.size and crc32(data) == image.crc32:
                    self.add(image, data)
        finally:
            os.close(fd)

    def _keep_alive(self) -> None:
        while not self._stop.wait(SECONDS_BETWEEN_SYNCS):
            writer_lock.touch(self._lock)
            partial = self._partial  # which another thread takes away when it publishes
            if partial is not None:
                partial.sync()

    def labels(self) -> int:
        """The number of labels in the store, what was added included."""
        return len(self._labels)

    def publish(self, heuristics: Sequence[dict] = ()) -> None:
        """Put the store with all added images in its place; nothing happens where none was added.

        `heuristics` says what labelled them: [{"version", "settings", "since"}]. Raises OSError.
        """
        partial, self._partial = self._partial, None
        if partial is None:
            return
        if len(partial) == (0 if self._base is None else len(self._base)):  # the first was refused
            partial.close()
            partial.remove()
            return
        try:
            partial.finish(self._heuristics(heuristics))
        except BaseException:
            partial.close()
            raise
        if not self._in_place():
            raise UserError(
                f"{self.path}: another tool changed it in the meantime; what was finished is kept beside it: "
                "run the same command again"
            )
        files.replace(partial.path, self.path)
        partial.remove()

    def discard(self) -> None:
        """Forget all that was added since the store was published, what was taken over included."""
        if self._partial is None:
            return
        self._partial.close()
        self._partial.remove()
        self._partial, self.recovered = None, 0
        self._known = _identities(self._base)
        self._labels = _labels(self._base)

    def _in_place(self) -> bool:
        """Whether there is still the store that the new file began as a copy of, or still none."""
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return self._base is None
        return self._base is not None and not self._base.changed() and self._base.is_file(there)

    def _heuristics(self, new: Sequence[dict]) -> list[dict]:
        kept = self._base.heuristics() if self._base is not None else []
        for heuristic in new:
            if not any(old | {"since": 0} == heuristic | {"since": 0} for old in kept):
                kept.append(heuristic)
        return kept

    def close(self) -> None:
        """Let go of the store; what was added and not published stays for the next writer."""
        self._stop.set()
        if self._keeper.ident is not None:
            self._keeper.join()
        with contextlib.suppress(OSError):
            if self._partial is not None:
                self._partial.close()
        self._partial = None
        if self._base is not None:
            self._base.close()
        writer_lock.release(self._lock)


def _labels(store: ImageStore | None) -> set[bytes]:
    return set() if store is None else set(store.index.label_bytes)


def _identities(store: ImageStore | None) -> set[int]:
    if store is None:
        return set()
    index = store.index
    members = (index.member(i) or index.name(i).rpartition(b"/")[2] for i in range(len(index)))
    numbers = zip(members, index.size.tolist(), _checksums(store), strict=True)
    return {identity(member, size, checksum) for member, size, checksum in numbers}


def _checksums(store: ImageStore) -> Iterator[int]:
    """Those that the store keeps; of images of other tools, which have none, that of their bytes."""
    for i, (checksum, known) in enumerate(
        zip(store.index.crc32.tolist(), store.index.has_crc.tolist(), strict=True)
    ):
        if not known:
            with contextlib.suppress(OSError):  # what cannot be read is not what is added
                checksum = crc32(store.read(i))
        yield checksum
