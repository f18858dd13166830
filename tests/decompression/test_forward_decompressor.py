"""Decoders that go forward start again to go back, and share a descriptor with anybody."""

from __future__ import annotations

import gzip
import lzma
import os

import pytest

from imagestore.decompression.compression_formats import compression_of
from imagestore.decompression.damage import CutShort, Damaged
from imagestore.decompression.forward_decompressor import PreadFile
from imagestore.decompression.gzip_decompressor import GzipDecompressor
from tests.helpers.archives import noise, write

DATA = noise(300_000, 1)


@pytest.fixture
def descriptor(tmp_path):
    """DATA as a gzip file."""
    fd = os.open(write(tmp_path / "data.gz", gzip.compress(DATA)), os.O_RDONLY)
    yield fd
    os.close(fd)


def test_a_decoder_goes_back_and_forward(descriptor):
    decompressor = GzipDecompressor(descriptor)
    for position in (1000, 250_000, 10, 0):
        assert decompressor.seek(position) == position
        assert decompressor.read(100) == DATA[position : position + 100]
        assert decompressor.tell() == position + 100
    decompressor.close()


def test_a_seek_behind_the_end_goes_to_the_end(descriptor):
    decompressor = GzipDecompressor(descriptor)
    assert decompressor.seek(10**9) == len(DATA)
    assert decompressor.read(10) == b""
    decompressor.close()


def test_two_decoders_share_a_descriptor(descriptor):
    first, second = GzipDecompressor(descriptor), GzipDecompressor(descriptor)
    pieces = [(first.read(10_000), second.read(10_000)) for _ in range(20)]
    assert all(a == b for a, b in pieces)
    assert b"".join(a for a, _ in pieces) == DATA[:200_000]
    assert os.lseek(descriptor, 0, os.SEEK_CUR) == 0
    first.close()
    second.close()


def test_a_closed_decoder_starts_again_at_the_front(descriptor):
    decompressor = GzipDecompressor(descriptor)
    decompressor.read(1000)
    decompressor.close()
    assert decompressor.tell() == 0 and decompressor.read(10) == DATA[:10]
    decompressor.close()


def test_bytes_before_a_broken_place_are_delivered(tmp_path):
    packed = bytearray(gzip.compress(DATA, 1))
    packed[len(packed) // 2 :] = bytes(len(packed) - len(packed) // 2)
    fd = os.open(write(tmp_path / "broken.gz", packed), os.O_RDONLY)
    decompressor = GzipDecompressor(fd)
    with pytest.raises(Damaged):
        while decompressor.read(512):
            pass
    assert decompressor.tell() > len(DATA) // 3
    decompressor.close()
    os.close(fd)


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_after_an_error_smaller_reads_give_what_is_there(tmp_path, compress):
    """A read that reaches the broken place delivers nothing, but no byte before that place is lost."""
    fd = os.open(write(tmp_path / "cut", compress(DATA)[:-50_000]), os.O_RDONLY)
    decompressor = compression_of(os.pread(fd, 10, 0)).open_for_streaming(fd)
    assert decompressor.read(1000) == DATA[:1000]
    with pytest.raises(CutShort):
        decompressor.read(len(DATA))
    delivered = b""
    with pytest.raises(CutShort):
        while piece := decompressor.read(1000):
            delivered += piece
    assert delivered == DATA[1000 : 1000 + len(delivered)] and len(delivered) > len(DATA) - 60_000
    assert decompressor.tell() == 1000 + len(delivered)
    assert decompressor.seek(500) == 500 and decompressor.read(9) == DATA[500:509]
    decompressor.close()
    os.close(fd)


def test_a_pread_file_seeks_like_any_file(tmp_path):
    fd = os.open(write(tmp_path / "file", DATA), os.O_RDONLY)
    file = PreadFile(fd)
    assert file.read(3) == DATA[:3]
    assert file.seek(-5, os.SEEK_END) == len(DATA) - 5
    assert file.read() == DATA[-5:]
    assert file.seek(100) == 100
    assert file.seek(20, os.SEEK_CUR) == file.tell() == 120
    os.close(fd)
