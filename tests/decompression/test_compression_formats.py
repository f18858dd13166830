"""All compression formats deliver the same bytes, however they are opened, and stop where the data break."""

from __future__ import annotations

import itertools
import os
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestore.decompression.compression_formats import compression_of
from imagestore.decompression.damage import CutShort
from tests.helpers.archives import (
    COMPRESSIONS,
    COMPRESSIONS_TO_SCAN,
    PACKERS,
    assert_reads,
    noise,
    pack,
    photographs,
    stream,
    stream_until_error,
    write,
)

COMPRESSED = [compression for compression in COMPRESSIONS if compression != "tar"]
NAMES = {"tar": "uncompressed", "gz": "gzip", "bz2": "bzip2", "xz": "xz", "zst": "zstd", "lz4": "lz4"}


@pytest.fixture
def open_packed(tmp_path):
    """A function that writes compressed data to a file and returns its descriptor and Compression."""
    descriptors = []

    def open_file(packed):
        descriptors.append(os.open(write(tmp_path / "data", packed), os.O_RDONLY))
        return descriptors[-1], compression_of(packed[:512])

    yield open_file
    for descriptor in descriptors:
        os.close(descriptor)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_first_bytes_tell_the_compression(compression):
    assert compression_of(pack([("a.jpg", b"1")], compression)[:512]).name == NAMES[compression]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_each_way_of_opening_gives_the_same_bytes(open_packed, compression):
    data = noise(1_000_000, 1)
    descriptor, format = open_packed(PACKERS[compression](data))
    first_pass = format.open_for_first_pass(descriptor)
    parts = [first_pass.read(400_000), first_pass.read(2_000_000), first_pass.read(1)]
    assert parts == [data[:400_000], data[400_000:], b""]
    points = first_pass.points()
    assert bool(points) == (compression in ("gz", "bz2"))
    streaming = format.open_for_streaming(descriptor)
    assert streaming.read(2_000_000) == data
    assert streaming.seek(2_000_000) == len(data)
    decompressors = [first_pass, streaming]
    for known_points in (points, b""):
        fetching = format.open_for_fetching(descriptor, known_points)
        decompressors.append(fetching)
        for position in (900_000, 100, 500_000, 0):
            fetching.seek(position)
            assert fetching.tell() == position
            assert fetching.read(1000) == data[position : position + 1000]
        fetching.distrust()
        fetching.seek(700_000)
        assert fetching.read(1000) == data[700_000:701_000]
    for decompressor in decompressors:
        decompressor.close()


@pytest.mark.parametrize("compression", COMPRESSIONS_TO_SCAN[1:])
def test_data_that_end_too_early_are_cut_short(open_packed, compression):
    data = noise(300_000, 1)
    packed = PACKERS[compression](data)
    descriptor, format = open_packed(packed[: len(packed) // 2])
    for decompressor in (
        format.open_for_first_pass(descriptor),
        format.open_for_streaming(descriptor),
        format.open_for_fetching(descriptor, b""),
    ):
        with pytest.raises(CutShort):
            while decompressor.read(1000):
                pass
        assert decompressor.tell() < len(data)
        decompressor.close()


@pytest.mark.parametrize("behind", [bytes(2000), b"garbage behind the data" * 50], ids=["zeros", "garbage"])
@pytest.mark.parametrize("compression", COMPRESSIONS_TO_SCAN[1:])
def test_bytes_behind_the_data_are_ignored(tmp_path, compression, behind):
    expected = photographs(40)
    path = write(tmp_path / "a", pack(expected, compression) + behind)
    assert stream(path) == expected
    assert_reads(path, expected)


# ----- broken archives -----


@pytest.fixture(scope="module")
def small_archives():
    """The bytes of a small archive, and its images, for each compression."""
    images = photographs(25, 9_000)
    return {compression: (pack(images, compression), images) for compression in COMPRESSIONS}


@pytest.mark.parametrize("compression", COMPRESSIONS_TO_SCAN)
def test_a_cut_archive_gives_whole_images_then_an_error(tmp_path, small_archives, compression, cache):
    whole, images = small_archives[compression]
    # A plain tar may lack its end mark, or be cut exactly between two members: that is noted, no error.
    ends = itertools.accumulate(512 + -(-len(data) // 512) * 512 for _, data in images)
    silent = set(ends) if compression == "tar" else set()

    @settings(max_examples=60)
    @given(st.integers(600, len(whole) - 1))
    def check(length):
        shutil.rmtree(cache, ignore_errors=True)
        before_error, message = stream_until_error(write(tmp_path / "cut", whole[:length]))
        assert before_error == images[: len(before_error)]
        if length in silent or (silent and length >= max(silent) + 512):
            assert not message
            return
        assert "cut ends " in message or (not before_error and "damaged at its beginning" in message)
        assert not cache.exists()

    check()


@pytest.mark.parametrize("compression", COMPRESSIONS_TO_SCAN[1:])
def test_a_flipped_bit_ends_in_an_error_without_index(tmp_path, small_archives, compression, cache):
    whole, images = small_archives[compression]

    @settings(max_examples=25)
    # bzip2's last ten bytes repeat what the checksum of each block has vouched for.
    @given(st.integers(700, len(whole) - 12), st.integers(0, 7))
    def check(offset, bit):
        data = bytearray(whole)
        data[offset] ^= 1 << bit
        before_error, message = stream_until_error(write(tmp_path / "flipped", data))
        assert "flipped is" in message or "flipped ends" in message
        assert (
            before_error == images[: len(before_error)]
            or "some of its images are not what was packed" in message
        )
        assert not cache.exists()

    check()
