"""The headers of a tar, one after another, up to its end mark or to the end of the data."""

from __future__ import annotations

import tarfile

from imagestore.archive.tar_info import TarInfo
from imagestore.decompression.damage import CutShort, Damaged
from imagestore.decompression.decompressor import Decompressor

# The exceptions of tarfile for a header that makes no sense: numbers that are none (pax, sparse), thousands
# of long names in a row.
TAR_ERRORS = (tarfile.TarError, ValueError, OverflowError, LookupError, TypeError, RecursionError)

LONGEST_HEADER = 64 << 20  # bytes; pax headers of real archives have a few thousand
END_MARK = 2  # blocks of zeros; a lone one ends nothing


class TarHeaders:
    """The headers of a tar (v7, ustar, GNU, pax, sparse), as tarfile reads them.

    With `ignore_zeros`, an end mark ends nothing, as with the option of GNU tar: the next header follows
    somewhere behind it, and blocks before that which are no header are passed over.
    """

    def __init__(
        self, decompressor: Decompressor, *, ignore_zeros: bool = False, is_behind_mark: bool = False
    ) -> None:
        """The decompressor stands at a header, or with `is_behind_mark` at any block."""
        self.tar = open_tar(decompressor)
        self.has_end_mark = False
        self.bytes_passed_over = 0
        self._decompressor = decompressor
        self._ignore_zeros = ignore_zeros
        self._is_behind_mark = is_behind_mark
        self._mark = decompressor.tell()  # where the last end mark ended, if this is behind one

    def next(self) -> tarfile.TarInfo | None:
        """Return the header at the current position or behind it; None at the end of the archive.

        Raises TAR_ERRORS for a broken header, Damaged, and CutShort if the data end within a header.
        """
        zeros = 0  # blocks of zeros in a row
        while self._ignore_zeros or zeros < END_MARK:
            start = self._decompressor.tell()
            try:
                info = TarInfo.fromtarfile(self.tar)
                _correct_sizes(self.tar, info)
                self._is_behind_mark = False
                return info
            except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
                zeros += 1
                if zeros == END_MARK:
                    self._is_behind_mark, self._mark = True, self._decompressor.tell()
            except tarfile.EmptyHeaderError:  # type: ignore[attr-defined]
                break
            except Damaged as damage:
                if not self._is_garbage(damage):
                    raise
                break
            except TAR_ERRORS as error:
                is_cut = isinstance(error, tarfile.TruncatedHeaderError)  # type: ignore[attr-defined]
                if self._is_behind_mark:
                    self.bytes_passed_over += self._decompressor.tell() - start
                elif not is_cut:
                    raise
                elif not zeros:
                    raise CutShort from error
        self.has_end_mark = zeros > 0 or self._is_behind_mark
        return None

    def _is_garbage(self, damage: Damaged) -> bool:
        """Whether compressed data are whole up to the end mark, and what follows only looks like some."""
        return self._is_behind_mark and damage.confirmed is not None and damage.confirmed >= self._mark


def _correct_sizes(tar: tarfile.TarFile, info: tarfile.TarInfo) -> None:
    """Correct the size of a sparse member and the end of its data, if its pax header holds `size`, too.

    tarfile mixes up the two sizes (https://github.com/python/cpython/issues/136601): `size` is that of the
    data in the archive, and a field of GNU's is that of the file.
    """
    headers = info.pax_headers
    real_size = headers.get("GNU.sparse.realsize", headers.get("GNU.sparse.size"))
    if info.sparse is None or "size" not in headers or real_size is None:
        return
    start = info.offset_data
    if headers.get("GNU.sparse.major") == "1":  # a map of the holes comes before the data
        numbers = [len(info.sparse), *(number for hole in info.sparse for number in hole)]
        start -= _in_blocks(sum(len(f"{number}\n") for number in numbers))
    tar.offset = start + _in_blocks(int(headers["size"]))
    info.size = int(real_size)


def _in_blocks(size: int) -> int:
    """A size rounded up to whole blocks."""
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def open_tar(decompressor: Decompressor) -> tarfile.TarFile:
    """Return tarfile's view of the data from the current position on. It has read nothing yet."""
    reader = BoundedReader(decompressor)
    return _UnreadTar(fileobj=reader, mode="r", encoding="utf-8", errors="surrogateescape")  # type: ignore[arg-type]


class _UnreadTar(tarfile.TarFile):
    """A TarFile that does not read the first header by itself, since it would not say what is wrong there."""

    def next(self) -> None:  # type: ignore[override]
        """Return nothing."""


class BoundedReader:
    """A decompressor as tarfile's file. An absurd length in a header must not fill the memory."""

    def __init__(self, decompressor: Decompressor) -> None:
        """Pass everything on to `decompressor`."""
        self._read, self.seek, self.tell = decompressor.read, decompressor.seek, decompressor.tell

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes. Raises Damaged, and tarfile.HeaderError for an absurd size."""
        if not 0 <= size <= LONGEST_HEADER:
            raise tarfile.HeaderError(f"a header claims {size:,} bytes")  # type: ignore[attr-defined]
        return self._read(size)
