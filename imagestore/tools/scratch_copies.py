"""Copies of stores on a fast disk of this node, shared by the tasks of a job.

The first task makes the copies, the others wait for them. Each holds a lock as long as it runs. Nobody holds
the lock of a job that was killed: so the next job on the node removes the copies that it left.

    PLACE/imagestore-UID/JOB-NODE/lock       each task holds it, shared
                                 /making     who makes the copies holds it
                                 /copies     a list of the copies (staged_stores.py); empty if there are none
                                 /0/train.h5
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from isal.isal_zlib import crc32

from imagestore.console import counted, note
from imagestore.files.write_and_copy import copy_start
from imagestore.hdf5.superblock import end_of_file_address
from imagestore.loading.free_memory import available_memory
from imagestore.staged_stores import read_list, write_list
from imagestore.store.trailer import read_trailer

PROGRAM = "on_scratch"
FOLDER, LOCK, MAKING, COPIES = "imagestore-{uid}", "lock", "making", "copies"
ROOM = 1.1  # times the size of the stores
SHARE_OF_MEMORY = 0.5  # that copies may take: the program needs some, too
IN_MEMORY = ("tmpfs", "ramfs")


class CannotCopy(Exception):
    """The reason why a store is read where it is."""


@dataclass(frozen=True)
class Staged:
    """The stores to read, copies or originals, and the open lock that protects the copies (-1: none)."""

    stores: list[Path]
    lock: int = -1
    listing: Path | None = None  # the list of the copies


def stage(stores: Sequence[Path], places: Sequence[Path], job: str) -> Staged:
    """Copy the stores to the first place that fits, or find the copies that another task of `job` has made.

    `job` names the job and the node. Whatever goes wrong, the originals are used, with a word.
    """
    try:
        sizes = [_size_of_copyable(store) for store in stores]
        place = _choose_place(stores, sum(sizes), places, job)
        return _share(stores, place / job)
    except (CannotCopy, OSError) as error:
        note(f"{PROGRAM}: stores are read where they are: {error}")
        return Staged(list(stores))


def clean(places: Sequence[Path]) -> int:
    """Remove all copies in these places that no task uses; return how many jobs had left them."""
    removed = 0
    for place in places:
        with contextlib.suppress(OSError, CannotCopy):
            for folder in sorted(_own_folder(place, make=False).iterdir()):
                removed += _remove_if_unused(folder)
    return removed


# ----- where -----


def _choose_place(stores: Sequence[Path], size: int, places: Sequence[Path], job: str) -> Path:
    """The first of the places with room, or that has copies of this job already. Raises CannotCopy."""
    reasons = []
    on_disks = {os.stat(store).st_dev for store in stores}
    for place in places:
        try:
            folder = _own_folder(place)
            if (folder / job / COPIES).exists():
                return folder
            if os.stat(folder).st_dev in on_disks:
                raise CannotCopy("is the disk of the stores")
            if (room := _room(folder)) < size * ROOM and not (folder / job).exists():
                raise CannotCopy(f"has room for {room / 1e6:,.0f} MB")
        except (OSError, CannotCopy) as error:
            reasons.append(f"{place} {getattr(error, 'strerror', None) or error}")
        else:
            return folder
    raise CannotCopy(f"no place for {size / 1e6:,.0f} MB ({'; '.join(reasons) or 'none is named'})")


def _own_folder(place: Path, make: bool = True) -> Path:
    """This user's folder in a place, which nobody else can look into. Raises OSError, CannotCopy."""
    folder = place / FOLDER.format(uid=os.getuid())
    if make:
        with contextlib.suppress(FileExistsError):
            place.mkdir(mode=0o700)  # /tmp/$USER
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or stat.S_IMODE(state.st_mode) & 0o077:
        raise CannotCopy(f"has a {folder.name} that others can use")
    return folder


