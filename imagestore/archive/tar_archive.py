"""A tar archive, plain or compressed: TarArchive.

The first pass over an archive leaves an index. After that, `members`, `find` and `read` touch only the parts
of the archive that they need.
"""

from __future__ import annotations

import contextlib
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from isal.isal_zlib import crc32

from imagestore import cache_folder
from imagestore.archive.index import ArchiveIndex, IndexFile
from imagestore.archive.members import Member, Members, SourceLabels
from imagestore.archive.passed_over import PassedOver
from imagestore.archive.protocol import Archive, DamagedArchive, WrongImages, find_last
from imagestore.archive.sample_labels import SampleLabels, with_labels
from imagestore.archive.tar_headers import TAR_ERRORS
from imagestore.archive.tar_pass import TarPass, read_at
from imagestore.console import UserError, counted, note
from imagestore.decompression.compression_formats import UNCOMPRESSED, Compression, compression_of
from imagestore.decompression.damage import Damaged, WrongChecksum
from imagestore.decompression.decompressing_processes import DecompressingProcesses
from imagestore.decompression.decompressor import Decompressor
from imagestore.decompression.read_ahead import read_ahead


def find_tar(path: Path, descriptor: int, beginning: bytes) -> Compression | None:
    """Return how the tar in a file is compressed, or None if there is no tar.

    `beginning` holds the file's first bytes. Raises UserError if the data are damaged at their beginning.
    """
    compression = compression_of(beginning)
    decompressor = compression.open_for_fetching(descriptor, points=b"")
    try:
        header = decompressor.read(tarfile.BLOCKSIZE)
        tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
        pass  # a tar without members
    except tarfile.HeaderError:
        return None
    except Damaged as error:
        raise UserError(f"{path} is damaged at its beginning ({error}): download or copy it again") from error
    finally:
        decompressor.close()
    return compression


