"""What follows the compressed data or the end mark of an archive costs no image, and is named in one line."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import lzma
import operator
import shutil
import subprocess
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestore.archive.protocol import DamagedArchive, WrongImages
from imagestore.sources.open_archive import open_archive
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
MAGIC = {
    "gz": b"\x1f\x8b\x08",
    "bz2": b"BZh9",
    "xz": b"\xfd7zXZ\x00",
    "zst": b"\x28\xb5\x2f\xfd",
    "lz4": b"\x04\x22\x4d\x18",
}
HEADER = {
    "gz": MAGIC["gz"] + bytes(7),
    "bz2": b"BZh91AY&SY",
    "xz": lzma.compress(b"")[:12],
    "zst": PACKERS["zst"](b"")[:6],
    "lz4": PACKERS["lz4"](b"")[:7],
}


def images_by_tarfile(archive: bytes):
    """Return the names and bytes of an archive as Python's tarfile reads it."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return [(info.name, tar.extractfile(info).read()) for info in tar]


# ----- bytes behind the compressed data -----


@functools.cache
def clean_archive(compression, count, size):
    """Return the bytes of an archive, and its images as tarfile reads them."""
    archive = pack(photographs(count, size))
    return PACKERS[compression](archive), images_by_tarfile(archive)


def tails(compression):
    """Bytes that may stand behind compressed data: padding, line ends, garbage, and parts of a header."""
    garbage = st.binary(min_size=1, max_size=300)
    beginnings = st.sampled_from([b"", MAGIC[compression], HEADER[compression]])
    return st.one_of(
        garbage,
        st.sampled_from([b"\n", b"\r\n", b"\x1a", bytes(1), bytes(4), bytes(512), bytes(10_163), b"garbage"]),
        st.integers(1, len(HEADER[compression])).map(lambda length: HEADER[compression][:length]),
        st.builds(operator.add, beginnings, garbage),
        st.builds(operator.add, beginnings, st.integers(1, 3).map(lambda seed: noise(70_000, seed))),
    )


@pytest.mark.slow
@pytest.mark.parametrize("compression", COMPRESSIONS_TO_SCAN[1:])
def test_any_bytes_behind_the_data_cost_no_image(tmp_path, compression, cache, capfd):
    name = {"gz": "gzip", "bz2": "bzip2", "xz": "xz", "zst": "zstd", "lz4": "lz4"}[compression]
    path = tmp_path / "a"

    @settings(max_examples=40)
    @given(st.sampled_from([(1, 1), (2, 40_000), (24, 700), (75, 3_000)]), tails(compression))
    def check(count_and_size, tail):
        shutil.rmtree(cache, ignore_errors=True)
        whole, expected = clean_archive(compression, *count_and_size)
        write(path, whole + tail)
        count, ignored = ("1 byte", "is") if len(tail) == 1 else (f"{len(tail):,} bytes", "are")
        note = f"{path} has {count} behind its {name} data, which {ignored} ignored\n"
        assert stream(path) == expected
        assert capfd.readouterr().err == note
        with open_archive(path, ignore_zeros=True) as archive:
            assert [(member.name, data) for member, data in archive.stream()] == expected
        assert capfd.readouterr().err == note
        with open_archive(path) as archive:
            assert archive.indexed
            assert [(member.name, archive.read(member)) for member in archive.members()] == expected
        assert capfd.readouterr().err == note, "a run that uses the index says it, too"

    check()


@pytest.mark.slow
@pytest.mark.parametrize("beginning", [b"", MAGIC["gz"], HEADER["gz"]], ids=["none", "magic", "header"])
def test_much_garbage_behind_a_large_archive(tmp_path, large_archives, beginning, capfd):
    source, expected = large_archives["gz"]
    tail = beginning + noise(6_000_000, 3)
    path = write(tmp_path / "a.tgz", source.read_bytes() + tail)
    assert stream(path) == expected
    assert f"{len(tail):,} bytes behind its gzip data" in capfd.readouterr().err
    with open_archive(path) as archive:
        for i in (0, 100, 279):
            assert archive.read(archive.members()[i]) == expected[i][1]


@pytest.mark.parametrize("compression", COMPRESSED)
def test_several_streams_make_one_archive(tmp_path, compression):
    expected = photographs(30, 5_000)
    plain, compress = pack(expected), PACKERS[compression]
    for size in (100_000, 7_001):
        streams = [compress(plain[i : i + size]) for i in range(0, len(plain), size)]
        for between in (b"", compress(b""), bytes(512)):
            path = write(tmp_path / f"a{size}{len(between)}", between.join(streams))
            assert stream(path) == expected
            assert_reads(path, expected)


# ----- damage of a later stream -----


@pytest.mark.parametrize("damage", ["crc", "size"])
def test_a_wrong_checksum_with_bytes_behind_is_still_wrong(tmp_path, damage, cache):
    packed = bytearray(pack(photographs(3), "gz"))
    packed[-8 if damage == "crc" else -4] ^= 1
    with open_archive(write(tmp_path / "a.tgz", packed + b"\n")) as archive, pytest.raises(WrongImages):
        archive.members()
    assert not cache.exists()


@pytest.mark.parametrize("compression", COMPRESSED)
def test_a_cut_later_stream_gives_all_before(tmp_path, compression):
    expected = photographs(20, 5_000)
    plain, compress = pack(expected), PACKERS[compression]
    second = compress(plain[60_000:])
    images, message = stream_until_error(write(tmp_path / "a", compress(plain[:60_000]) + second[:30_000]))
    assert images == expected[: len(images)] and len(images) >= 10
    assert "a ends in the middle of" in message


