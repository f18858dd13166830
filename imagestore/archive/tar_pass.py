"""One pass over a tar: its image members with their bytes, and a count of what is passed over.

Used by archive only, which also asks here whether a file of a folder is an image. A walk belongs to one
thread and is made for one pass.
"""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Iterator

from isal import isal_zlib

from imagestore.archive.image_files import LARGEST, SKIPPED, is_image, passed_over_name
from imagestore.archive.members import Member, Members
from imagestore.archive.plain_decoders import PIECE, Damaged, Decoder, WrongChecksum

# What tarfile raises where a header is not what it should be: numbers that are none (pax, sparse), thousands
# of long names in a row.
BROKEN = (tarfile.TarError, ValueError, OverflowError, LookupError, TypeError, RecursionError)


class Bounded:
    """What tarfile reads headers through: an absurd length in one must not fill the memory."""

    def __init__(self, source: Decoder) -> None:
        """Pass everything on to `source`."""
        self._read, self.seek, self.tell = source.read, source.seek, source.tell

    def read(self, size: int) -> bytes:
        """Up to `size` bytes. Raises Damaged."""
        if not 0 <= size <= LARGEST:
            raise Damaged(f"a header claims {size:,} bytes")
        return self._read(size)


class TarPass:
    """One pass over the members of a tar, front to back: iterate it for (Member, bytes) of every image.

    tarfile reads the headers (v7, ustar, GNU, pax, sparse); the loop around it is ours, since tarfile
    takes a broken header for the end of the archive and keeps every header in memory.
    """

    def __init__(self, source: Decoder, compressed: bool) -> None:
        """`source` stands at the beginning; where it is compressed, checksums come after the bytes."""
        self._compressed = compressed
        self.members = Members()
        self.skipped: Counter[str] = Counter(dict.fromkeys(SKIPPED, 0))
        self.marked = False  # whether the end mark was seen
        self._source = source
        self._where = "before its first member"

    def __iter__(self) -> Iterator[tuple[Member, bytes]]:
        """Every image. Raises Damaged where the archive breaks off."""
        try:
            self._tar = open_tar(self._source)
            info = self._tar.next()
            while info is not None:
                self._where = f"in the middle of {info.name!r}"
                found = self._image(info)
                try:
                    info = self._next()
                except (Damaged, *BROKEN) as error:
                    # What ends here was whole; what is broken here may have been so in the bytes before.
                    if found is not None and (isinstance(error.__cause__, EOFError) or not self._compressed):
                        yield found
                    raise
                if found is not None:
                    yield found
            self._drain()
        except BROKEN as error:
            raise Damaged(str(error)) from error

    def _next(self) -> tarfile.TarInfo | None:
        following = self._tar.offset
        if following < self._source.tell():
            raise Damaged("a header points backwards")
        if self._source.seek(following) < following:
            raise Damaged from EOFError()
        self._where = self._where.replace("in the middle of", "after", 1)
        try:
            return tarfile.TarInfo.fromtarfile(self._tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            self.marked = True
        except tarfile.EmptyHeaderError:  # type: ignore[attr-defined]
            self.marked = False
        except tarfile.TruncatedHeaderError as error:  # type: ignore[attr-defined]
            raise Damaged from EOFError(error)
        return None

    def _image(self, info: tarfile.TarInfo) -> tuple[Member, bytes] | None:
        if info.size < 0:
            raise Damaged("a size below zero")
        reason = passed_over(info)
        if reason is None:
            data = self._read(info)
            if is_image(info.name, data):
                place = -1 - info.offset if info.issparse() else info.offset_data
                return self.members.add(
                    info.name, len(data), _seconds(info.mtime), isal_zlib.crc32(data), place
                ), data
            reason = "not images"
        self.skipped[reason] += 1
        return None

    def _read(self, info: tarfile.TarInfo) -> bytes:
        if info.issparse():
            return _read_whole(self._tar, info)
        data = self._source.read(info.size)
        if len(data) < info.size:
            raise Damaged from EOFError()
        return data

    def _drain(self) -> None:
        """Read on to the end of a compressed file: its last checksum stands there."""
        while self._source.read(PIECE):
            pass

    def describe(self, damage: Damaged) -> str:
        """What is wrong with the archive, in words."""
        if isinstance(damage.__cause__, EOFError):
            count = f"{len(self.members):,}"
            return f"ends {self._where}: {count} images came before that, download or copy it again"
        if isinstance(damage, WrongChecksum):
            return (
                f"is damaged ({damage}): some of its images are not what was packed, and nothing tells "
                "which. Download or copy it again; to take it as it is, decompress it to a plain .tar"
            )
        return f"is damaged {self._where} ({damage}): download or copy it again"


def open_tar(source: Decoder) -> tarfile.TarFile:
    """tarfile over a source, its first header read. Raises tarfile.ReadError."""
    return tarfile.TarFile(fileobj=Bounded(source), mode="r", encoding="utf-8", errors="surrogateescape")  # type: ignore[arg-type]


def read_sparse(source: Decoder) -> bytes:
    """The bytes of a sparse file whose header begins where the source stands."""
    tar = open_tar(source)
    info = tar.next()
    return _read_whole(tar, info) if info else b""


def _read_whole(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(info)
    return file.read() if file else b""


def passed_over(info: tarfile.TarInfo) -> str | None:
    """Why a tar member is no image, as far as its header tells."""
    if info.isdir():
        return "folders"
    if info.issym() or info.islnk():
        return "links"
    if info.isdev():
        return "devices"
    if not info.isreg():
        return "not images"
    return passed_over_name(info.name, info.size)


def _seconds(mtime: float) -> int:
    """A modification time in whole seconds; 0 where the archive holds nonsense."""
    try:
        seconds = int(mtime)
    except (ValueError, OverflowError):
        return 0
    return seconds if -(1 << 62) < seconds < 1 << 62 else 0
