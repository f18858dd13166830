"""zstd: frames of every kind, one or several."""

from __future__ import annotations

import zstandard

from tests.helpers.archives import pack, photographs, stream, write

IMAGES = photographs(3)
TAR = pack(IMAGES)
BLOCK = 100_000  # bytes; at most 128 KiB


def frame(data: bytes, window_log: int) -> bytes:
    """A frame of raw blocks, without its size; see RFC 8878, 3.1.1."""
    parts = [data[i : i + BLOCK] for i in range(0, len(data), BLOCK)]
    blocks = b"".join(
        ((len(part) << 3) | (i == len(parts) - 1)).to_bytes(3, "little") + part
        for i, part in enumerate(parts)
    )
    return b"\x28\xb5\x2f\xfd\0" + bytes([(window_log - 10) << 3]) + blocks


def test_frames_with_long_windows_are_read(tmp_path):
    for window_log in (27, 28, 31):  # zstd --long has 27, and --long=31 is the longest
        assert stream(write(tmp_path / f"{window_log}.tar.zst", frame(TAR, window_log))) == IMAGES


def test_several_frames_are_one_archive(tmp_path):
    compress = zstandard.ZstdCompressor().compress
    skippable = b"\x50\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    data = skippable + b"".join(compress(TAR[i : i + 7000]) for i in range(0, len(TAR), 7000)) + skippable
    assert stream(write(tmp_path / "a.tar.zst", data)) == IMAGES
