"""Archives of images: opening one, listing it, choosing members, streaming and fetching their bytes.

Used by pipeline, examine and classify. A tar archive (plain, or compressed with gzip, bzip2 or xz) and a
folder of images look the same. The first pass over an archive leaves an index (see archive_index), and
from then on `members`, `find` and `read` touch only the parts they need.

An archive belongs to one thread. After a fork, parent and child may both go on using it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from isal import isal_zlib

from imagestore import cache_folder
from imagestore.archive.decompression import kind_of, open_decoder
from imagestore.archive.index import ArchiveIndex, load, may_be_replaced, save
from imagestore.archive.members import Member, Members
from imagestore.archive.plain_decoders import Damaged, Decoder, WrongChecksum
from imagestore.archive.protocol import Unfounded, not_found
from imagestore.archive.tar_pass import BROKEN, TarPass, read_sparse
from imagestore.console import UserError, describe, note
from imagestore.hdf5.superblock import SIGNATURE

NAMES_TO_COMPARE = 5_000


BLOCK = tarfile.BLOCKSIZE


class TarArchive:
    """A tar archive, compressed or not; see Archive."""

    def __init__(self, path: Path, index: Path | None = None) -> None:
        """Open `path` and look for its index. Raises UserError."""
        self.path = path
        self._descriptor = _open(path)
        try:
            self._kind = _kind_of_tar(path, self._descriptor)
            self._fingerprint = cache_folder.fingerprint(self._descriptor)
        except BaseException:
            os.close(self._descriptor)
            raise
        self._index_path, self._named = index or cache_folder.path_for(path), index is not None
        self._index = load(self._index_path, self._fingerprint)
        self._source: Decoder | None = None
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
        source = open_decoder(descriptor, self._kind, b"" if self.indexed and self._kind == "gzip" else None)
        walk = TarPass(source, compressed=self._kind != "tar")
        self.skipped = walk.skipped
        try:
            yield from walk
            if not self.indexed:
                self._keep(ArchiveIndex(walk.members, dict(walk.skipped), source.points()))
        except Damaged as error:
            kind = Unfounded if isinstance(error, WrongChecksum) else UserError
            raise kind(f"{self.path} {walk.describe(error)}") from error
        finally:
            source.close()
            os.close(descriptor)
        if not walk.marked:
            note(f"{self.path} has no end mark: if it was cut short, then exactly between two members")

    def _keep(self, index: ArchiveIndex) -> None:
        """Remember the index, and leave it for later runs where it can be written."""
        self._index = index
        if cache_folder.fingerprint(self._descriptor) != self._fingerprint:
            note(f"{self.path} changed while it was read: no index is kept")
        elif self._named and not may_be_replaced(self._index_path):
            note(f"{self._index_path} is no index and is left alone: name another file to keep one")
        else:
            try:
                save(self._index_path, index, self._fingerprint)
            except (OSError, UserError) as error:
                if self._named:
                    reason = describe(error) if isinstance(error, OSError) else error
                    note(f"the index of {self.path} could not be kept: {reason}")

    def read(self, member: Member) -> bytes:
        """The bytes of one member; see Archive."""
        members = self.members()
        if member.position >= len(members) or members[member.position] != member:
            raise UserError(f"{self.path} holds no such member as {member.name!r}: it was listed elsewhere")
        if self._source is None:
            self._source = open_decoder(
                self._descriptor, self._kind, self._index.points if self._index else b""
            )
        if (data := self._fetch(self._source, member)) is None:
            self._source.distrust()
            data = self._fetch(self._source, member)
        if data is None:
            self._forget()
            raise UserError(f"{self.path} changed, or is damaged at {member.name!r}: run the command again")
        return data

    def _fetch(self, source: Decoder, member: Member) -> bytes | None:
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
        if may_be_replaced(self._index_path):
            with contextlib.suppress(OSError):
                self._index_path.unlink(missing_ok=True)

    def find(self, name: str) -> Member:
        """The last member of that name; see Archive."""
        return self.members().last_named(name) or not_found(self.path, name, self.members())

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
    source = open_decoder(descriptor, kind, b"")
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
    if head.startswith(SIGNATURE):
        return "is an HDF5 file, no archive"
    if head.startswith(b"PK\3\4"):
        return "is a zip file: unpack it and give the folder"
    return "is no tar archive, or a damaged one"