def _room(folder: Path) -> int:
    """Bytes that fit into a folder. What is in memory counts as memory of the job."""
    state = os.statvfs(folder)
    room = state.f_bavail * state.f_frsize
    return min(room, int(available_memory() * SHARE_OF_MEMORY)) if _is_in_memory(folder) else room


def _is_in_memory(folder: Path) -> bool:
    """Whether the folder's file system is one of IN_MEMORY, by Linux's table of mounts."""
    device = os.stat(folder).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
            fields = line.decode(errors="replace").split()
            if fields[2] == number:
                return fields[fields.index("-") + 1] in IN_MEMORY
    return False


# ----- who -----


def _share(stores: Sequence[Path], folder: Path) -> Staged:
    """Use the folder's copies; make them if nobody has. Raises OSError, CannotCopy."""
    lock = _hold(folder)
    with _locked(folder / MAKING):
        if not (folder / COPIES).exists():
            _make_copies(stores, folder)
    copies = read_list(folder / COPIES)
    if not copies:
        os.close(lock)
        raise CannotCopy("another task of this node could not copy them")
    return Staged([folder / copy for copy in copies], lock, folder / COPIES)


def _hold(folder: Path) -> int:
    """Make the folder and hold its lock, shared; the open lock. Raises OSError."""
    while True:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        try:
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # it was just removed as one that nobody uses
            continue
        fcntl.flock(lock, fcntl.LOCK_SH)
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(lock).st_ino == os.stat(folder / LOCK).st_ino:
                return lock
        os.close(lock)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_if_unused(folder: Path) -> bool:
    """Remove a folder of copies if no task holds its lock; whether it was so. Raises OSError."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        shutil.rmtree(folder)
        return True
    finally:
        os.close(lock)


# ----- copying -----


def _make_copies(stores: Sequence[Path], folder: Path) -> None:
    """Copy all stores, or none; the list of copies is written last. Raises OSError, CannotCopy."""
    names = [f"{number}/{store.name}" for number, store in enumerate(stores)]
    try:
        for store, name in zip(stores, names, strict=True):
            (folder / name).parent.mkdir(mode=0o700, exist_ok=True)
            copy_store(store, folder / name)
    except (OSError, CannotCopy):
        for number in range(len(stores)):
            shutil.rmtree(folder / str(number), ignore_errors=True)
        write_list(folder / COPIES, {})
        raise
    write_list(folder / COPIES, dict(zip(names, stores, strict=True)))
    size = sum((folder / name).stat().st_size for name in names)
    what = counted(len(names), "store")
    note(f"{PROGRAM}: copied {what}, {size / 1e6:,.0f} MB, to {folder}; all checksums are right")


def copy_store(store: Path, copy: Path) -> None:
    """Copy a store, and compare size and checksums. Raises CannotCopy, OSError."""
    with _opened(store, os.O_RDONLY) as source, _opened(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL) as target:
        size = os.fstat(source).st_size
        copy_start(source, target, size)
        if os.fstat(target).st_size != size or not is_intact(target):
            raise CannotCopy(f"{store}: the copy is not like the store: is it damaged? (h5vfs.py verify)")


def is_intact(descriptor: int) -> bool:
    """Whether all images of an open store have the checksums that its index has for them."""
    index = read_trailer(descriptor, end_of_file_address(descriptor))
    if index is None or not index.has_crc.all():
        return False
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data, memoryview(data) as view:
        places = zip(index.offset.tolist(), index.size.tolist(), index.crc32.tolist(), strict=True)
        return all(crc32(view[offset : offset + size]) == checksum for offset, size, checksum in places)


def _size_of_copyable(store: Path) -> int:
    """The bytes of a store. Raises CannotCopy if it has no index with checksums, and OSError."""
    with _opened(store, os.O_RDONLY) as descriptor:
        index = read_trailer(descriptor, end_of_file_address(descriptor))
        if index is None or not index.covers_whole_file or not index.has_crc.all():
            raise CannotCopy(
                f"{store} has no index with checksums (colourHeuristic.py merge makes a store with one)"
            )
        return os.fstat(descriptor).st_size


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
