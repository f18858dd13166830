"""The entries of a zip file: from the directory at its end or, if this is missing, from the entries' headers.

The format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT (4.3.7 local headers, 4.4 fields).
"""

from __future__ import annotations

import calendar
import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from imagestore.archive.zip_parts import (
    MARK,
    NotJoined,
    behind_descriptor,
    number_of_last_part,
    read_joined_directory,
)
from imagestore.console import first_line
from imagestore.decompression.forward_decompressor import PreadFile

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
LOCAL_HEADER = struct.Struct("<4s2x4H3I2H")  # signature, ..., length of the name, length of the extra field
LOCAL_SIGNATURE = b"PK\3\4"
END_RECORD = struct.Struct("<4s16xH")  # signature, ..., length of the comment, which ends the file; 4.3.16
END_SIGNATURE = b"PK\5\6"
LONGEST_COMMENT = 0xFFFF
ENCRYPTED, SIZES_BEHIND, UTF8 = 1, 1 << 3, 1 << 11  # bits of the flags
EXTENDED_TIMESTAMP, ZIP64 = 0x5455, 0x0001  # extra fields
IN_ZIP64 = 0xFFFFFFFF  # in place of a size that stands in the field ZIP64
MADE_BY_DOS = 0
READ_AT_ONCE = 64 << 10  # bytes


class NoDirectory(Exception):
    """A zip file has no directory, or a broken one. The message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One entry. Sizes in bytes, `mtime` in seconds since 1970, `mode` as in stat (0 if unknown)."""

    name: str
    method: int  # of compression
    is_encrypted: bool
    header_offset: int
    packed_size: int
    size: int
    crc32: int
    mtime: int
    mode: int

    @property
    def is_folder(self) -> bool:
        """Whether the entry is a folder."""
        return self.name.endswith("/")

    @property
    def is_link(self) -> bool:
        """Whether the entry is a symbolic link."""
        return stat.S_ISLNK(self.mode)


def read_directory(descriptor: int) -> list[ZipEntry]:
    """The entries that the directory at the end of the file lists. Raises NoDirectory, OSError."""
    try:
        without_comment = _UpToComment(descriptor)
        if number_of_last_part(without_comment.end_record()):
            infos = read_joined_directory(descriptor, without_comment.size())
        else:
            with zipfile.ZipFile(io.BufferedReader(without_comment)) as file:
                infos = file.infolist()
        entries = [_from_directory(info) for info in infos]
    except NotJoined as error:
        raise NoDirectory(str(error)) from error
    except (zipfile.BadZipFile, struct.error, ValueError, LookupError, NotImplementedError) as error:
        raise NoDirectory(first_line(error)) from error
    return sorted(entries, key=lambda entry: entry.header_offset)


