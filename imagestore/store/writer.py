"""Add images to a store. No image is lost, even if the process is killed.

Images go into a partial file beside the store: a copy of the store, or a new file if there is no store. To
publish it, the partial file is renamed to the store's name. So at every instant there is the old store or the
new one, complete. If the process is killed, the next writer takes the images over from the partial file, with
the help of its journal. (A few that were added last wait to be written together, and are then not in it: a
run that goes on adds them again.) A lock file makes sure that only one writer works at a time.
`working_files.py` names these files.

A StoreWriter belongs to the thread that made it. It has a thread of its own that touches the lock and syncs
the partial file.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from h5py.h5d import DatasetID

from imagestore.console import UserError
from imagestore.files.atomic_write import check_writable, put_in_place
from imagestore.files.disk_room import DiskFull
from imagestore.store import journal, working_files, writer_lock
from imagestore.store.corrections import Corrections, corrections_of
from imagestore.store.image_identity import identities, identity
from imagestore.store.partial_file import METADATA_BLOCK, SMALL_BLOCK, PartialFile, Place
from imagestore.store.reader import ImageStore
from imagestore.store.record import ImageRecord

SECONDS_BETWEEN_SYNCS = 5.0


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of an image at a position of a store: it moves to the label of `image`, or it goes."""

    position: int
    image: ImageRecord | None  # None: it is removed


