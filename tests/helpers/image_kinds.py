"""Encoded images of kinds that Pillow does not write, byte by byte."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

ORANGE = (250, 130, 0)
SIZE = (60, 40)


def encode_flat(format: str, mode: str = "RGB", colour: object = ORANGE, **how: object) -> bytes:
    """A picture of one colour, by Pillow."""
    file = io.BytesIO()
    Image.new(mode, SIZE, colour).save(file, format, **how)
    return file.getvalue()


def tiff(
    values: np.ndarray,
    *,
    bits: int,
    photometric: int = 1,
    sample_format: int = 1,
    order: str = "<",
    extra: dict | None = None,
) -> bytes:
    """An uncompressed grey TIFF of `values` (h, w); those of 12 bits are packed."""
    height, width = values.shape
    if bits == 12:
        digits = ("".join(f"{value:03x}" for value in row) for row in values.tolist())
        pixels = b"".join(bytes.fromhex(row + "0" * (len(row) % 2)) for row in digits)
    else:
        pixels = values.astype(values.dtype.newbyteorder(order)).tobytes()
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height}
    tags |= {279: len(pixels), 339: sample_format} | (extra or {})
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(
        order + "I", 8 + len(pixels) + len(pixels) % 2
    )
    directory = struct.pack(order + "H", len(tags)) + entries + bytes(4)
    return head + pixels + bytes(len(pixels) % 2) + directory


def png(values: np.ndarray, *, depth: int, kind: int, transparent: bytes = b"") -> bytes:
    """A PNG of numbers (h, w) or (h, w, channels) of 1 to 16 bits. `transparent` is the body of tRNS."""
    height, width = values.shape[:2]
    lines = values.reshape(height, -1)
    if depth == 16:
        rows = [line.astype(">u2").tobytes() for line in lines]
    else:
        bits = (lines[:, :, None] >> np.arange(depth - 1, -1, -1)) & 1
        rows = [np.packbits(line).tobytes() for line in bits.reshape(height, -1).astype(np.uint8)]
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))]
    chunks += [(b"tRNS", transparent)] if transparent else []
    chunks += [(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def bmp_32_bits(
    rgba: tuple[int, int, int, int], *, header_bytes: int = 108, file_header: bool = True
) -> bytes:
    """A BMP of one colour with 32 bits a pixel, which names a mask for alpha."""
    width, height = SIZE
    red, green, blue, alpha = rgba
    pixels = bytes([blue, green, red, alpha]) * (width * height)
    header = struct.pack("<IiiHHIIiiII", header_bytes, width, height, 1, 32, 3, len(pixels), 2835, 2835, 0, 0)
    header += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs"
    header = header.ljust(header_bytes, b"\0")
    start = 14 + len(header)
    front = b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) if file_header else b""
    return front + header + pixels


def ico(*pictures: bytes, sides: tuple[int, ...] = (), bits: tuple[int, ...] = ()) -> bytes:
    """An icon of encoded pictures: PNG, or bitmaps without a file header. A side of 256 is written as 0."""
    listed, bodies, place = b"", b"", 6 + 16 * len(pictures)
    for number, picture in enumerate(pictures):
        side = (sides[number] if sides else 32) % 256
        depth = bits[number] if bits else 32
        listed += struct.pack("<BBBBHHII", side, side, 0, 0, 1, depth, len(picture), place)
        bodies += picture
        place += len(picture)
    return b"\0\0\1\0" + struct.pack("<H", len(pictures)) + listed + bodies


def icon_bitmap(rgba: tuple[int, int, int, int], side: int) -> bytes:
    """A bitmap of 32 bits a pixel inside an icon, with its mask, which hides nothing."""
    red, green, blue, alpha = rgba
    header = struct.pack("<IiiHHIIiiII", 40, side, 2 * side, 1, 32, 0, 0, 0, 0, 0, 0)
    mask = bytes(-(-side // 32) * 4 * side)
    return header + bytes([blue, green, red, alpha]) * side * side + mask


def qoi(colour: tuple[int, int, int] = ORANGE, size: tuple[int, int] = SIZE) -> bytes:
    """A QOI of one colour: the first pixel, then runs of it (the QOI file format specification)."""
    left = size[0] * size[1] - 1
    runs = bytes([0xC0 | 61]) * (left // 62) + (bytes([0xC0 | (left % 62 - 1)]) if left % 62 else b"")
    return b"qoif" + struct.pack(">IIBB", *size, 3, 0) + b"\xfe" + bytes(colour) + runs + bytes(7) + b"\1"


def psd(colour: tuple[int, int, int] = ORANGE, size: tuple[int, int] = SIZE) -> bytes:
    """A PSD with the flat image only, not compressed."""
    header = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, size[1], size[0], 8, 3)
    area = size[0] * size[1]
    return header + bytes(12) + b"\0\0" + b"".join(bytes([channel]) * area for channel in colour)


def ppm(values: np.ndarray, most: int, *, kind: int) -> bytes:
    """A PGM (kinds 2 and 5) or PPM (kinds 3 and 6) of numbers up to `most`; kinds 2 and 3 are text."""
    height, width = values.shape[:2]
    head = f"P{kind}\n# made by a test\n{width} {height}\n{most}\n".encode()
    if kind in (2, 3):
        return head + b" ".join(str(value).encode() for value in values.ravel().tolist()) + b"\n"
    return head + values.astype(">u2" if most > 255 else np.uint8).tobytes()