@pytest.mark.parametrize("kind", ["cut", "wrong checksum"])
def test_a_broken_archive_behind_the_end_mark_is_an_error(tmp_path, kind):
    """The first archive is whole, and its images are kept."""
    first, second = photographs(9, 3_000), photographs(20, 3_000)
    packed = pack(second, "gz")
    broken = packed[:30_000] if kind == "cut" else packed[:-8] + b"1234" + packed[-4:]
    with open_archive(write(tmp_path / "a.tgz", pack(first, "gz") + broken)) as archive:
        assert [archive.read(member) for member in archive.members()] == [data for _, data in first]
        assert isinstance(archive.damage, DamagedArchive)
        assert "the archive behind its end mark" in str(archive.damage)


# ----- end marks -----


def joined(compression, *archives):
    """Return archives one after another, as `cat` joins their files."""
    return b"".join(pack(images, compression) for images in archives)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_an_archive_behind_the_end_mark_is_named(tmp_path, compression, capfd):
    first, second = photographs(30, 3_000), [(f"b/{name}", data) for name, data in photographs(45, 3_000)]
    path = write(tmp_path / "a", joined(compression, first, second, second))
    note = "a has 90 more images behind its end mark, which are not read: --ignore-zeros reads them, too\n"
    assert stream(path) == first
    assert note in capfd.readouterr().err
    assert_reads(path, first)
    assert note in capfd.readouterr().err
    with open_archive(path, ignore_zeros=True) as archive:
        assert not archive.indexed, "the other index lacks members"
        assert [(member.name, data) for member, data in archive.stream()] == first + second + second
    with open_archive(path, ignore_zeros=True) as archive:
        assert archive.indexed
        images = [(member.name, archive.read(member)) for member in archive.members()]
        assert images == first + second + second
    assert capfd.readouterr().err == ""
    assert_reads(path, first)


def test_a_named_index_serves_one_reading_at_a_time(tmp_path):
    first, second = photographs(3), photographs(5)
    path, index = write(tmp_path / "a.tar", joined("tar", first, second)), tmp_path / "index"
    for ignore_zeros, count in ((False, 3), (True, 8), (True, 8), (False, 3)):
        with open_archive(path, index, ignore_zeros=ignore_zeros) as archive:
            assert len(archive.members()) == count


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("at", [0, 1, 5])
def test_a_lone_block_of_zeros_ends_nothing(tmp_path, compression, at, capfd):
    expected = photographs(12, 4_000)
    plain = pack(expected)
    offset = sum(512 + -(-len(data) // 512) * 512 for _, data in expected[:at])
    path = write(tmp_path / "a", PACKERS[compression](plain[:offset] + bytes(512) + plain[offset:]))
    assert stream(path) == expected
    assert_reads(path, expected)
    assert capfd.readouterr().err == ""


def test_an_end_mark_of_one_block_is_enough_at_the_end(tmp_path, capfd):
    expected = photographs(3)
    plain = pack(expected).rstrip(b"\0")
    plain += bytes(-len(plain) % 512 + 512)
    for behind in (b"", bytes(100), b"\n"):
        assert stream(write(tmp_path / "a.tar", plain + behind)) == expected
    assert capfd.readouterr().err == ""


def test_stale_blocks_stay_where_they_are(tmp_path, capfd):
    """A short archive is written over the beginning of a long one, as on a tape."""
    old, new = photographs(40, 3_000), [(f"new/{name}", data) for name, data in photographs(7, 2_000)]
    stale = bytearray(pack(old))
    fresh = pack(new)
    stale[: len(fresh)] = fresh
    left = [image for image in old if stale.find(image[1]) >= 0 and stale.find(image[0].encode()) >= 0]
    for compression in COMPRESSIONS:
        path = write(tmp_path / f"a.{compression}", PACKERS[compression](bytes(stale)))
        assert stream(path) == new
        assert f"has {len(left)} more images behind its end mark" in capfd.readouterr().err
        with open_archive(path, ignore_zeros=True) as archive:
            assert [(member.name, data) for member, data in archive.stream()] == new + left
        capfd.readouterr()


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("behind", [b"no header" * 200, b"\n"])
def test_garbage_behind_the_end_mark_is_counted(tmp_path, compression, behind, capfd):
    expected = photographs(3)
    path = write(tmp_path / "a", PACKERS[compression](pack(expected) + behind))
    assert stream(path) == expected
    words = "1 byte behind its end mark that is" if len(behind) == 1 else f"{len(behind):,} bytes behind"
    assert f"a has {words}" in (message := capfd.readouterr().err) and "no archive, which " in message


@pytest.mark.parametrize("blocks", ["1", "20", "2048"])
def test_padding_of_the_tar_command_is_no_news(tmp_path, blocks, capfd):
    (tmp_path / "a.jpg").write_bytes(noise(3000, 1))
    command = ["tar", "-b", blocks, "-cf", tmp_path / "a.tar", "a.jpg"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    plain = (tmp_path / "a.tar").read_bytes()
    for compress in (bytes, gzip.compress, bz2.compress, lzma.compress):
        assert [name for name, _ in stream(write(tmp_path / "packed", compress(plain)))] == ["a.jpg"]
    assert capfd.readouterr().err == ""