class StoreWriter:
    """Adds images to the store at `path`, which may be new; `publish` puts the result in its place.

    Raises UserError if `path` cannot be written to, is no store, or another process is writing it. As a
    context manager: if the block ends without `publish`, the store stays as it was, and the next writer takes
    the added images over.
    """

    def __init__(self, path: str | Path, *, mends: bool = False) -> None:
        """`mends`: change few images. Those of killed writers then stay for the next writer."""
        self.path = Path(os.path.realpath(path))
        check_writable(self.path)
        self._lock, self._mends = working_files.lock_of(self.path), mends
        self._partial: PartialFile | None = None
        self._base: ImageStore | None = None  # the published store, if there is one
        self._origin: ImageStore | None = None  # the store that the partial file began as a copy of
        self._is_mended, self._images_removed = False, 0  # whether, and how many, of the origin
        self._stop = threading.Event()
        self._keep_alive_thread = threading.Thread(target=self._keep_alive, daemon=True)
        writer_lock.acquire(self._lock, self.path)
        self._keep_alive_thread.start()
        try:
            self._base = ImageStore(self.path, require_images=False) if self.path.exists() else None
            self._origin = self._base
            self._identities = _identities(self._base)
            self._labels = _labels(self._base)
            self._corrections_before = _corrections(self._base)
            self.corrections = dict(self._corrections_before)  # those that will be published
            self.images_before = len(self._identities)
            self.images_recovered = self._recover()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """The number of images in the store, with those that were added."""
        return len(self._identities)

    def images_new(self) -> int:
        """The number of images that were added."""
        removed = self._images_removed if self._origin is self._base else 0
        return len(self._identities) - self.images_before + removed

    def __contains__(self, image: int) -> bool:
        """Whether the store has the image with this `identity`."""
        return image in self._identities

    @property
    def origin(self) -> ImageStore | None:
        """The store whose images `mend` may change: the published one, or the one that this began as."""
        return self._origin

    def removed(self) -> Corrections:
        """The images that people removed from the store by hand."""
        return {
            key: correction
            for key, correction in self.corrections.items()
            if correction.is_removal and key not in self._identities
        }

    def forget_removals_of(self, writers: Sequence[StoreWriter]) -> None:
        """Forget that images were removed here, if one of the stores has them by now."""
        for key in self.removed():
            if any(key in writer for writer in writers):
                del self.corrections[key]

    def label_count(self) -> int:
        """The number of labels in the store, with those that were added."""
        return len(self._labels)

    def add(
        self,
        image: ImageRecord,
        data: bytes,
        copy_of: DatasetID | None = None,
        *,
        is_recovered: bool = True,
    ) -> bool:
        """Add an image; False if the store has it already. Raises DiskFull, OSError.

        `copy_of` is the same image as a dataset of another store, which is `copyable` there. `is_recovered`:
        if this process is killed, the next writer takes the image over.
        """
        key = identity(image.member, image.size, image.crc32)
        if key in self._identities:
            return False
        if self._partial is None:
            self._partial = self._new_partial(self._base)
        with self._forgetting_dropped(self._partial):
            self._partial.add(image, data, copy_of, is_recovered=is_recovered)
        self._identities.add(key)
        self._labels.add(image.label)
        return True

    def write_waiting(self) -> None:
        """Write the images that were added and wait for others. Raises DiskFull, OSError."""
        if self._partial is not None:
            with self._forgetting_dropped(self._partial):
                self._partial.write_waiting()

    @contextlib.contextmanager
    def _forgetting_dropped(self, partial: PartialFile) -> Iterator[None]:
        """If the block raises, forget the images that could not be written."""
        try:
            yield
        except BaseException:
            self._forget(partial.dropped)
            partial.dropped.clear()
            self._labels = partial.labels() - {b""}
            raise

    def _forget(self, images: Iterable[ImageRecord]) -> None:
        for image in images:
            self._identities.discard(identity(image.member, image.size, image.crc32 or 0))

    def take_back(self, count: int) -> None:
        """Forget the last `count` images that were added, and not published yet. Raises OSError."""
        if self._partial is None or not count:
            return
        self._forget(self._partial.take_back(count))
        self._labels = self._partial.labels() - {b""}

    def start_as_copy_of(self, store: ImageStore) -> bool:
        """Let a new store start as a copy of another store, which is made by copying the file.

        Return False, without a copy, if this store has images, if there is no room for the copy, or if the
        other store has no image, the same image twice, or an image that is not `copyable`. Raises OSError,
        UserError.
        """
        if self._base is not None or self._partial is not None or not store.copyable().all():
            return False
        found = _identities(store)
        if not len(found) == len(store) > 0:
            return False
        try:
            self._partial = self._new_partial(store)
        except DiskFull:
            return False
        self._identities, self._labels, self._origin = found, _labels(store), store
        return True

    def mend(self, changes: Sequence[Change]) -> None:
        """Move and remove images of `origin`, each at most once. Raises DiskFull, OSError, UserError."""
        if self._origin is None or not changes:
            return
        if self._partial is None:
            self._partial = self._new_partial(self._base)
        keys, before = list(identities(self._origin)), len(self._identities)
        for change in changes:
            self._mend_image(change)
        removed = {change.position for change in changes if change.image is None}
        self._identities -= {keys[i] for i in removed}
        self._identities |= {key for i, key in enumerate(keys) if i not in removed}  # some are there twice
        self._images_removed = before - len(self._identities)
        self._partial.finish_moving()
        self._labels = self._partial.labels() - {b""}

    def _mend_image(self, change: Change) -> None:
        index, i = self._origin.index, change.position
        lacks_identity = not (index.has_crc[i] and index.member(i))
        place = Place(i, self._origin.path_in_file(i), int(index.offset[i]), lacks_identity)
        if change.image is None:
            self._partial.remove_image(place)
        else:
            self._partial.move(place, change.image)
        self._is_mended = True

    def _new_partial(self, base: ImageStore | None) -> PartialFile:
        partial, journal_file = working_files.new_partial_and_journal(self.path)
        return PartialFile(partial, journal_file, base, SMALL_BLOCK if self._mends else METADATA_BLOCK)

    def _recover(self) -> int:
        """Take over the images of killed writers; return their number. Raises DiskFull, OSError.

        A writer that mends only removes the files of writers that leave no image.
        """
        journals = working_files.journals_left(self.path)
        if self._mends:
            journals = [path for path in journals if not any(journal.read(path))]
        before, removed = len(self._identities), self.removed()
        for journal_file in journals:
            for image, data in working_files.images_left(journal_file):
                if identity(image.member, image.size, image.crc32) not in removed:
                    self.add(image, data)
        for journal_file in journals:
            working_files.remove_left(journal_file)
        return len(self._identities) - before

    def _keep_alive(self) -> None:
        while not self._stop.wait(SECONDS_BETWEEN_SYNCS):
            writer_lock.touch(self._lock)
            partial = self._partial  # the other thread sets it to None when it publishes
            if partial is not None:
                partial.sync()

    def publish(self, heuristics: Sequence[dict] = ()) -> None:
        """Put the store with all changes in its place. Without changes, the file stays as it is.

        `heuristics` tells what labelled the new images: [{"version", "settings", "since"}]. Raises OSError;
        UserError if another tool changed the store since it was opened here.
        """
        corrections = self._corrections_to_keep()
        is_corrected = corrections != self._corrections_before
        if is_corrected and self._partial is None and self._base is not None:
            self._partial = self._new_partial(self._base)
        partial, self._partial = self._partial, None
        if partial is None:
            return
        is_longer = len(partial) != (0 if self._base is None else len(self._base))
        if not (is_longer or is_corrected or self._is_mended):  # adding the first image failed
            partial.close()
            partial.remove()
            return
        try:
            partial.finish(self._all_heuristics(heuristics), corrections)
        except BaseException:
            partial.close()
            raise
        if not self._base_is_in_place():
            outcome = "the new images are kept beside it: run the same command again to add them"
            if self._mends:
                partial.remove()
                outcome = "nothing of this run is in it: run the same command again"
            raise UserError(f"{self.path}: another tool changed it during this run; {outcome}")
        put_in_place(partial.path, self.path)
        partial.remove()

    def discard(self) -> None:
        """Forget all images that were not published yet, with those taken over from killed writers."""
        if self._partial is None:
            return
        self._partial.close()
        self._partial.remove()
        self._partial, self.images_recovered = None, 0
        self._is_mended, self._images_removed = False, 0
        self._origin, self.corrections = self._base, dict(self._corrections_before)
        self._identities = _identities(self._base)
        self._labels = _labels(self._base)

    def _corrections_to_keep(self) -> Corrections:
        """All corrections, without the removals of images that were added again."""
        removed = self.removed()
        return {
            key: correction
            for key, correction in self.corrections.items()
            if not correction.is_removal or key in removed
        }

    def _base_is_in_place(self) -> bool:
        """Whether the store is still the one that was opened here and unchanged, or still missing."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return self._base is None
        return self._base is not None and not self._base.changed() and self._base.is_same_file(status)

    def _all_heuristics(self, new: Sequence[dict]) -> list[dict]:
        """The heuristics of the base, then the new ones that differ from them in more than their date."""
        heuristics = self._base.heuristics() if self._base is not None else []
        for heuristic in new:
            if not any(old | {"since": 0} == heuristic | {"since": 0} for old in heuristics):
                heuristics.append(heuristic)
        return heuristics

    def close(self) -> None:
        """Release the store. Images that were added and not published stay for the next writer."""
        self._stop.set()
        if self._keep_alive_thread.ident is not None:
            self._keep_alive_thread.join()
        with contextlib.suppress(OSError):
            if self._partial is not None:
                self._partial.close()
        self._partial = None
        if self._base is not None:
            self._base.close()
        writer_lock.release(self._lock)


def _labels(store: ImageStore | None) -> set[bytes]:
    return set() if store is None else {label for label in store.index.label_bytes if label}


def _corrections(store: ImageStore | None) -> Corrections:
    """The corrections that a store keeps. It is not open in HDF5 afterwards, so that others can open it."""
    if store is None:
        return {}
    corrections = corrections_of(store)
    store.release()
    return corrections


def _identities(store: ImageStore | None) -> set[int]:
    """The `identity` of each image in a store."""
    return set() if store is None else set(identities(store))
