"""ReadAhead gives the bytes and the errors of the decompressor behind it, at the same places."""

from __future__ import annotations

import gzip
import os
import random
from pathlib import Path

import pytest

from imagestore.decompression.damage import Damaged
from imagestore.decompression.decompressed_blocks import BLOCK
from imagestore.decompression.decompressing_processes import DecompressingProcesses
from imagestore.decompression.decompressing_thread import BLOCKS_AHEAD
from imagestore.decompression.gzip_decompressor import GzipDecompressor, RapidGzipDecompressor
from imagestore.decompression.read_ahead import read_ahead
from tests.helpers.archives import noise, write
from tests.helpers.descriptors import running_threads

DATA = noise(3 * BLOCK + 12_345, 1)
SIZES = [1, 512, 50_000, BLOCK, BLOCK + 1, 0]


@pytest.fixture(params=["thread", "process"])
def processes(request):
    """The processes that decompress; without any, a thread does. Some tests kill them."""
    with DecompressingProcesses(1 if request.param == "process" else 0) as started:
        yield started


@pytest.fixture(params=[GzipDecompressor, RapidGzipDecompressor.for_first_pass])
def open_file(request, processes, tmp_path):
    """A function that opens a file of these bytes twice: with ReadAhead, and without."""
    descriptors = []

    def open_both(content: bytes):
        path = write(tmp_path / "a.gz", content)
        descriptors.extend(os.open(path, os.O_RDONLY) for _ in range(2))
        return read_ahead(request.param, descriptors[-2], processes), request.param(descriptors[-1])

    yield open_both
    for descriptor in descriptors:
        os.close(descriptor)


def read_to_end(decompressor, seed: int) -> tuple[bytes, str]:
    """The bytes that come in pieces of random sizes, and the error after them."""
    sizes, read = random.Random(seed), b""
    while True:
        try:
            size = sizes.choice(SIZES)
            piece = decompressor.read(size)
        except Damaged as damage:
            return read, f"{type(damage).__name__} {damage} {damage.confirmed} at {decompressor.tell()}"
        read += piece
        assert decompressor.tell() == len(read)
        if len(piece) < size:
            return read, ""


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["whole", "empty", "cut", "broken", "wrong checksum", "garbage behind"])
def test_bytes_and_errors_are_those_without_it(open_file, kind, seed):
    content = bytearray(gzip.compress(DATA if kind != "empty" else b"", 1))
    if kind == "cut":
        del content[2 * BLOCK + 5000 :]
    elif kind == "broken":
        content[2 * BLOCK + 5000 :] = bytes(5000)
    elif kind == "wrong checksum":
        content[-5] ^= 1
    elif kind == "garbage behind":
        content += b"garbage"
    ahead, plain = open_file(bytes(content))
    found, expected = read_to_end(ahead, seed), read_to_end(plain, seed)
    assert found == expected
    assert bool(found[1]) == (kind in ("cut", "broken", "wrong checksum"))
    if not found[1]:
        assert ahead.bytes_behind() == plain.bytes_behind() == (7 if kind == "garbage behind" else 0)
        assert bool(ahead.points()) == bool(plain.points())
    ahead.close()
    plain.close()


def test_a_step_back_and_forward(open_file):
    ahead, plain = open_file(gzip.compress(DATA, 1))
    for position in (5000, 2 * BLOCK, 100, 101, len(DATA) + 5, 7):
        assert ahead.seek(position) == min(position, len(DATA))
        assert ahead.read(1000) == DATA[position : position + 1000]
    ahead.close()
    plain.close()


def test_it_goes_on_after_the_points_were_asked_for(open_file):
    ahead, plain = open_file(gzip.compress(DATA, 1))
    assert ahead.read(70_000) == DATA[:70_000]
    ahead.points()
    assert ahead.read(len(DATA)) == DATA[70_000:]
    ahead.close()
    plain.close()


def test_no_thread_is_left_and_little_is_read_ahead(tmp_path: Path):
    class Counting(GzipDecompressor):
        blocks = 0

        def read(self, size: int) -> bytes:
            Counting.blocks += 1
            return super().read(size)

    path = write(tmp_path / "a.gz", gzip.compress(bytes(64 * BLOCK), 1))
    with path.open("rb") as file:
        before = running_threads()
        ahead = read_ahead(Counting, file.fileno())
        ahead.read(10)
        ahead.close()
        assert running_threads() <= before
    assert Counting.blocks <= BLOCKS_AHEAD + 1
