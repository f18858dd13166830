"""Archives of images: opening one, listing it, choosing members, streaming and fetching their bytes.

Used by pipeline, examine and classify. A tar archive (plain, or compressed with gzip, bzip2 or xz) and a
folder of images look the same. The first pass over an archive leaves an index (see archive_index), and
from then on `members`, `find` and `read` touch only the parts they need.

An archive belongs to one thread. After a fork, parent and child may both go on using it.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import random
import stat
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from isal import isal_zlib

from imagestore import archive_index, cache
from imagestore.archive_index import Index, Member, Members
from imagestore.archive_walk import BROKEN, SKIPPED, Walk, is_image, passed_over_file, read_sparse
from imagestore.console import UserError, describe, note
from imagestore.seekable import Damaged, Source, WrongChecksum, kind_of, open_source

HDF5 = b"\x89HDF\r\n\x1a\n"
NAMES_TO_COMPARE = 5_000
BLOCK = tarfile.BLOCKSIZE

Chosen = TypeVar("Chosen")


class Unfounded(UserError):
    """A checksum of the archive denies what was streamed from it: some images are wrong."""


class Archive(Protocol):
    """Images under their names, from an archive or a folder; a context manager."""

    path: Path
    skipped: Counter[str]  # what was passed over, by reason, as far as a pass has come

    @property
    def indexed(self) -> bool:
        """Whether `members`, `find` and `read` can do without a pass over everything."""

    def members(self) -> Sequence[Member]:
        """Every image member, in the archive's order: from the index, or by one pass that leaves one."""

    def stream(self) -> Iterator[tuple[Member, bytes]]:
        """Every image member with its bytes, in one pass; it may be left early.

        Raises UserError where the archive ends too early or is damaged, after all that comes before.
        gzip has its checksum at the very end: only that error tells that bytes before it were wrong.
        """

    def read(self, member: Member) -> bytes:
        """The bytes of one member; fastest in the archive's order. Raises UserError, never wrong bytes."""

    def find(self, name: str) -> Member:
        """The (last) member of that name. Raises UserError with names like it."""

    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> Archive: ...
    def __exit__(self, *exception: object) -> None: ...


