"""One pass over a tar: its image members with their bytes, and a count of the other members.

Images that have no other name than a link come last: their bytes are read once more.
"""

from __future__ import annotations

import math
import tarfile
from collections.abc import Callable, Iterator

from isal.isal_zlib import crc32

from imagestore.archive.file_kinds import members_of_kind
from imagestore.archive.image_files import is_image, reason_for_hidden, reason_to_skip_name
from imagestore.archive.members import Location, Member, Members
from imagestore.archive.passed_over import PassedOver
from imagestore.archive.sample_labels import SampleLabels
from imagestore.archive.tar_headers import TAR_ERRORS, TarHeaders
from imagestore.archive.tar_links import LinkedFile, TarLinks
from imagestore.console import counted
from imagestore.decompression.damage import CutShort, Damaged, WrongChecksum
from imagestore.decompression.decompressor import PIECE, Decompressor
from imagestore.image_formats import FIRST_BYTES, begins_as_image, has_image_suffix

LARGEST_TIME = 1 << 62  # seconds; a time beyond it is nonsense, and the index could not hold it


class TarPass:
    """One pass over a tar from front to back. Iterate over it for (Member, bytes) of each image.

    The loop is here, because tarfile takes a broken header for the end of the archive, and keeps every header
    in memory.
    """

    def __init__(
        self,
        decompressor: Decompressor,
        *,
        compressed: bool,
        open_again: Callable[[], Decompressor],
        ignore_zeros: bool = False,
        is_behind_mark: bool = False,
        samples: SampleLabels | None = None,
    ) -> None:
        """`decompressor` stands at the beginning, or with `is_behind_mark` at a block behind an end mark.

        In a compressed tar, checksums come behind the bytes. `open_again` returns another decompressor of the
        same tar, for the images that links lead to. `ignore_zeros` is explained in tar_headers.py. `samples`
        gets the labels that stand beside images.
        """
        self.members = Members()
        self.skipped = PassedOver()
        self.images_behind = 0  # behind the end mark, where this pass does not read them
        self._headers = TarHeaders(decompressor, ignore_zeros=ignore_zeros, is_behind_mark=is_behind_mark)
        self._decompressor = decompressor
        self._compressed = compressed
        self._open_again = open_again
        self._links = TarLinks(self.members)
        self._samples = samples
        self._ignore_zeros = ignore_zeros
        self._member_name: str | None = None  # of the member that the pass has reached
        self._member_ended = False

    def __iter__(self) -> Iterator[tuple[Member, bytes]]:
        """Yield every image. Raises Damaged at the place where the archive is cut short or broken."""
        try:
            try:
                yield from self._images_in_order()
                if not self._ignore_zeros:
                    self._look_behind_mark()
            except CutShort:
                yield from self._linked_images()
                raise
            yield from self._linked_images()
        except TAR_ERRORS as error:
            raise Damaged(str(error)) from error

    def _images_in_order(self) -> Iterator[tuple[Member, bytes]]:
        """Yield every image that is there under its own name. Raises TAR_ERRORS, Damaged."""
        info = self._headers.next()
        while info is not None:
            self._member_name, self._member_ended = info.name, False
            image = self._read_image(info)
            try:
                info = self._header_behind(info)
            except (Damaged, *TAR_ERRORS) as error:
                if image is not None and self._is_trusted(error):
                    yield self._add_member(*image)
                raise
            if image is not None:
                yield self._add_member(*image)

    def _read_image(self, info: tarfile.TarInfo) -> tuple[str, LinkedFile, bytes] | None:
        """Return a member that is an image. If the member is none, count the reason and return None."""
        if info.size < 0:
            raise Damaged("a header has a size below zero")
        if info.issym() or info.islnk():
            self._links.add_link(info.name, info.linkname, place=info.offset, is_hard=info.islnk())
            return None
        reason = _reason_to_skip(info)
        if reason is None:
            data = self._read_text_beside_images(info) if self._samples is not None else None
            if data is None:
                data = self._read_data(info)
            elif self._samples.add(info.name, data):
                return None
            if is_image(info.name, data):
                return info.name, _file_of(info), data
            reason = members_of_kind(info.name, data)
        elif reason.startswith("hidden"):
            self._note_hidden(info)
            return None
        self._note_passed_over(info, reason)
        return None

    def _read_text_beside_images(self, info: tarfile.TarInfo) -> bytes | None:
        """The bytes of a member that may hold the label of the images beside it; None for any other."""
        self._samples.begin(info.name)
        if info.issparse() or not self._samples.may_be_label(info.name, info.size):
            return None
        data = self._decompressor.read(info.size)
        if len(data) < info.size:
            raise CutShort
        return data

    def _note_hidden(self, info: tarfile.TarInfo) -> None:
        """Note a hidden file, which may be an image all the same."""
        beginning = b"" if info.issparse() else self._decompressor.read(min(info.size, FIRST_BYTES))
        begins = begins_as_image(beginning)
        reason = reason_for_hidden(info.name, looks_like_image=begins or has_image_suffix(info.name))
        self._note_passed_over(info, reason, begins)

    def _note_passed_over(self, info: tarfile.TarInfo, reason: str, begins_as_image: bool = False) -> None:
        self.skipped.note(reason, info.name)
        if info.isreg():
            file = _file_of(info)._replace(reason=reason, begins_as_image=begins_as_image)
            self._links.add_file(info.name, file)

    def _read_data(self, info: tarfile.TarInfo) -> bytes:
        """The bytes of an image; at least the first ones of another file."""
        if info.issparse():
            return _read_member(self._headers.tar, info)
        beginning = b""
        if not has_image_suffix(info.name):  # a large file that is no image is not read
            beginning = self._decompressor.read(min(info.size, FIRST_BYTES))
            if not begins_as_image(beginning):
                return beginning
        data = beginning + self._decompressor.read(info.size - len(beginning))
        if len(data) < info.size:
            raise CutShort
        return data

    def _add_member(self, name: str, file: LinkedFile, data: bytes) -> tuple[Member, bytes]:
        size, location = len(data), file.location
        return self.members.add(name, size=size, mtime=file.mtime, crc32=crc32(data), location=location), data

    def _linked_images(self) -> Iterator[tuple[Member, bytes]]:
        """Yield every image that has no other name than a link. Raises TAR_ERRORS, Damaged."""
        linked = self._links.resolve(self.skipped)
        if not linked:
            return
        if self._samples is not None:
            self._samples.end()
        decompressor = self._open_again()
        try:
            for link, file in linked:
                data = read_at(decompressor, file.location, file.size)
                if len(data) != file.size:
                    raise Damaged(f"the file of the link {link.name!r} cannot be read again")
                if is_image(link.name, data):
                    yield self._add_member(link.name, file, data)
                else:
                    self.skipped.note("links", link.name)
        finally:
            decompressor.close()

    def _header_behind(self, info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        """Return the next header, or None at the end of the archive.

        A hard link that has a size may bring the bytes of its file (pax allows it), but most bring none.
        """
        try:
            return self._next_header()
        except tarfile.InvalidHeaderError:  # type: ignore[attr-defined]
            if not info.islnk() or not info.size:
                raise
        self._links.add_body(_file_of(info))
        blocks = -(-info.size // tarfile.BLOCKSIZE)
        self._headers.tar.offset = info.offset_data + blocks * tarfile.BLOCKSIZE
        return self._next_header()

    def _next_header(self) -> tarfile.TarInfo | None:
        """Go behind the member and read the next header; return None at the end of the archive."""
        offset = self._headers.tar.offset
        if offset < self._decompressor.tell():
            raise Damaged("a header points backwards")
        if self._decompressor.seek(offset) < offset:
            raise CutShort
        self._member_ended = True
        return self._headers.next()

    def _is_trusted(self, error: Exception) -> bool:
        """Whether the member before an error is whole: its bytes may be the wrong ones.

        Compressed data that are cut short are right up to the cut. If the error is in a header, the checksum
        of the compressed data tells whether they are right.
        """
        if isinstance(error, CutShort) or not self._compressed:
            return True
        if isinstance(error, Damaged) and error.confirmed is not None:
            return False
        try:
            self._read_to_end()
        except Damaged:
            return False
        return True

    def _look_behind_mark(self) -> None:
        """Count the images behind the end mark, and read on to the last checksum of compressed data."""
        mark = self._decompressor.tell()
        behind = TarPass(
            self._decompressor,
            compressed=self._compressed,
            open_again=self._open_again,
            ignore_zeros=True,
            is_behind_mark=True,
        )
        try:
            behind._read_in_spite_of_broken_headers()
        except Damaged as damage:
            if damage.confirmed is None or damage.confirmed < mark:
                raise
            raise Damaged(f"the archive behind its end mark: {damage}") from damage
        self.images_behind = len(behind.members)
        self._headers.bytes_passed_over = behind._headers.bytes_passed_over

    def _read_in_spite_of_broken_headers(self) -> None:
        """Read members up to a broken header, and data to their end. Raises Damaged if these are broken."""
        try:
            for _ in self._images_in_order():
                pass
        except (Damaged, *TAR_ERRORS) as error:
            if isinstance(error, Damaged) and error.confirmed is not None:
                raise
            self._read_to_end()

    def _read_to_end(self) -> None:
        """Read on to the end of a compressed file, where its last checksum is."""
        while self._decompressor.read(PIECE):
            pass

    def remarks(self) -> Iterator[str]:
        """Yield what the user should know about an archive that was read to its end, to follow its path."""
        if not self._headers.has_end_mark:
            yield "has no end mark: perhaps it was cut short between two members"
        if self.images_behind:
            yield (
                f"has {counted(self.images_behind, 'more image')} behind its end mark, "
                f"which {'is' if self.images_behind == 1 else 'are'} not read: "
                "--ignore-zeros reads them, too"
            )
        elif count := self._headers.bytes_passed_over:
            are = "is" if count == 1 else "are"
            yield (
                f"has {counted(count, 'byte')} behind its end mark that {are} no archive, which {are} ignored"
            )

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


def read_at(decompressor: Decompressor, location: Location, size: int) -> bytes:
    """Return the bytes of a member of this size, a sparse one with its holes. Raises Damaged, TAR_ERRORS."""
    decompressor.seek(location.offset)
    if not location.is_sparse:
        return decompressor.read(size)
    headers = TarHeaders(decompressor)
    info = headers.next()
    return b"" if info is None else _read_member(headers.tar, info)


def _read_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(info)
    return file.read() if file else b""


def _file_of(info: tarfile.TarInfo) -> LinkedFile:
    """The bytes of a member, and its time."""
    sparse = info.issparse()
    location = Location(info.offset if sparse else info.offset_data, sparse)
    return LinkedFile(info.size, _seconds(info.mtime), location)


def _reason_to_skip(info: tarfile.TarInfo) -> str | None:
    """Return why a member is no image, as far as its header tells, or None."""
    if info.isdir():
        return "folders"
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
