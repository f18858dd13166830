"""The bytes of a zip file's entry, whichever method compressed them.

To add a method, add a function to DECODERS. The numbers of the methods are in APPNOTE.TXT, 4.4.5.
"""

from __future__ import annotations

import bz2
import lzma
import os
import zipfile
from collections.abc import Callable

from isal import igzip_lib
from isal.isal_zlib import crc32

from imagestore.archive.zip_entries import LOCAL_HEADER, LOCAL_SIGNATURE, ZipEntry
from imagestore.console import first_line

LZMA_HEADER = 9  # bytes: version (2), size of the properties (2), properties (5); APPNOTE.TXT, 5.8
ERRORS = (igzip_lib.IsalError, lzma.LZMAError, EOFError, OSError, ValueError, IndexError)


class DamagedEntry(Exception):
    """The bytes of an entry cannot be read, or do not have its checksum. The message says why."""


def read_entry(descriptor: int, entry: ZipEntry, limit: int | None = None) -> bytes:
    """The bytes of an entry, or their first `limit` bytes. Raises DamagedEntry, OSError."""
    header = os.pread(descriptor, LOCAL_HEADER.size, entry.header_offset)
    if len(header) < LOCAL_HEADER.size or not header.startswith(LOCAL_SIGNATURE):
        raise DamagedEntry("its header is damaged")
    name_length, extra_length = LOCAL_HEADER.unpack(header)[-2:]
    start = entry.header_offset + LOCAL_HEADER.size + name_length + extra_length
    size = entry.size if limit is None else min(limit, entry.size)
    data = _read_data(descriptor, entry, start, size)
    if len(data) != size:
        raise DamagedEntry("its data end too early")
    if limit is None and crc32(data) != entry.crc32:
        raise DamagedEntry("wrong checksum")
    return data


def _read_data(descriptor: int, entry: ZipEntry, start: int, size: int) -> bytes:
    if not size:
        return b""
    if entry.method == zipfile.ZIP_STORED:
        return os.pread(descriptor, size, start)
    if entry.method not in DECODERS:
        raise DamagedEntry(f"its compression method {entry.method} is not known here")
    packed = os.pread(descriptor, entry.packed_size, start)
    try:
        return DECODERS[entry.method](packed, size)
    except ERRORS as error:
        raise DamagedEntry(first_line(error) or "its data are broken") from error


def _inflate(packed: bytes, size: int) -> bytes:
    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE).decompress(packed, size)


def _decode_bzip2(packed: bytes, size: int) -> bytes:
    return bz2.BZ2Decompressor().decompress(packed, size)


def _decode_lzma(packed: bytes, size: int) -> bytes:
    """LZMA without a container; the properties are those of the .lzma format."""
    properties = packed[LZMA_HEADER - 5]
    filters = {
        "id": lzma.FILTER_LZMA1,
        "dict_size": int.from_bytes(packed[LZMA_HEADER - 4 : LZMA_HEADER], "little"),
        "lc": properties % 9,
        "lp": properties // 9 % 5,
        "pb": properties // 45,
    }
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[filters]).decompress(packed[LZMA_HEADER:], size)


DECODERS: dict[int, Callable[[bytes, int], bytes]] = {  # method -> function of packed bytes and a size
    zipfile.ZIP_DEFLATED: _inflate,
    zipfile.ZIP_BZIP2: _decode_bzip2,
    zipfile.ZIP_LZMA: _decode_lzma,
}
