"""xz: the list of blocks lets a read go into the middle."""

from __future__ import annotations

import lzma
import os
import subprocess

import pytest

from imagestore.decompression.damage import WrongChecksum
from imagestore.decompression.xz_decompressor import XzBlockDecompressor, XzDecompressor
from tests.helpers.archives import assert_reads, noise, pack, photographs, stream, write


def compress_in_blocks(path, block_size):
    """Compress a file with xz; return the path of the result."""
    subprocess.run(["xz", "-1", f"--block-size={block_size}", path], check=True, timeout=120)
    return path.with_name(f"{path.name}.xz")


def test_an_archive_of_several_blocks(tmp_path):
    expected = photographs(60, 30_000)
    path = compress_in_blocks(write(tmp_path / "a.tar", pack(expected)), 200_000)
    assert stream(path) == expected
    assert_reads(path, expected)


def test_a_seek_skips_the_blocks_before(tmp_path):
    data = noise(1_000_000, 1)
    path = compress_in_blocks(write(tmp_path / "data", data), 100_000)
    with open(path, "r+b") as file:
        file.seek(150_000)  # in the second block
        file.write(bytes(1000))
    fd = os.open(path, os.O_RDONLY)
    decompressor = XzBlockDecompressor(fd)
    decompressor.seek(800_000)
    assert decompressor.read(1000) == data[800_000:801_000]
    decompressor.distrust()  # from the front, nothing comes past the broken block
    with pytest.raises(WrongChecksum):
        decompressor.seek(800_000)
    decompressor.close()
    os.close(fd)


@pytest.mark.parametrize("behind", [b"", bytes(4), b"garbage"], ids=["nothing", "padding", "garbage"])
@pytest.mark.parametrize("decoder_type", [XzDecompressor, XzBlockDecompressor])
def test_bytes_behind_the_last_stream_are_ignored(tmp_path, decoder_type, behind):
    data = noise(20_000, 1)
    fd = os.open(write(tmp_path / "data", lzma.compress(data) + behind), os.O_RDONLY)
    decompressor = decoder_type(fd)
    assert decompressor.read(len(data)) == data and decompressor.read(1) == b""
    decompressor.close()
    os.close(fd)
