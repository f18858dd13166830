"""Pixels as PNG files whose bytes are the same in every run.

A run must recognise an image that an earlier run stored. Pillow's PNG changes with Pillow, which brings its
own zlib along. So the file is made here, with one filter and Python's zlib, which is the system's. See the
PNG specification, https://www.w3.org/TR/png-3/.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from isal.isal_zlib import crc32

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # number of channels -> grey, RGB, RGBA
LEVEL = 2  # of zlib: for photographs, level 6 takes three times as long for 4 % less
FILTER_UP = 2  # the difference from the row above


def encode_png(pixels: np.ndarray) -> bytes:
    """A picture (H, W) or (H, W, 1, 3 or 4) of uint8 as a PNG file, without loss."""
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    lines = np.empty((height, rows.shape[1] + 1), np.uint8)
    lines[:, 0] = FILTER_UP
    lines[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=lines[1:, 1:])  # modulo 256, as the filter wants it
    channels = rows.shape[1] // width
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    data = zlib.compress(lines, LEVEL)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(data, crc32(kind)))
