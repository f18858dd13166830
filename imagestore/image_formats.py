"""The formats of images that the commands read: names of files, and what a file begins with.

To add a format, add a row to FORMATS. Never add one whose reader starts another program (EPS).

Nothing is decoded here, and nothing is imported: archives, stores and HDF5 files can ask about bytes cheaply.
The checks look at the first FIRST_BYTES bytes only. A format whose mark is short must have a plausible header
too, so text and arrays of numbers are no images.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

FIRST_BYTES = 512  # enough of a file for every check


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageFormat:
    """A row of the table."""

    name: str  # Pillow's
    plugin: str  # the module that reads it
    suffixes: tuple[str, ...]  # of file names, the usual one first
    begins: Callable[[bytes], bool]  # whether a file with these first bytes has the format
    only_by_name: bool = False  # the first bytes alone are no evidence

    # What is special about decoding it.
    feature: str = ""  # what `PIL.features.check` calls the library that Pillow may be built without
    reader_bytes_per_pixel: int = 0  # decoded copies that the reader holds beside the image itself
    silence_standard_error: bool = False  # the C library writes messages there
    alpha_may_be_unused: bool = False  # writers leave an alpha of zeros for "no alpha"


def has_image_suffix(name: str) -> bool:
    """Whether a file name ends like an image's; upper and lower case are the same."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def begins_as_image(data: bytes) -> bool:
    """Whether a file with these first bytes is an image. The name of a TGA must tell, as its bytes cannot."""
    found = format_of(data)
    return found is not None and not found.only_by_name


def is_image_file(data: bytes, name: str) -> bool:
    """Whether a file with these first bytes and this name is an image."""
    found = format_of(data)
    return found is not None and (not found.only_by_name or has_image_suffix(name))


def suffix_of(data: bytes) -> str:
    """The usual suffix of an image with these first bytes (".jpg"), or "" for bytes that are no image."""
    found = format_of(data)
    return found.suffixes[0] if found and not found.only_by_name else ""


def format_of(data: bytes) -> ImageFormat | None:
    """The format that the first bytes of a file have, for a file that is taken for an image."""
    start = bytes(data[:FIRST_BYTES])
    for row in FORMATS:
        if row.begins(start):
            return row
    return None


# ----- formats with a long mark -----


