"""One pass over a tar: its image members with their bytes, and a count of the other members."""

from __future__ import annotations

import math
import tarfile
from collections import Counter
from collections.abc import Iterator

from isal.isal_zlib import crc32

from imagestore.archive.damage import CutShort, Damaged, WrongChecksum
from imagestore.archive.decompressor import PIECE, Decompressor
from imagestore.archive.image_files import LARGEST_IMAGE, SKIP_REASONS, is_image, reason_to_skip_name
from imagestore.archive.members import Location, Member, Members

LARGEST_TIME = 1 << 62  # seconds; a time beyond it is nonsense, and the index could not hold it

# The exceptions of tarfile for a header that makes no sense: numbers that are none (pax, sparse), thousands
# of long names in a row.
TAR_ERRORS = (tarfile.TarError, ValueError, OverflowError, LookupError, TypeError, RecursionError)


class TarPass:
    """One pass over a tar from front to back. Iterate over it for (Member, bytes) of each image.

    tarfile reads the headers (v7, ustar, GNU, pax, sparse). The loop is here, because tarfile takes a broken
    header for the end of the archive, and keeps every header in memory.
    """

    def __init__(self, decompressor: Decompressor, *, compressed: bool) -> None:
        """`decompressor` stands at the beginning. In a compressed tar, checksums come behind the bytes."""
        self.members = Members()
        self.skipped: Counter[str] = Counter(dict.fromkeys(SKIP_REASONS, 0))
        self.has_end_mark = False
        self._decompressor = decompressor
        self._compressed = compressed
        self._member_name: str | None = None  # of the member that the pass has reached
        self._member_ended = False

    def __iter__(self) -> Iterator[tuple[Member, bytes]]:
        """Yield every image. Raises Damaged at the place where the archive is cut short or broken."""
        try:
            tar = _open_tar(self._decompressor)
            info = tar.next()
            while info is not None:
                self._member_name, self._member_ended = info.name, False
                image = self._read_image(tar, info)
                try:
                    info = self._next_header(tar)
                except (Damaged, *TAR_ERRORS) as error:
                    # If the data are cut short, the image before is whole. If compressed data are broken,
                    # the image's bytes may be wrong, too.
                    if image is not None and (isinstance(error, CutShort) or not self._compressed):
                        yield image
                    raise
                if image is not None:
                    yield image
            self._read_to_end()
        except TAR_ERRORS as error:
            raise Damaged(str(error)) from error

    def _read_image(self, tar: tarfile.TarFile, info: tarfile.TarInfo) -> tuple[Member, bytes] | None:
        """Return a member that is an image. If the member is none, count the reason and return None."""
        if info.size < 0:
            raise Damaged("a header has a size below zero")
        reason = _reason_to_skip(info)
        if reason is None:
            data = self._read_data(tar, info)
            if is_image(info.name, data):
                return self._add_member(info, data), data
            reason = "not images"
        self.skipped[reason] += 1
        return None

    def _read_data(self, tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
        if info.issparse():
            return _read_member(tar, info)
        data = self._decompressor.read(info.size)
        if len(data) < info.size:
            raise CutShort
        return data

    def _add_member(self, info: tarfile.TarInfo, data: bytes) -> Member:
        sparse = info.issparse()
        location = Location(info.offset if sparse else info.offset_data, sparse)
        return self.members.add(
            info.name, size=len(data), mtime=_seconds(info.mtime), crc32=crc32(data), location=location
        )

    def _next_header(self, tar: tarfile.TarFile) -> tarfile.TarInfo | None:
        """Go behind the member and read the next header; return None at the end of the archive."""
        offset = tar.offset
        if offset < self._decompressor.tell():
            raise Damaged("a header points backwards")
        if self._decompressor.seek(offset) < offset:
            raise CutShort
        self._member_ended = True
        try:
            return tarfile.TarInfo.fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            self.has_end_mark = True
        except tarfile.EmptyHeaderError:  # type: ignore[attr-defined]
            self.has_end_mark = False
        except tarfile.TruncatedHeaderError as error:  # type: ignore[attr-defined]
            raise CutShort from error
        return None

    def _read_to_end(self) -> None:
        """Read on to the end of a compressed file, where its last checksum is."""
        while self._decompressor.read(PIECE):
            pass

    def describe(self, damage: Damaged) -> str:
        """Return in words what is wrong with the archive, to follow its path in a message."""
        if isinstance(damage, CutShort):
            count = f"{len(self.members):,}"
            return f"ends {self._where()} (images before that: {count}): download or copy it again"
        if isinstance(damage, WrongChecksum):
            return (
                f"is damaged ({damage}): some of its images are not what was packed, but nothing tells which "
                "images. Download or copy it again. To use it as it is, decompress it to a plain .tar"
            )
        return f"is damaged {self._where()} ({damage}): download or copy it again"

    def _where(self) -> str:
        if self._member_name is None:
            return "before its first member"
        return f"{'after' if self._member_ended else 'in the middle of'} {self._member_name!r}"


def read_sparse(decompressor: Decompressor) -> bytes:
    """Return the bytes of a sparse member, with its holes; its header begins at the current position."""
    tar = _open_tar(decompressor)
    info = tar.next()
    return _read_member(tar, info) if info else b""


def _open_tar(decompressor: Decompressor) -> tarfile.TarFile:
    """Return tarfile's view of the data; the first header is read. Raises tarfile.ReadError."""
    reader = BoundedReader(decompressor)
    return tarfile.TarFile(fileobj=reader, mode="r", encoding="utf-8", errors="surrogateescape")  # type: ignore[arg-type]


def _read_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(info)
    return file.read() if file else b""


class BoundedReader:
    """A decompressor as tarfile's file. An absurd length in a header must not fill the memory."""

    def __init__(self, decompressor: Decompressor) -> None:
        """Pass everything on to `decompressor`."""
        self._read, self.seek, self.tell = decompressor.read, decompressor.seek, decompressor.tell

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes. Raises Damaged."""
        if not 0 <= size <= LARGEST_IMAGE:
            raise Damaged(f"a header claims {size:,} bytes")
        return self._read(size)


def _reason_to_skip(info: tarfile.TarInfo) -> str | None:
    """Return why a member is no image, as far as its header tells, or None."""
    if info.isdir():
        return "folders"
    if info.issym() or info.islnk():
        return "links"
    if info.isdev():
        return "devices"
    if not info.isreg():
        return "not images"
    return reason_to_skip_name(info.name, info.size)


def _seconds(mtime: float) -> int:
    """Return a modification time in whole seconds, or 0 if the archive holds nonsense."""
    try:
        seconds = math.floor(mtime)
    except (ValueError, OverflowError):
        return 0
    return seconds if -LARGEST_TIME < seconds < LARGEST_TIME else 0