class TarArchive:
    """A tar archive, compressed or not; see Archive."""

    def __init__(self, path: Path, index: Path | None = None) -> None:
        """Open `path` and look for its index. Raises UserError."""
        self.path = path
        self._descriptor = _open(path)
        try:
            self._kind = _kind_of_tar(path, self._descriptor)
            self._fingerprint = cache.fingerprint(self._descriptor)
        except BaseException:
            os.close(self._descriptor)
            raise
        self._index_path, self._named = index or cache.path_for(path), index is not None
        self._index = archive_index.load(self._index_path, self._fingerprint)
        self._source: Source | None = None
        self.skipped = Counter(self._index.skipped if self._index else {})

    @property
    def indexed(self) -> bool:
        """Whether a whole pass has been made, now or in an earlier run."""
        return self._index is not None

    def members(self) -> Members:
        """Every image member; see Archive."""
        if self._index is None:
            for _ in self.stream():
                pass
        assert self._index is not None
        return self._index.members

    def stream(self) -> Iterator[tuple[Member, bytes]]:
        """Every image member with its bytes, in one pass; see Archive."""
        descriptor = os.dup(self._descriptor)
        # With seek points known already, the decoder that takes the least of the processor will do.
        source = open_source(descriptor, self._kind, b"" if self.indexed and self._kind == "gzip" else None)
        walk = Walk(source, compressed=self._kind != "tar")
        self.skipped = walk.skipped
        try:
            yield from walk
            if not self.indexed:
                self._keep(Index(walk.members, dict(walk.skipped), source.points()))
        except Damaged as error:
            kind = Unfounded if isinstance(error, WrongChecksum) else UserError
            raise kind(f"{self.path} {walk.describe(error)}") from error
        finally:
            source.close()
            os.close(descriptor)
        if not walk.marked:
            note(f"{self.path} has no end mark: if it was cut short, then exactly between two members")

    def _keep(self, index: Index) -> None:
        """Remember the index, and leave it for later runs where it can be written."""
        self._index = index
        if cache.fingerprint(self._descriptor) != self._fingerprint:
            note(f"{self.path} changed while it was read: no index is kept")
        elif self._named and not archive_index.is_index(self._index_path):
            note(f"{self._index_path} is no index and is left alone: name another file to keep one")
        else:
            try:
                archive_index.save(self._index_path, index, self._fingerprint)
            except OSError as error:
                if self._named:
                    note(f"the index of {self.path} could not be kept: {describe(error)}")

    def read(self, member: Member) -> bytes:
        """The bytes of one member; see Archive."""
        members = self.members()
        if member.position >= len(members) or members[member.position] != member:
            raise UserError(f"{self.path} holds no such member as {member.name!r}: it was listed elsewhere")
        if self._source is None:
            self._source = open_source(
                self._descriptor, self._kind, self._index.points if self._index else b""
            )
        if (data := self._fetch(self._source, member)) is None:
            self._source.distrust()
            data = self._fetch(self._source, member)
        if data is None:
            self._forget()
            raise UserError(f"{self.path} changed, or is damaged at {member.name!r}: run the command again")
        return data

    def _fetch(self, source: Source, member: Member) -> bytes | None:
        """The bytes at the member's place, or None where they are not the member's."""
        place = self.members().place(member.position)
        try:
            source.seek(place if place >= 0 else -1 - place)
            data = source.read(member.size) if place >= 0 else read_sparse(source)
        except (Damaged, *BROKEN):
            return None
        return data if len(data) == member.size and isal_zlib.crc32(data) == member.crc32 else None

    def _forget(self) -> None:
        """Never believe this index again."""
        self._index = None
        self.close_source()
        if archive_index.is_index(self._index_path):
            with contextlib.suppress(OSError):
                self._index_path.unlink(missing_ok=True)

    def find(self, name: str) -> Member:
        """The last member of that name; see Archive."""
        return self.members().last_named(name) or _not_found(self.path, name, self.members())

    def close_source(self) -> None:
        """Let go of the decoder that `read` uses."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def close(self) -> None:
        """Let go of the file."""
        self.close_source()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> TarArchive:
        """The archive itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close it."""
        self.close()


class FolderArchive:
    """A folder of images in place of an archive; see Archive. Links are not followed."""

    def __init__(self, path: Path) -> None:
        """Nothing is read yet."""
        self.path = path
        self.skipped: Counter[str] = Counter(dict.fromkeys(SKIPPED, 0))
        self._members: list[Member] | None = None

    @property
    def indexed(self) -> bool:
        """Whether every file has been read once; a folder leaves no index behind."""
        return self._members is not None

    def members(self) -> list[Member]:
        """Every image below the folder, by name; see Archive."""
        if self._members is None:
            for _ in self.stream():
                pass
        assert self._members is not None
        return self._members

    def stream(self) -> Iterator[tuple[Member, bytes]]:
        """Every image with its bytes, by name; see Archive."""
        self.skipped = Counter(dict.fromkeys(SKIPPED, 0))
        members: list[Member] = []
        for name in self._files():
            data = self._contents(name)
            if data is None:
                continue
            status = os.stat(self.path / name)
            member = Member(name, len(data), int(status.st_mtime), isal_zlib.crc32(data), len(members))
            members.append(member)
            yield member, data
        self._members = members

    def _files(self) -> Iterator[str]:
        for folder, folders, files in os.walk(self.path, onerror=self._unreadable):
            folders.sort()
            here = os.path.relpath(folder, self.path)
            self.skipped["folders"] += here != "."
            for name in sorted(files):
                yield name if here == "." else f"{here}/{name}"

    def _unreadable(self, error: OSError) -> None:
        self.skipped["unreadable"] += 1

    def _contents(self, name: str) -> bytes | None:
        """The bytes of an image, or None, counted, for what is none."""
        path = self.path / name
        try:
            reason = passed_over_file(name, os.lstat(path))
            data = b"" if reason else path.read_bytes()
        except OSError:
            reason, data = "unreadable", b""
        if reason is None and not is_image(name, data):
            reason = "not images"
        if reason is None:
            return data
        self.skipped[reason] += 1
        return None

    def read(self, member: Member) -> bytes:
        """The bytes of one file; see Archive."""
        try:
            data = (self.path / member.name).read_bytes()
        except OSError as error:
            raise UserError(describe(error)) from error
        if len(data) != member.size or isal_zlib.crc32(data) != member.crc32:
            raise UserError(f"{self.path / member.name} changed since it was listed: run the command again")
        return data

    def find(self, name: str) -> Member:
        """The file of that name; see Archive."""
        found = next((member for member in self.members() if member.name == name), None)
        return found or _not_found(self.path, name, self.members())

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> FolderArchive:
        """The folder itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is held open."""


def open_archive(path: Path, index: Path | None = None) -> Archive:
    """Open a tar archive (compressed or not, by content) or a folder of images. Raises UserError.

    `index` names the file that holds the archive's index, in place of one in the user's cache folder.
    """
    path = Path(path)
    return FolderArchive(path) if path.is_dir() else TarArchive(path, index)


def is_archive(path: Path) -> bool:
    """Whether `open_archive` would take it: a folder, or a file with a tar inside."""
    try:
        with open_archive(path):
            return True
    except UserError:
        return False


def is_store(path: Path) -> bool:
    """Whether a file is HDF5: its signature stands at byte 0, 512, 1024, 2048 and so on."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            places = [0, *(512 << i for i in range(max(0, (size // 512).bit_length())))]
            return any(os.pread(file.fileno(), len(HDF5), place) == HDF5 for place in places)
    except OSError:
        return False


