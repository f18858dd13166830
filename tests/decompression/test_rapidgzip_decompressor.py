"""rapidgzip: seek points spare decoding, and a plain decompressor takes over if rapidgzip fails."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import os
import subprocess
import sys
import tarfile
import zlib

import pytest
from rapidgzip import RapidgzipFile

from imagestore.archive.index import ArchiveIndex, load_index, save_index
from imagestore.cache_folder import fingerprint
from imagestore.decompression.bzip2_decompressor import RapidBzip2Decompressor
from imagestore.decompression.damage import CutShort
from imagestore.decompression.gzip_decompressor import RapidGzipDecompressor
from imagestore.decompression.rapidgzip_decompressor import DENSE_SPACING, SPACING
from imagestore.sources.open_archive import open_archive
from tests.helpers.archives import noise, pack, photographs, stream, stream_until_error, write
from tests.helpers.commands import ROOT

MB = 1_000_000

# ----- states -----


@pytest.fixture
def decompressors(tmp_path):
    """A function that writes compressed data to a file, and returns a decompressor of it."""
    opened = []

    def make(open_decompressor, packed, *points):
        fd = os.open(write(tmp_path / "data", packed), os.O_RDONLY)
        decompressor = open_decompressor(fd, *points)
        opened.append((decompressor, fd))
        return decompressor

    yield make
    for decompressor, fd in opened:
        decompressor.close()
        os.close(fd)


def read_all(decompressor):
    """Read to the end in small pieces."""
    pieces = []
    while piece := decompressor.read(100_000):
        pieces.append(piece)
    return b"".join(pieces)


def is_plain(decompressor):
    """Whether the decompressor is in the state PLAIN, which has no seek points."""
    return decompressor.points() == b""


@pytest.mark.parametrize(
    ("decompressor_type", "compress"),
    [(RapidGzipDecompressor, gzip.compress), (RapidBzip2Decompressor, bz2.compress)],
)
def test_points_of_a_first_pass_lead_anywhere(decompressors, decompressor_type, compress):
    data = noise(3 * MB, 1)
    packed = compress(data)
    first_pass = decompressors(decompressor_type.for_first_pass, packed)
    assert read_all(first_pass) == data
    jumping = decompressors(decompressor_type.from_points, packed, first_pass.points())
    for position in (2 * MB, 10, MB):
        assert jumping.seek(position) == position
        assert jumping.read(1000) == data[position : position + 1000]
    assert not is_plain(jumping)


def count_of(points):
    """Return how many seek points an index of the format GZIDX holds."""
    return int.from_bytes(points[31:35], "little")


def test_data_that_expand_a_lot_get_more_points(decompressors):
    """The memory that a jump needs grows with the data between two points."""
    packed = gzip.compress(b"".join(noise(9_000, i) * 30 for i in range(150)))
    decompressor = decompressors(RapidGzipDecompressor.for_first_pass, packed)
    read_all(decompressor)
    assert count_of(decompressor.points()) >= len(packed) // DENSE_SPACING
    assert len(packed) // DENSE_SPACING > len(packed) // SPACING + 2, "a usual spacing would give as many"


@pytest.mark.parametrize("can_open_again", [True, False])
def test_a_removed_file_is_read_from_its_descriptor(decompressors, tmp_path, monkeypatch, can_open_again):
    """Two readers share the descriptor, whose own offset nobody moves where the file can be opened again."""
    if not can_open_again:  # as where /proc is missing

        def by_file_only(file, **options):
            if isinstance(file, int):
                raise ValueError("Opening file descriptor failed!")
            return RapidgzipFile(file, **options)

        monkeypatch.setattr("rapidgzip.RapidgzipFile", by_file_only)
    data = noise(2 * MB, 1)
    first = decompressors(RapidGzipDecompressor.for_first_pass, gzip.compress(data))
    (tmp_path / "data").unlink()
    assert first.read(MB) == data[:MB]
    with contextlib.closing(RapidGzipDecompressor.for_first_pass(first._descriptor)) as second:
        assert second.read(1000) == data[:1000]
        assert read_all(first) == data[MB:]
        assert read_all(second) == data[1000:]
    assert not is_plain(first)
    if can_open_again:
        assert os.lseek(first._descriptor, 0, os.SEEK_CUR) == 0


def test_distrust_changes_to_plain_in_place(decompressors):
    data = noise(2 * MB, 1)
    decompressor = decompressors(RapidGzipDecompressor.for_first_pass, gzip.compress(data))
    assert decompressor.read(MB) == data[:MB]
    decompressor.distrust()
    assert is_plain(decompressor) and decompressor.tell() == MB
    assert read_all(decompressor) == data[MB:]


def test_senseless_points_change_to_plain(decompressors):
    data = noise(2 * MB, 1)
    decompressor = decompressors(RapidGzipDecompressor.from_points, gzip.compress(data), b"no points at all")
    assert is_plain(decompressor)
    decompressor.seek(MB)
    assert decompressor.read(1000) == data[MB : MB + 1000]


def test_data_that_expand_too_much_change_to_plain(decompressors):
    """Only the middle expands, about forty times: the beginning does not show it."""
    drawings = b"".join(noise(10_000, i) * 50 for i in range(200))
    data = noise(6 * MB, 1) + drawings + noise(MB, 2)
    decompressor = decompressors(RapidGzipDecompressor.for_first_pass, gzip.compress(data, 1))
    decompressor.seek(6 * MB + len(drawings))
    assert is_plain(decompressor)
    assert read_all(decompressor) == data[6 * MB + len(drawings) :]


@pytest.mark.parametrize(
    ("decompressor_type", "compress"),
    [(RapidGzipDecompressor, gzip.compress), (RapidBzip2Decompressor, bz2.compress)],
)
def test_a_cut_file_ends_in_an_error(decompressors, decompressor_type, compress):
    packed = compress(noise(2 * MB, 1))
    decompressor = decompressors(decompressor_type.for_first_pass, packed[: len(packed) * 2 // 3])
    with pytest.raises(CutShort):
        read_all(decompressor)
    assert is_plain(decompressor) and decompressor.tell() > MB // 2


# ----- archives -----


@pytest.mark.parametrize("kind", ["photographs", "drawings"])
def test_an_index_spares_decompressing_the_rest(tmp_path, kind):
    if kind == "photographs":
        images = photographs(280, 50_000)
    else:  # these compress well: 45 MB of them in 1.5 MB
        images = [(f"{i}.bmp", noise(3_000, i) * 100) for i in range(150)]
    path, index = write(tmp_path / "a.tgz", pack(images, "gz")), tmp_path / "index"
    status = path.stat()
    stream(path, index)
    with open(path, "r+b") as file:
        file.seek(80_000)  # the digest does not cover it; nothing behind can be decoded from the front
        file.write(bytes(200))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with open_archive(path, index) as archive:
        assert archive.indexed, "the digest was not meant to see this"
        assert archive.read(archive.members()[-1]) == images[-1][1]


def load_index_of(path, index):
    with open(path, "rb") as file:
        return load_index(index, fingerprint(file.fileno()))


@pytest.mark.parametrize("points", ["of another archive", "no points at all", "misplaced"])
def test_wrong_seek_points_only_cost_time(large_archives, tmp_path, points):
    """If rapidgzip delivers other bytes, their checksums do not fit, and a plain decompressor reads again."""
    path, images = large_archives["gz"]
    index = tmp_path / "index"
    stream(path, index)
    right = load_index_of(path, index)
    wrong = points.encode()
    if points == "of another archive":
        other = write(tmp_path / "other.tgz", pack(photographs(290, 50_500), "gz"))
        stream(other, tmp_path / "other")
        wrong = load_index_of(other, tmp_path / "other").points
    if points == "misplaced":  # the second point: its offset in the decompressed data stands at 61 (GZIDX)
        offset = int.from_bytes(right.points[61:69], "little") + 512
        wrong = right.points[:61] + offset.to_bytes(8, "little") + right.points[69:]
    with open(path, "rb") as file:
        save_index(index, ArchiveIndex(right.members, right.skipped, wrong), fingerprint(file.fileno()))
    with open_archive(path, index) as archive:
        assert archive.indexed
        for i in (130, 250, 251, 100, 270):
            assert archive.read(archive.members()[i]) == images[i][1]


def test_a_large_cut_archive_gives_all_before_the_break(tmp_path, large_archives):
    path, images = large_archives["gz"]
    data = path.read_bytes()
    cut = write(tmp_path / "cut.tgz", data[: len(data) * 2 // 3])
    before_error, message = stream_until_error(cut)
    assert before_error == images[: len(before_error)]
    assert len(before_error) >= len(images) * 2 // 3 - 2
    assert f"{cut} ends in the middle of" in message and "download or copy it again" in message


def test_a_program_may_end_with_open_archives(large_archives):
    """rapidgzip aborts the process if its files are still open at the very end."""
    program = (
        "import sys; from pathlib import Path; from imagestore.sources.open_archive import open_archive\n"
        "archive = open_archive(Path(sys.argv[1])); stream = archive.stream(); next(stream)\n"
        "again = open_archive(Path(sys.argv[1])); again.read(again.members()[5])\n"
    )
    command = [sys.executable, "-c", program, str(large_archives["gz"][0])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


# ----- memory -----

MEASURE = (  # VmHWM, since ru_maxrss begins with the peak of the process that started this one
    "import sys; from pathlib import Path; from imagestore.sources.open_archive import open_archive\n"
    "with open_archive(Path(sys.argv[1])) as archive:\n"
    "    print([m.name for m, _ in archive.stream()][-1], archive.skipped['too large'])\n"
    "    print(len(archive.read(archive.members()[-1])))\n"
    "status = Path('/proc/self/status').read_text()\n"
    "print(int(status.split('VmHWM:')[1].split()[0]) // 1024)\n"
)


@pytest.mark.parametrize("at", ["front", "middle"])
@pytest.mark.parametrize("size", [700 << 20, 8 << 20], ids=["one", "many"])
def test_zeros_that_expand_a_lot_need_little_memory(tmp_path, at, size):
    path = tmp_path / "bomb.tgz"
    images = photographs(1 if at == "front" else 100, 50_000)
    write_bomb(path, images, size, (700 << 20) // size)
    command = [sys.executable, "-c", MEASURE, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    name, too_large, length, peak = done.stdout.split()
    assert (name, int(too_large), int(length)) == ("last.jpg", int(size > 64 << 20), 4)
    assert int(peak) < 330, f"{peak} MiB"


def write_bomb(path, images, size, count):
    """Write an archive of `images`, then `count` images of `size` zeros, then a last image."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    with open(path, "wb") as file:
        for name, data in images:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.write(packer.compress(info.tobuf() + data + bytes(-len(data) % 512)))
        for i in range(count):
            info = tarfile.TarInfo(f"zeros{i}.bmp")
            info.size = size
            file.write(packer.compress(info.tobuf()))
            for _ in range(size >> 20):
                file.write(packer.compress(bytes(1 << 20)))
        info = tarfile.TarInfo("last.jpg")
        info.size = 4
        file.write(packer.compress(info.tobuf() + b"last" + bytes(508 + 1024)) + packer.flush())