class TarArchive(Archive):
    """A tar archive, compressed or not. If a member's name comes twice, both members are images."""

    def __init__(
        self,
        path: Path,
        descriptor: int,
        compression: Compression,
        index: Path | None,
        *,
        ignore_zeros: bool = False,
        labels: SourceLabels | None = None,
        processes: DecompressingProcesses | None = None,
    ) -> None:
        """Take over an open file, and look for its index at `index` or in the cache folder.

        `ignore_zeros` is explained in tar_headers.py. With `labels`, images get the labels that stand beside
        them; see sample_labels.py. One of the `processes` decompresses for `stream`, if one is idle.
        """
        self.path = path
        self._labels = labels
        self._processes = processes
        self._ignore_zeros = ignore_zeros
        self._descriptor = descriptor
        self._compression = compression
        self._fingerprint = cache_folder.fingerprint(descriptor)
        self._index_file = IndexFile(path, self._fingerprint, index, ignore_zeros=ignore_zeros, labels=labels)
        self._index = self._index_file.load() or self._index_without_labels(index)
        self._decompressor: Decompressor | None = None  # for `read`
        self._remarks_told = False
        self.skipped = self._index.skipped if self._index else PassedOver()

    def _index_without_labels(self, path: Path | None) -> ArchiveIndex | None:
        """The index of a pass that looked for no labels, if they are optional and no member could be one."""
        if self._labels is None or not self._labels.optional:
            return None
        index = IndexFile(self.path, self._fingerprint, path, ignore_zeros=self._ignore_zeros).load()
        return None if index is None or index.skipped["not images"] else index

    @property
    def indexed(self) -> bool:
        return self._index is not None

    def members(self) -> Members:
        return self._index_or_first_pass().members

    def _index_or_first_pass(self) -> ArchiveIndex:
        if self._index is None:
            with contextlib.suppress(DamagedArchive):  # `damage` keeps it
                for _ in self.stream():
                    pass
        assert self._index is not None
        self._tell(self._index.remarks)
        return self._index

    def _tell(self, remarks: list[str]) -> None:
        """Print remarks on the archive, once."""
        if not self._remarks_told:
            self._remarks_told = True
            for remark in remarks:
                note(f"{self.path} {remark}")

    def stream(self) -> Iterator[tuple[Member, bytes]]:
        with contextlib.ExitStack() as opened:
            descriptor = os.dup(self._descriptor)
            opened.callback(os.close, descriptor)
            decompressor = self._open_for_pass(descriptor)
            opened.callback(decompressor.close)
            samples = SampleLabels(self._labels) if self._labels else None
            tar_pass = TarPass(
                decompressor,
                compressed=self._compression is not UNCOMPRESSED,
                open_again=lambda: self._open_again(descriptor, decompressor),
                ignore_zeros=self._ignore_zeros,
                samples=samples,
            )
            self.skipped = tar_pass.skipped
            try:
                yield from with_labels(tar_pass, tar_pass.members, samples) if samples else tar_pass
            except Damaged as damage:
                raise self._error(damage, tar_pass) from damage
            remarks = [*tar_pass.remarks(), *self._remarks_on_compression(decompressor)]
            if not self.indexed:
                points = decompressor.points()
                self._keep(ArchiveIndex(tar_pass.members, tar_pass.skipped, points, remarks))
        self._tell(remarks)

    def _open_for_pass(self, descriptor: int) -> Decompressor:
        """Return a decompressor that goes from front to back."""
        compression = self._compression
        open_decompressor = (
            compression.open_for_streaming if self.indexed else compression.open_for_first_pass
        )
        if compression is UNCOMPRESSED:
            return open_decompressor(descriptor)
        return read_ahead(open_decompressor, descriptor, self._processes, is_slow=compression.is_slow)

    def _error(self, damage: Damaged, tar_pass: TarPass) -> UserError:
        """Return the error in which a pass ends. If its images are right, use them from now on."""
        message = f"{self.path} {tar_pass.describe(damage)}"
        if isinstance(damage, WrongChecksum):
            return WrongImages(message)
        self.damage = DamagedArchive(message)
        if self._index is None:  # it is not written to a file: every run must find the damage
            self._index = ArchiveIndex(tar_pass.members, tar_pass.skipped, points=b"")
        return self.damage

    def _remarks_on_compression(self, decompressor: Decompressor) -> Iterator[str]:
        if count := decompressor.bytes_behind():
            data, are = f"{self._compression.name} data", "is" if count == 1 else "are"
            yield f"has {counted(count, 'byte')} behind its {data}, which {are} ignored"

    def _open_again(self, descriptor: int, first_pass: Decompressor) -> Decompressor:
        """Return a decompressor for single members, by the seek points of the index or of the first pass."""
        points = self._index.points if self._index else first_pass.points()
        return self._compression.open_for_fetching(descriptor, points)

    def _keep(self, index: ArchiveIndex) -> None:
        """Use the index from now on, and write it for later runs."""
        self._index = index
        if cache_folder.fingerprint(self._descriptor) != self._fingerprint:
            note(f"{self.path} changed while it was read: its index is not kept")
        else:
            self._index_file.save(index)

    def read(self, member: Member) -> bytes:
        index = self._index_or_first_pass()
        if member.position >= len(index.members) or index.members[member.position] != member:
            raise UserError(f"{self.path}: the member {member.name!r} belongs to another archive")
        if self._decompressor is None:
            self._decompressor = self._compression.open_for_fetching(self._descriptor, index.points)
        data = _fetch(self._decompressor, member, index.members)
        if data is None:
            self._decompressor.distrust()
            data = _fetch(self._decompressor, member, index.members)
        if data is None:
            self._forget_index()
            raise UserError(f"{self.path} changed, or is damaged at {member.name!r}: run the command again")
        return data

    def _forget_index(self) -> None:
        """Never use this index again."""
        self._index = None
        self._close_decompressor()
        self._index_file.remove()

    def find(self, name: str) -> Member:
        return find_last(self, self.members(), name)

    def close(self) -> None:
        self._close_decompressor()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _close_decompressor(self) -> None:
        if self._decompressor is not None:
            self._decompressor.close()
            self._decompressor = None


def _fetch(decompressor: Decompressor, member: Member, members: Members) -> bytes | None:
    """Return the bytes at the member's location, or None if they are not the member's."""
    location = members.location(member.position)
    try:
        data = read_at(decompressor, location, member.size)
    except (Damaged, *TAR_ERRORS):
        return None
    return data if len(data) == member.size and crc32(data) == member.crc32 else None