def choose_runs(members: Sequence[Chosen], count: int, chunk: int, rng: random.Random) -> list[Chosen]:
    """`count` members (all, where there are fewer) in runs of `chunk` neighbours from random places.

    No member comes twice; every set of places is equally likely, and one run is shorter where `chunk`
    does not divide `count`. The members come in the order of `members`, so that reading them goes forward.
    """
    count = min(count, len(members))
    runs = [chunk] * (count // chunk) + ([count % chunk] if count % chunk else [])
    rng.shuffle(runs)
    # Shrink every run to one place, draw the places, and let the runs grow again: none can overlap.
    places = sorted(rng.sample(range(len(members) - count + len(runs)), len(runs)))
    chosen: list[Chosen] = []
    for place, length, i in zip(places, runs, range(len(runs)), strict=True):
        start = place - i + len(chosen)
        chosen += members[start : start + length]
    return chosen


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise UserError(describe(error)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(
            f"{path} is neither a file nor a folder: an archive must be one that can be read again"
        )
    return descriptor


def _kind_of_tar(path: Path, descriptor: int) -> str:
    """How the tar in this file is compressed. Raises UserError where there is none."""
    try:
        head = os.pread(descriptor, BLOCK, 0)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    if not head:
        raise UserError(f"{path} is empty: download or copy it again")
    kind = kind_of(head)
    source = open_source(descriptor, kind, b"")
    try:
        block = source.read(BLOCK)
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
        pass  # a tar without members
    except Damaged as error:
        raise UserError(f"{path} is damaged at its beginning ({error}): download or copy it again") from error
    except tarfile.HeaderError as error:
        raise UserError(
            f"{path} {_what_else(head)}: an archive is a .tar, .tar.gz, .tar.bz2 or .tar.xz"
        ) from error
    finally:
        source.close()
    return kind


def _what_else(head: bytes) -> str:
    if head.startswith(HDF5):
        return "is an HDF5 file, no archive"
    if head.startswith(b"PK\3\4"):
        return "is a zip file: unpack it and give the folder"
    return "is no tar archive, or a damaged one"


def _not_found(path: Path, name: str, members: Sequence[Member]) -> Member:
    """Raises UserError with the names that are most like `name`."""
    base = name.rsplit("/", 1)[-1]
    like = [member.name for member in members if member.name.rsplit("/", 1)[-1] == base][:3]
    if not like:
        names = [member.name for member in members[:NAMES_TO_COMPARE]]
        like = difflib.get_close_matches(name, names, n=3)
    hint = f": did you mean {' or '.join(map(repr, like))}?" if like else ""
    raise UserError(f"{path} holds no image {name!r}{hint}")