class _UpToComment(PreadFile):
    """A zip file without its comment, in which zipfile would take an end record for that of the file."""

    def __init__(self, descriptor: int) -> None:
        """Look for the comment."""
        super().__init__(descriptor)
        self._size = super().size()
        start = max(0, self._size - END_RECORD.size - LONGEST_COMMENT)
        self._size = start + _end_of_record(os.pread(descriptor, self._size - start, start))

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into `buffer`, as PreadFile does."""
        return super().readinto(memoryview(buffer)[: max(0, self._size - self.tell())])

    def size(self) -> int:
        """Return the number of bytes before the comment."""
        return self._size

    def end_record(self) -> bytes:
        """Return the record that ends the file."""
        return os.pread(self._descriptor, END_RECORD.size, max(0, self._size - END_RECORD.size))


def is_last_part(descriptor: int) -> bool:
    """Whether a file ends as the last part of a split zip does. Joined, the first part begins it."""
    is_joined = os.pread(descriptor, len(MARK), 0) == MARK
    return not is_joined and number_of_last_part(_UpToComment(descriptor).end_record()) > 0


def _end_of_record(data: bytes) -> int:
    """The offset behind the first end record whose comment goes to the end of the data; else their length."""
    at = data.find(END_SIGNATURE)
    while 0 <= at <= len(data) - END_RECORD.size:
        end = at + END_RECORD.size
        if end + END_RECORD.unpack_from(data, at)[1] == len(data):
            return end
        at = data.find(END_SIGNATURE, at + 1)
    return len(data)


def _from_directory(info: zipfile.ZipInfo) -> ZipEntry:
    raw = info.orig_filename.encode("utf-8" if info.flag_bits & UTF8 else "cp437", "surrogateescape")
    return ZipEntry(
        name=_decode_name(raw, info.create_system),
        method=info.compress_type,
        is_encrypted=bool(info.flag_bits & ENCRYPTED),
        header_offset=info.header_offset,
        packed_size=info.compress_size,
        size=info.file_size,
        crc32=info.CRC,
        mtime=_seconds(info.extra, info.date_time),
        mode=0 if info.create_system == MADE_BY_DOS else info.external_attr >> 16,
    )


def _decode_name(raw: bytes, system: int) -> str:
    """The name as text: UTF-8 if it is that, with or without the flag for it; else the code page of DOS."""
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        name = raw.decode("cp437")
    if system == MADE_BY_DOS and "/" not in name:
        name = name.replace("\\", "/")
    return name


def _seconds(extra: bytes, date_time: tuple[int, ...]) -> int:
    """The time of an entry: that of UTC if the entry has it, else the local time of whoever made it."""
    timestamp = _extra_field(extra, EXTENDED_TIMESTAMP)
    if len(timestamp) >= 5 and timestamp[0] & 1:
        return struct.unpack_from("<i", timestamp, 1)[0]
    year, month, day, *time = date_time
    try:
        return calendar.timegm((year, max(month, 1), max(day, 1), *time))
    except ValueError:
        return 0


def _extra_field(extra: bytes, number: int) -> bytes:
    """The content of one extra field; empty if it is missing."""
    at = 0
    while at + 4 <= len(extra):
        found, length = struct.unpack_from("<HH", extra, at)
        if found == number:
            return extra[at + 4 : at + 4 + length]
        at += 4 + length
    return b""


# ----- without a directory -----


def scan_headers(descriptor: int) -> Iterator[ZipEntry]:
    """The whole entries from the beginning of a file on, until something else follows. Raises OSError.

    A file that was cut short has no directory.
    """
    offset = 4 if os.pread(descriptor, 4, 0) in (b"PK00", MARK) else 0
    end_of_file = os.fstat(descriptor).st_size
    while (found := _entry_at(descriptor, offset)) is not None and found[1] <= end_of_file:
        entry, offset = found
        yield entry


def _entry_at(descriptor: int, offset: int) -> tuple[ZipEntry, int] | None:
    """The entry whose header is at an offset, and the offset behind its data; None if there is none."""
    header = os.pread(descriptor, LOCAL_HEADER.size, offset)
    if len(header) < LOCAL_HEADER.size or not header.startswith(LOCAL_SIGNATURE):
        return None
    _, flags, method, time, date, checksum, packed, size, name_length, extra_length = LOCAL_HEADER.unpack(
        header
    )
    start = offset + LOCAL_HEADER.size + name_length + extra_length
    fields = os.pread(descriptor, name_length + extra_length, offset + LOCAL_HEADER.size)
    raw_name, extra = fields[:name_length], fields[name_length:]
    if not raw_name:
        return None
    if size == IN_ZIP64 and len(zip64 := _extra_field(extra, ZIP64)) >= 16:
        size, packed = struct.unpack_from("<QQ", zip64)
    end = start + packed
    if flags & SIZES_BEHIND and not packed:
        if method != DEFLATED or flags & ENCRYPTED:
            return None  # nothing tells where the data end
        inflated = _inflate(descriptor, start)
        if inflated is None:
            return None
        packed, size, checksum = inflated
        end = behind_descriptor(descriptor, start + packed)
    date_time = (1980 + (date >> 9), date >> 5 & 15, date & 31, time >> 11, time >> 5 & 63, 2 * (time & 31))
    entry = ZipEntry(
        name=_decode_name(raw_name, MADE_BY_DOS),
        method=method,
        is_encrypted=bool(flags & ENCRYPTED),
        header_offset=offset,
        packed_size=packed,
        size=size,
        crc32=checksum,
        mtime=_seconds(extra, date_time),
        mode=0,
    )
    return entry, end


def _inflate(descriptor: int, start: int) -> tuple[int, int, int] | None:
    """Packed size, size and CRC-32 of deflated data that tell their end themselves; None if they are cut."""
    decoder = zlib.decompressobj(-zlib.MAX_WBITS)
    offset, size, checksum = start, 0, 0
    while not decoder.eof:
        data = os.pread(descriptor, READ_AT_ONCE, offset)
        if not data:
            return None
        offset += len(data)
        try:
            while data and not decoder.eof:
                piece = decoder.decompress(data, READ_AT_ONCE)
                size, checksum, data = size + len(piece), zlib.crc32(piece, checksum), decoder.unconsumed_tail
        except zlib.error:
            return None
    return offset - len(decoder.unused_data) - start, size, checksum