def _starts_with(*marks: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(marks)


def _is_webp(data: bytes) -> bool:
    return data.startswith(b"RIFF") and data[8:12] == b"WEBP"


def _is_bmp(data: bytes) -> bool:
    return data.startswith(b"BM") and data[14:18] in _BMP_HEADER_SIZES


_BMP_HEADER_SIZES = frozenset(struct.pack("<I", size) for size in (12, 16, 40, 52, 56, 64, 108, 124))


def _is_dib(data: bytes) -> bool:
    """A BMP without its file header: header size, width, height, one plane, bits of a pixel, compression."""
    if data[:4] not in _BMP_HEADER_SIZES or len(data) < 40 or data[0] < 40:
        return False
    width, height, planes, bits, compression = struct.unpack_from("<iiHHI", data, 4)
    return width > 0 and height != 0 and planes == 1 and bits in (1, 4, 8, 16, 24, 32) and compression <= 6


def _is_avif(data: bytes) -> bool:
    return bool(_brands(data) & {b"avif", b"avis"})


def _is_heif(data: bytes) -> bool:
    return bool(_brands(data) & {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})


def _brands(data: bytes) -> set[bytes]:
    """The brands of a file in ISO's base media format (ISO/IEC 14496-12, 4.3): the main one, then others."""
    if data[4:8] != b"ftyp":
        return set()
    box = data[: int.from_bytes(data[:4], "big")]
    return {box[place : place + 4] for place in (8, *range(16, len(box), 4))}


def _is_qoi(data: bytes) -> bool:
    return data.startswith(b"qoif") and len(data) >= 14 and data[12] in (3, 4) and data[13] in (0, 1)


def _is_psd(data: bytes) -> bool:
    return data.startswith(b"8BPS\0\1" + bytes(6))


# ----- formats whose header must be plausible -----

_SPACE = rb"(?:\s|#[^\r\n]*[\r\n])+"  # comments count as spaces
_SIZE = rb"[1-9]\d{0,6}"
_NETPBM = re.compile(
    rb"P4%(space)s%(size)s%(space)s%(size)s\s"
    rb"|P[56]%(space)s%(size)s%(space)s%(size)s%(space)s\d{1,5}\s"
    rb"|P1%(space)s%(size)s%(space)s%(size)s\s[01\s]{0,16}(?:[01\s#]|$)"
    rb"|P[23]%(space)s%(size)s%(space)s%(size)s%(space)s\d{1,5}\s[\d\s]{0,16}(?:[\d\s#]|$)"
    rb"|Pf\s%(size)s\s+%(size)s\s+-?\d*\.?\d+\s" % {b"space": _SPACE, b"size": _SIZE}
)


def _is_netpbm(data: bytes) -> bool:
    """PBM, PGM and PPM, as text (P1 to P3) and binary (P4 to P6), and grey PFM (Pf)."""
    return _NETPBM.match(data) is not None


def _is_ico(data: bytes) -> bool:
    """An icon: a list of pictures, one of which stands right behind the list."""
    if not data.startswith(b"\0\0\1\0") or len(data) < 22:
        return False
    count = int.from_bytes(data[4:6], "little")
    entries = [
        struct.unpack_from("<3xBHHII", data, place)
        for place in range(6, 6 + 16 * count, 16)
        if place + 16 <= len(data)
    ]
    places = [place for *_, place in entries]
    return count <= 256 and all(map(_is_entry_of_ico, entries)) and min(places, default=0) == 6 + 16 * count


def _is_entry_of_ico(entry: tuple[int, ...]) -> bool:
    reserved, planes, bits, size, _ = entry
    return reserved in (0, 255) and planes <= 1 and bits in (0, 1, 2, 4, 8, 16, 24, 32) and size >= 40


def _is_pcx(data: bytes) -> bool:
    """Its lines have the length that follows from their pixels; the length may be rounded up."""
    if len(data) < 70 or data[0] != 10 or data[1] not in (0, 2, 3, 4, 5) or data[2] != 1:
        return False
    bits, left, top, right, bottom = struct.unpack_from("<B4H", data, 3)
    planes, line = struct.unpack_from("<BH", data, 65)
    shortest = ((right - left + 1) * bits + 7) // 8
    return (
        bits in (1, 2, 4, 8) and 1 <= planes <= 4 and left <= right and top <= bottom
        and shortest <= line <= shortest + 16
    )  # fmt: skip


def _is_sgi(data: bytes) -> bool:
    if not data.startswith(b"\x01\xda") or len(data) < 108:
        return False
    storage, depth, dimensions, width, height, channels = struct.unpack_from(">BBHHHH", data, 2)
    return (
        storage <= 1 and depth in (1, 2) and 1 <= dimensions <= 3 and width > 0 and height > 0
        and 1 <= channels <= 4 and data[104:108] == bytes(4)
    )  # fmt: skip


def _is_tga(data: bytes) -> bool:
    """A TGA has no mark. Its header says the kind of picture, the palette and the bits of a pixel."""
    if len(data) < 18:
        return False
    palette, kind, _, entries, entry_bits = struct.unpack_from("<BBHHB", data, 1)
    width, height, bits, flags = struct.unpack_from("<HHBB", data, 12)
    if not width or not height or flags & 0xC0 or flags & 0x0F > 8:
        return False
    if palette == 1:
        return kind in (1, 9) and bits == 8 and 0 < entries <= 256 and entry_bits in (15, 16, 24, 32)
    return palette == 0 and bits in {2: (15, 16, 24, 32), 3: (1, 8, 16)}.get(kind & ~8, ())


# ----- the table -----

FORMATS = (
    ImageFormat(
        name="JPEG",
        plugin="PIL.JpegImagePlugin",
        suffixes=(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
        begins=_starts_with(b"\xff\xd8\xff"),
    ),
    ImageFormat(
        name="PNG",
        plugin="PIL.PngImagePlugin",
        suffixes=(".png", ".apng"),
        begins=_starts_with(b"\x89PNG\r\n\x1a\n"),
    ),
    ImageFormat(
        name="GIF",
        plugin="PIL.GifImagePlugin",
        suffixes=(".gif",),
        begins=_starts_with(b"GIF87a", b"GIF89a"),
    ),
    ImageFormat(
        name="WEBP",
        plugin="PIL.WebPImagePlugin",
        suffixes=(".webp",),
        begins=_is_webp,
        feature="webp",
        reader_bytes_per_pixel=12,
    ),
    ImageFormat(
        name="TIFF",
        plugin="PIL.TiffImagePlugin",
        suffixes=(".tif", ".tiff"),
        begins=_starts_with(b"II*\0", b"MM\0*", b"II+\0\x08\0", b"MM\0+\0\x08"),
        silence_standard_error=True,
    ),
    ImageFormat(
        name="BMP",
        plugin="PIL.BmpImagePlugin",
        suffixes=(".bmp", ".dib"),
        begins=_is_bmp,
        alpha_may_be_unused=True,
    ),
    ImageFormat(
        name="AVIF",
        plugin="PIL.AvifImagePlugin",
        suffixes=(".avif", ".avifs"),
        begins=_is_avif,
        feature="avif",
        reader_bytes_per_pixel=8,
    ),
    ImageFormat(
        name="HEIF",
        plugin="pillow_heif",
        suffixes=(".heic", ".heif", ".hif"),
        begins=_is_heif,
        reader_bytes_per_pixel=10,
    ),
    ImageFormat(
        name="JPEG2000",
        plugin="PIL.Jpeg2KImagePlugin",
        suffixes=(".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc"),
        begins=_starts_with(b"\xff\x4f\xff\x51\0", b"\0\0\0\x0cjP  \r\n\x87\n"),
        feature="jpg_2000",
        reader_bytes_per_pixel=21,
    ),
    ImageFormat(
        name="PPM",
        plugin="PIL.PpmImagePlugin",
        suffixes=(".ppm", ".pgm", ".pbm", ".pnm"),
        begins=_is_netpbm,
        reader_bytes_per_pixel=12,
    ),
    ImageFormat(
        name="ICO",
        plugin="PIL.IcoImagePlugin",
        suffixes=(".ico",),
        begins=_is_ico,
        alpha_may_be_unused=True,
    ),
    ImageFormat(
        name="QOI", plugin="PIL.QoiImagePlugin", suffixes=(".qoi",), begins=_is_qoi, reader_bytes_per_pixel=8
    ),
    ImageFormat(name="PCX", plugin="PIL.PcxImagePlugin", suffixes=(".pcx",), begins=_is_pcx),
    ImageFormat(
        name="SGI", plugin="PIL.SgiImagePlugin", suffixes=(".sgi",), begins=_is_sgi, reader_bytes_per_pixel=4
    ),
    ImageFormat(
        name="DDS",
        plugin="PIL.DdsImagePlugin",
        suffixes=(".dds",),
        begins=_starts_with(b"DDS \x7c\0\0\0"),
        reader_bytes_per_pixel=4,
    ),
    ImageFormat(
        name="PSD", plugin="PIL.PsdImagePlugin", suffixes=(".psd",), begins=_is_psd, reader_bytes_per_pixel=3
    ),
    ImageFormat(
        name="DIB",
        plugin="PIL.BmpImagePlugin",
        suffixes=(".dib",),
        begins=_is_dib,
        alpha_may_be_unused=True,
    ),
    ImageFormat(  # the last: it has no mark
        name="TGA",
        plugin="PIL.TgaImagePlugin",
        suffixes=(".tga",),
        begins=_is_tga,
        only_by_name=True,
        alpha_may_be_unused=True,
    ),
)

IMAGE_SUFFIXES = frozenset(suffix for row in FORMATS for suffix in row.suffixes)
