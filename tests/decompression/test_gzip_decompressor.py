"""gzip: several members in one file, and what its errors mean."""

from __future__ import annotations

import gzip
import os

import pytest

from imagestore.archive.protocol import WrongImages
from imagestore.decompression.damage import CutShort, Damaged, WrongChecksum
from imagestore.decompression.gzip_decompressor import GzipDecompressor
from imagestore.sources.open_archive import open_archive
from tests.helpers.archives import assert_reads, noise, pack, photographs, stream, write


def error_type(path):
    """Return the type of the error in which decoding a file ends."""
    fd = os.open(path, os.O_RDONLY)
    decompressor = GzipDecompressor(fd)
    with pytest.raises(Damaged) as caught:
        while decompressor.read(1000):
            pass
    decompressor.close()
    os.close(fd)
    return caught.type


def test_several_members_in_one_file(tmp_path):
    expected = photographs(40)
    plain = pack(expected)
    parts = [plain[i : i + 100_000] for i in range(0, len(plain), 100_000)]
    path = write(tmp_path / "a.tgz", b"".join(map(gzip.compress, parts)))
    assert stream(path) == expected
    assert_reads(path, expected)


def test_errors_tell_what_is_wrong(tmp_path):
    whole = gzip.compress(noise(50_000, 1))
    wrong_crc = whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:]
    wrong_size = whole[:-4] + bytes([whole[-4] ^ 1]) + whole[-3:]
    assert error_type(write(tmp_path / "cut", whole[:-1])) is CutShort
    assert error_type(write(tmp_path / "crc", wrong_crc)) is WrongChecksum
    assert error_type(write(tmp_path / "size", wrong_size)) is WrongChecksum
    assert error_type(write(tmp_path / "text", b"no gzip" * 10)) is Damaged


def test_a_wrong_checksum_means_wrong_images(tmp_path, cache):
    packed = bytearray(pack(photographs(3), "gz"))
    packed[-8] ^= 1
    path = write(tmp_path / "a.tgz", packed)
    with open_archive(path) as archive, pytest.raises(WrongImages, match=r"decompress it to a plain \.tar"):
        for _ in archive.stream():
            pass
    assert not cache.exists()
