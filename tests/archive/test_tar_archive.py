"""Archives: every format is delivered as it is, and an index never leads to wrong bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import lzma
import os
import random
import shutil
import subprocess
import sys
import tarfile
import zlib
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagestore.archive.index import ArchiveIndex, load, save
from imagestore.archive.members import Members
from imagestore.archive.open import is_archive, open_archive
from imagestore.cache_folder import SAMPLES, fingerprint
from imagestore.console import UserError
from imagestore.hdf5.superblock import is_hdf5
from imagestore.labelling.sampling import choose_runs
from tests.helpers.commands import ROOT

COMPRESSIONS = ["", ":gz", ":bz2", ":xz"]
PACKERS = {"": bytes, ":gz": gzip.compress, ":bz2": bz2.compress, ":xz": lzma.compress}
SHARED = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Every test keeps its indexes apart."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "imagestore"


def noise(size, seed):
    """Bytes that do not compress, as in a JPEG."""
    return random.Random(seed).randbytes(size)


def pack(entries, compression="", format=tarfile.PAX_FORMAT):
    """The bytes of an archive of (name, data); an entry may also be a TarInfo by itself."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
                continue
            info = tarfile.TarInfo(entry[0])
            info.size, info.mtime = len(entry[1]), 1_234_567_890
            tar.addfile(info, io.BytesIO(entry[1]))
    return PACKERS[compression](buffer.getvalue())


def write(path, data):
    path.write_bytes(data)
    return path


def entry(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def photographs(count, size=20_000):
    return [(f"jpg/image_{i:04d}.jpg", noise(size + i, i)) for i in range(count)]


def streamed(path, **options):
    with open_archive(path, **options) as archive:
        return [(member.name, data) for member, data in archive.stream()]


def interrupted(path):
    """What comes before an archive breaks off, and the message then (empty where it does not)."""
    got = []
    try:
        with open_archive(path) as archive:
            for member, data in archive.stream():
                got.append((member.name, data))
    except UserError as error:
        return got, str(error)
    return got, ""


def assert_reads(path, expected, **options):
    """A second process would find the index, list the same, and read each image by itself, backwards too."""
    with open_archive(path, **options) as archive:
        assert archive.indexed
        members = archive.members()
        assert [(m.name, m.size, m.crc32, m.position) for m in members] == [
            (name, len(data), zlib.crc32(data), i) for i, (name, data) in enumerate(expected)
        ]
        for member in reversed(members):
            assert archive.read(member) == expected[member.position][1]


# ----- what is delivered -----


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_format_is_streamed_then_read_from_its_index(tmp_path, compression, format):
    expected = photographs(30)
    path = write(tmp_path / "named.anything", pack(expected, compression, format))
    assert streamed(path) == expected
    assert_reads(path, expected)


@pytest.mark.parametrize("format", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_archives_by_the_tar_command(tmp_path, format):
    folder = tmp_path / "jpg"
    folder.mkdir()
    expected = [(f"jpg/b{i}.jpg", noise(3000 + i, i)) for i in range(5)]
    for name, data in expected:
        (tmp_path / name).write_bytes(data)
    (folder / "notes.txt").write_text("no image")
    (folder / "c.jpg").symlink_to("b1.jpg")
    os.link(folder / "b0.jpg", folder / "d.jpg")
    packed = tmp_path / "a.tgz"
    command = ["tar", "-czf", packed, f"--format={format}", "--sort=name", "jpg"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=30)
    with open_archive(packed) as archive:
        assert [(member.name, data) for member, data in archive.stream()] == expected
        assert archive.skipped == Counter({"folders": 1, "not images": 1, "links": 2})
    assert_reads(packed, expected)


@pytest.mark.parametrize(
    "options",
    [
        ["--format=oldgnu"],
        ["--format=gnu"],
        *(["--format=posix", f"--sparse-version={version}"] for version in ("0.0", "0.1", "1.0")),
    ],
    ids=" ".join,
)
def test_sparse_files_come_with_their_holes(tmp_path, options):
    holes = tmp_path / "holes.bmp"
    with open(holes, "wb") as file:
        for place in (0, 300_000, 700_000, 1_200_000, 1_900_000, 2_500_000):
            file.seek(place)
            file.write(noise(5000, place))
        file.truncate(3_000_000)
    (tmp_path / "after.jpg").write_bytes(b"after")
    expected = [("holes.bmp", holes.read_bytes()), ("after.jpg", b"after")]
    command = ["tar", "-cSf", tmp_path / "s.tar", *options, "holes.bmp", "after.jpg"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=30)
    assert (tmp_path / "s.tar").stat().st_size < 500_000, "tar stored no sparse file: the test shows nothing"
    assert streamed(tmp_path / "s.tar") == expected
    assert_reads(tmp_path / "s.tar", expected)


def test_what_is_no_image_is_passed_over_and_counted(tmp_path):
    entries = [
        entry("jpg", tarfile.DIRTYPE),
        ("files.txt", b"image_0001.jpg"),
        ("a.jpg", b"first"),
        entry("hard.jpg", tarfile.LNKTYPE, "a.jpg"),
        entry("soft.jpg", tarfile.SYMTYPE, "a.jpg"),
        entry("pipe.jpg", tarfile.FIFOTYPE),
        entry("disk.jpg", tarfile.BLKTYPE),
        entry("volume.jpg", b"V"),
        ("._a.jpg", b"macOS"),
        ("jpg/.hidden.jpg", b"hidden"),
        (".thumbnails/a.jpg", b"hidden"),
        ("__MACOSX/jpg/a.jpg", b"macOS"),
        ("huge.jpg", bytes((64 << 20) + 1)),
        ("huge.bin", bytes((64 << 20) + 1)),
        ("B.JPEG", b"second"),
        ("no_suffix", b"\xff\xd8\xff\xe0 begins as a JPEG does"),
        ("picture.dat", b"RIFF\0\0\0\0WEBPVP8 "),
        ("empty.png", b""),
    ]
    for compression in ("", ":gz"):
        path = write(tmp_path / "a", pack(entries, compression))
        with open_archive(path) as archive:
            names = [member.name for member, _ in archive.stream()]
            counts = +archive.skipped
        assert names == ["a.jpg", "B.JPEG", "no_suffix", "picture.dat", "empty.png"]
        wanted = {"folders": 1, "not images": 3, "links": 2, "devices": 2, "hidden": 4, "too large": 1}
        assert counts == wanted
        with open_archive(path) as again:
            assert again.indexed and +again.skipped == wanted


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=300)
odd_names = st.one_of(
    names,
    names.map(lambda name: f"../../{name}"),
    names.map(lambda name: f"/etc/{name}"),
    names.map(lambda name: f"-{name}"),
    st.binary(min_size=1, max_size=120).map(
        lambda raw: raw.replace(b"\0", b"_").decode("utf-8", "surrogateescape")
    ),
    st.just("a 'b' \"c\"\\ \n\t$(d)*.jpg"),
)


@SHARED
@given(st.lists(odd_names, min_size=1, max_size=8), st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_any_name_is_delivered_as_tarfile_reads_it(tmp_path, names, format):
    path = write(tmp_path / "a.tar", pack([(f"x{name}.jpg", os.urandom(9)) for name in names], format=format))
    with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as tar:
        wanted = [
            (info.name, tar.extractfile(info).read())
            for info in tar
            if info.isreg() and not any(part[:1] == "." and part.strip(".") for part in info.name.split("/"))
        ]
    got = streamed(path)
    assert [pair for pair in got if pair in wanted] == got
    assert {pair for pair in wanted if pair[0].endswith(".jpg")} <= set(got)
    assert_reads(path, got)


def test_same_names_are_different_members_and_the_last_is_found(tmp_path):
    path = write(tmp_path / "a.tgz", pack([("a.jpg", b"1"), ("b.jpg", b"2"), ("a.jpg", b"3")], ":gz"))
    with open_archive(path) as archive:
        assert [archive.read(member) for member in archive.members()] == [b"1", b"2", b"3"]
        assert archive.read(archive.find("a.jpg")) == b"3"


def test_finding_nothing_names_what_is_like_it(tmp_path):
    path = write(tmp_path / "a.tar", pack([("jpg/rose.jpg", b"1"), ("jpg/tulip.jpg", b"2"), ("x.jpg", b"3")]))
    with open_archive(path) as archive:
        for wanted in ("rose.jpg", "jpg/roes.jpg"):
            with pytest.raises(UserError, match=r"did you mean .*jpg/rose.jpg"):
                archive.find(wanted)
        # Parts of names are no names.
        for part in ("g/rose.jpg", ".jpg", "", "jpg/rose.jpg\0", "e.jpg\0jpg/tulip.jpg"):
            with pytest.raises(UserError):
                archive.find(part)


def test_a_folder_is_an_archive_too(tmp_path):
    folder = tmp_path / "folder"
    (folder / "deeper").mkdir(parents=True)
    expected = [("a.jpg", b"1"), ("b c.png", b"2"), ("deeper/a.jpg", b"3")]
    for name, data in expected:
        (folder / name).write_bytes(data)
    (folder / "notes.txt").write_text("no image")
    (folder / "link.jpg").symlink_to("a.jpg")
    (folder / "gone.jpg").symlink_to("nothing")
    (folder / "._a.jpg").write_bytes(b"macOS")
    os.mkfifo(folder / "pipe.jpg")
    assert streamed(folder) == expected
    with open_archive(folder) as archive:
        assert [archive.read(member) for member in archive.members()] == [b"1", b"2", b"3"]
        assert archive.skipped == Counter(
            {"folders": 1, "not images": 1, "links": 2, "hidden": 1, "devices": 1}
        )
        member = archive.find("deeper/a.jpg")
        (folder / "deeper/a.jpg").write_bytes(b"4")
        with pytest.raises(UserError, match="changed"):
            archive.read(member)
        with pytest.raises(UserError, match="did you mean"):
            archive.find("deeper/b.jpg")


# ----- what gzip, bzip2 and xz allow -----


def test_several_gzip_members_in_one_file(tmp_path):
    expected = photographs(40)
    plain = pack(expected)
    parts = [plain[i : i + 100_000] for i in range(0, len(plain), 100_000)]
    path = write(tmp_path / "a.tgz", b"".join(map(gzip.compress, parts)))
    assert streamed(path) == expected
    assert_reads(path, expected)


@pytest.mark.parametrize("behind", [bytes(2000), b"garbage behind the data" * 50])
@pytest.mark.parametrize("compression", [":gz", ":bz2", ":xz"])
def test_what_stands_behind_the_compressed_data_is_ignored(tmp_path, compression, behind):
    expected = photographs(40)
    path = write(tmp_path / "a", pack(expected, compression) + behind)
    assert streamed(path) == expected
    assert_reads(path, expected)


def test_xz_of_several_blocks(tmp_path):
    expected = photographs(60, 30_000)
    write(tmp_path / "a.tar", pack(expected))
    subprocess.run(["xz", "-1", "--block-size=200000", tmp_path / "a.tar"], check=True, timeout=30)
    assert streamed(tmp_path / "a.tar.xz") == expected
    assert_reads(tmp_path / "a.tar.xz", expected)


# ----- random access -----


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """(path, its images) of archives that hold several seek points each, by compression."""
    folder = tmp_path_factory.mktemp("large")
    made = {}
    for compression, count in (("", 40), (":gz", 280), (":bz2", 60), (":xz", 60)):
        images = photographs(count, 50_000)
        made[compression] = write(folder / f"a{compression[1:]}", pack(images, compression)), images
    return made


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_reads_in_any_order_give_what_tarfile_gives(large, compression, tmp_path):
    path, images = large[compression]
    index = tmp_path / "index"
    with open_archive(path, index) as first:
        first.members()
    examples = 40 if compression in ("", ":gz") else 5

    @settings(deadline=None, max_examples=examples)
    @given(st.lists(st.integers(0, len(images) - 1), min_size=1, max_size=8))
    def check(order):
        with open_archive(path, index) as archive:
            assert archive.indexed
            for i in order:
                assert archive.read(archive.members()[i]) == images[i][1]

    check()


@pytest.mark.parametrize("kind", ["photographs", "drawings"])
def test_an_index_spares_decompressing_what_is_not_asked_for(tmp_path, kind):
    if kind == "photographs":
        images = photographs(280, 50_000)
    else:  # such as compress well: 45 MB of them in 1.5 MB
        images = [(f"{i}.bmp", noise(3_000, i) * 100) for i in range(150)]
    path, index = write(tmp_path / "a.tgz", pack(images, ":gz")), tmp_path / "index"
    status = path.stat()
    streamed(path, index=index)
    with open(path, "r+b") as file:
        file.seek(80_000)  # where the digest does not look; nothing can be decoded past it
        file.write(bytes(200))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with open_archive(path, index) as archive:
        assert archive.indexed, "the digest was not meant to see this"
        assert archive.read(archive.members()[-1]) == images[-1][1]


def test_parent_and_child_both_read_after_a_fork(large):
    path, images = large[":gz"]
    with open_archive(path) as archive:
        members = archive.members()
        assert archive.read(members[200]) == images[200][1]
        child = os.fork()
        if not child:
            right = all(archive.read(members[i]) == images[i][1] for i in (3, 201, 150))
            os._exit(0 if right else 1)
        assert all(archive.read(members[i]) == images[i][1] for i in (270, 10, 199))
        assert os.waitpid(child, 0)[1] == 0


def test_a_program_may_end_with_everything_left_open(large):
    """rapidgzip aborts the process when its files are still open at the very end."""
    program = (
        "import sys; from pathlib import Path; from imagestore.archive.open import open_archive\n"
        "archive = open_archive(Path(sys.argv[1])); stream = archive.stream(); next(stream)\n"
        "again = open_archive(Path(sys.argv[1])); again.read(again.members()[5])\n"
    )
    command = [sys.executable, "-c", program, str(large[":gz"][0])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stream_may_be_left_early(large, cache):
    path, images = large[":gz"]
    with open_archive(path) as archive:
        stream = archive.stream()
        assert [next(stream)[1] for _ in range(3)] == [data for _, data in images[:3]]
        stream.close()
        assert not archive.indexed and not cache.exists()
        assert [data for _, data in archive.stream()] == [data for _, data in images]
        assert archive.indexed
        assert [data for _, data in archive.stream()] == [data for _, data in images]


def test_descriptors_are_given_back(large):
    path, _ = large[":gz"]
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with open_archive(path) as archive:
            archive.read(archive.members()[7])
            next(archive.stream())
    assert len(os.listdir("/proc/self/fd")) == before


# ----- what is hostile -----

MEASURE = (  # VmHWM, since ru_maxrss begins with the peak of the process that started this one
    "import sys; from pathlib import Path; from imagestore.archive.open import open_archive\n"
    "with open_archive(Path(sys.argv[1])) as archive:\n"
    "    print([m.name for m, _ in archive.stream()][-1], archive.skipped['too large'])\n"
    "    print(len(archive.read(archive.members()[-1])))\n"
    "status = Path('/proc/self/status').read_text()\n"
    "print(int(status.split('VmHWM:')[1].split()[0]) // 1024)\n"
)


@pytest.mark.parametrize("at", ["front", "middle"])
@pytest.mark.parametrize("size", [700 << 20, 8 << 20])
def test_memory_is_bounded_where_zeros_expand_a_thousandfold(tmp_path, at, size):
    path = tmp_path / "bomb.tgz"
    lead = photographs(1 if at == "front" else 100, 50_000)
    with open(path, "wb") as file:
        write_bomb(file, lead, size, (700 << 20) // size)
    command = [sys.executable, "-c", MEASURE, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    name, large, length, peak = done.stdout.split()
    assert (name, int(large), int(length)) == ("last.jpg", int(size > 64 << 20), 4)
    assert int(peak) < 330, f"{peak} MiB"


def write_bomb(file, lead, size, count):
    """An archive of `lead`, `count` images of `size` zeros, and a last one."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    for name, data in lead:
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


def test_an_absurd_header_is_no_reason_to_fill_the_memory(tmp_path):
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 1 << 40
    first = pack([("a.jpg", b"1")])[:1024]
    path = write(tmp_path / "a.tar", first + header.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    got, message = interrupted(path)
    assert got == [("a.jpg", b"1")]
    assert "claims 1,099,511,627,776 bytes" in message


def test_a_size_below_zero_ends_in_an_error(tmp_path):
    header = bytearray(tarfile.TarInfo("b.jpg").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + b"\xfc\x00"  # base-256: -1024
    checksum = sum(header[:148]) + sum(header[156:]) + 8 * 32
    header[148:156] = b"%06o\0 " % checksum
    path = write(tmp_path / "a.tar", pack([("a.jpg", b"1")])[:1024] + header + bytes(4096))
    got, message = interrupted(path)
    assert got == [("a.jpg", b"1")] and message


# ----- what is broken -----


@pytest.fixture(scope="module")
def broken_sources():
    """The bytes of a small archive, and its images, by compression."""
    images = photographs(25, 9_000)
    return {compression: (pack(images, compression), images) for compression in COMPRESSIONS}


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_truncated_archive_gives_what_is_whole_then_an_error(tmp_path, broken_sources, compression, cache):
    whole, images = broken_sources[compression]
    # A plain tar may lack its end mark, or be cut exactly between two members: that is noted, no error.
    ends = itertools.accumulate(512 + -(-len(data) // 512) * 512 for _, data in images)
    silent = set(ends) if compression == "" else set()

    @settings(deadline=None, max_examples=60)
    @given(st.integers(600, len(whole) - 1))
    def check(length):
        shutil.rmtree(cache, ignore_errors=True)
        got, message = interrupted(write(tmp_path / "cut", whole[:length]))
        assert got == images[: len(got)]
        if length in silent or (silent and length >= max(silent) + 512):
            assert not message
            return
        assert "cut ends " in message or (not got and "damaged at its beginning" in message)
        assert not cache.exists()

    check()


def test_an_archive_cut_between_members_is_noted(tmp_path, capfd):
    plain = pack(photographs(3, 512 * 8))
    path = write(tmp_path / "cut.tar", plain[: 512 * 9 + 0])
    got, message = interrupted(path)
    assert len(got) == 1 and not message
    assert "no end mark" in capfd.readouterr().err


def test_an_archive_cut_in_what_is_passed_over(tmp_path):
    whole = pack([("a.jpg", b"1"), ("notes.bin", bytes((64 << 20) + 1)), ("b.jpg", b"2")])
    got, message = interrupted(write(tmp_path / "cut.tar", whole[: 60 << 20]))
    assert got == [("a.jpg", b"1")]
    assert "cut.tar ends in the middle of 'notes.bin'" in message


def test_a_large_truncated_gzip_gives_everything_before_the_break(tmp_path, large):
    path, images = large[":gz"]
    data = path.read_bytes()
    cut = write(tmp_path / "cut.tgz", data[: len(data) * 2 // 3])
    got, message = interrupted(cut)
    assert got == images[: len(got)]
    assert len(got) >= len(images) * 2 // 3 - 2
    assert f"{cut} ends in the middle of" in message and "download or copy it again" in message


@pytest.mark.parametrize("compression", [":gz", ":bz2", ":xz"])
def test_a_flipped_bit_is_reported_and_leaves_no_index(tmp_path, broken_sources, compression, cache):
    whole, images = broken_sources[compression]

    @settings(deadline=None, max_examples=25)
    # bzip2's last ten bytes repeat what the checksum of each block has vouched for.
    @given(st.integers(700, len(whole) - 12), st.integers(0, 7))
    def check(place, bit):
        data = bytearray(whole)
        data[place] ^= 1 << bit
        got, message = interrupted(write(tmp_path / "flipped", data))
        assert "flipped is" in message or "flipped ends" in message
        assert got == images[: len(got)] or "some of its images are not what was packed" in message
        assert not cache.exists()

    check()


def test_a_broken_header_in_the_middle_does_not_pass_for_the_end(tmp_path):
    data = bytearray(pack([("a.jpg", b"1"), ("b.jpg", b"2"), ("c.jpg", b"3")]))
    data[1024:1034] = b"x" * 10
    got, message = interrupted(write(tmp_path / "a.tar", data))
    assert got == [("a.jpg", b"1")]
    assert "is damaged after 'a.jpg' (bad checksum)" in message


@pytest.mark.parametrize(
    "headers",
    [
        {"GNU.sparse.major": "0", "GNU.sparse.size": "abc", "GNU.sparse.map": "0,1"},
        {"GNU.sparse.major": "0", "GNU.sparse.size": "5", "GNU.sparse.map": "1,z"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"},
        "thousands of long names",
    ],
)
def test_headers_that_make_no_sense_end_in_one_line(tmp_path, headers):
    good = pack([("a.jpg", b"1")])[: 2 * 512]
    if isinstance(headers, dict):
        info = tarfile.TarInfo("b.jpg")
        info.pax_headers, info.size = headers, 600
        bad = info.tobuf(tarfile.PAX_FORMAT) + b"\xff" * 1024
    else:
        info = tarfile.TarInfo("././@LongLink")
        info.type, info.size = tarfile.GNUTYPE_LONGNAME, 5
        bad = (info.tobuf(tarfile.GNU_FORMAT) + b"name".ljust(512, b"\0")) * 3000
    got, message = interrupted(write(tmp_path / "a.tar", good + bad))
    assert got == [("a.jpg", b"1")]
    assert "a.tar is damaged after 'a.jpg'" in message


def test_an_archive_that_shrinks_while_it_is_streamed(tmp_path):
    images = photographs(200, 50_000)
    path = write(tmp_path / "a.tar", pack(images))
    got = []
    with open_archive(path) as archive, pytest.raises(UserError, match="ends in the middle of"):
        for member, data in archive.stream():
            got.append((member.name, data))
            os.truncate(path, 5_000_000)
    assert got == images[: len(got)] and len(got) > 50


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"some text\n" * 200, "is no tar archive"),
        (gzip.compress(b"some text\n" * 200), "is no tar archive"),
        (lzma.compress(b"some text"), "is no tar archive"),
        (b"\x1f\x8b\x08", "damaged at its beginning"),
        (b"BZh91AY&SY" + bytes(100), "damaged at its beginning"),
        (b"\x89HDF\r\n\x1a\n" + bytes(1000), "is an HDF5 file"),
        (b"PK\3\4" + bytes(1000), "is a zip file"),
    ],
    ids=["empty", "text", "gzip of text", "xz of text", "cut gzip", "cut bzip2", "HDF5", "zip"],
)
def test_what_is_no_archive_is_said_in_one_line(tmp_path, data, words):
    path = write(tmp_path / "a.tgz", data)
    with pytest.raises(UserError, match=words) as caught:
        open_archive(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not is_archive(path)


def test_missing_and_special_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, words in (("missing.tgz", "No such file"), ("pipe", "neither a file nor a folder")):
        with pytest.raises(UserError, match=words):
            open_archive(tmp_path / name)


def test_an_archive_without_members_has_none(tmp_path):
    path = write(tmp_path / "a.tar", pack([]))
    assert streamed(path) == []
    assert_reads(path, [])


def test_kinds_are_told_by_content(tmp_path, old_store):
    path = write(tmp_path / "a.h5", pack([("a.jpg", b"1")], ":xz"))
    assert is_archive(path) and not is_hdf5(path)
    assert is_archive(tmp_path) and not is_hdf5(tmp_path)
    assert is_hdf5(old_store) and not is_archive(old_store)
    shifted = write(tmp_path / "user block", bytes(2048) + old_store.read_bytes())
    assert is_hdf5(shifted)
    assert not is_hdf5(tmp_path / "missing") and not is_archive(tmp_path / "missing")


def test_without_a_home_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999)  # nobody
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "a.tar", pack([("a.jpg", b"1")]))
    assert streamed(path) == [("a.jpg", b"1")]
    assert os.listdir(tmp_path) == ["a.tar"]


# ----- the index -----


def indexed_archive(tmp_path, images, compression=":gz"):
    path, index = tmp_path / "a.tgz", tmp_path / "a.index"
    write(path, pack(images, compression))
    streamed(path, index=index)
    assert_reads(path, images, index=index)
    return path, index


def fingerprint_of(path):
    with open(path, "rb") as file:
        return fingerprint(file.fileno())


def test_every_damage_to_an_index_is_noticed_and_the_index_made_anew(tmp_path):
    images = photographs(12, 3_000)
    path, index = indexed_archive(tmp_path, images)
    whole = index.read_bytes()

    @settings(deadline=None, max_examples=150)
    @given(st.one_of(st.integers(0, 400), st.integers(0, len(whole) - 1)), st.integers(0, 7), st.booleans())
    def check(place, bit, cut):
        damaged = whole[:place] if cut else bytearray(whole)
        if not cut:
            damaged[place] ^= 1 << bit
        index.write_bytes(damaged)
        with open_archive(path, index) as archive:
            assert not archive.indexed
            assert [archive.read(member) for member in archive.members()] == [data for _, data in images]
        if damaged[:8] == whole[:8][: len(damaged)]:
            assert index.read_bytes() == whole
        else:
            assert index.read_bytes() == damaged, "what is no index of ours is left alone"

    check()


def test_an_index_in_the_cache_is_replaced_whatever_it_became(tmp_path, cache):
    images = photographs(5)
    path = write(tmp_path / "a.tgz", pack(images, ":gz"))
    streamed(path)
    (index,) = cache.iterdir()
    index.write_bytes(b"garbage")
    assert streamed(path) == images
    assert_reads(path, images)
    assert list(cache.iterdir()) == [index]


def test_an_index_of_another_archive_is_not_believed(tmp_path):
    _, index = indexed_archive(tmp_path, photographs(12))
    others = [(name, data[::-1]) for name, data in photographs(12)]
    other = write(tmp_path / "other.tgz", pack(others, ":gz"))
    with open_archive(other, index) as archive:
        assert not archive.indexed
        assert [archive.read(member) for member in archive.members()] == [data for _, data in others]
    assert_reads(other, others, index=index)


def test_a_replaced_archive_of_equal_size_and_time_is_noticed(tmp_path):
    path, index = indexed_archive(tmp_path, photographs(12), "")
    status = path.stat()
    others = [(name, data[::-1]) for name, data in photographs(12)]
    write(path, pack(others))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    with open_archive(path, index) as archive:
        assert not archive.indexed
        assert [archive.read(member) for member in archive.members()] == [data for _, data in others]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_change_that_the_digest_misses_is_caught_when_reading(tmp_path, large, compression):
    source, images = large[compression]
    path, index = tmp_path / "a", tmp_path / "a.index"
    shutil.copy2(source, path)
    streamed(path, index=index)
    status = path.stat()
    data = path.read_bytes()
    place = status.st_size // 2  # between two samples of the digest
    assert SAMPLES % 2 == 0
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(bytes(byte ^ 0x55 for byte in data[place : place + 30]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    wrong = 0
    with open_archive(path, index) as archive:
        assert archive.indexed, "the digest was not meant to see this"
        for member in list(archive.members()):
            try:
                assert archive.read(member) == images[member.position][1]
            except UserError as error:
                wrong += 1
                assert str(path) in str(error)
                break
    assert wrong == 1
    assert not index.exists()


@pytest.mark.parametrize("points", ["of another archive", "no points at all", "misplaced"])
def test_wrong_seek_points_cost_time_and_nothing_else(large, tmp_path, points):
    """Where rapidgzip delivers other bytes, the checksums find out and a plain decoder reads again."""
    path, images = large[":gz"]
    index = tmp_path / "index"
    streamed(path, index=index)
    fingerprint = fingerprint_of(path)
    right = load(index, fingerprint)
    wrong = points.encode()
    if points == "of another archive":
        other = write(tmp_path / "other.tgz", pack(photographs(290, 50_500), ":gz"))
        streamed(other, index=tmp_path / "other")
        wrong = load(tmp_path / "other", fingerprint_of(other)).points
    if points == "misplaced":  # the second point, whose place in the decompressed data stands at 61 (GZIDX)
        place = int.from_bytes(right.points[61:69], "little") + 512
        wrong = right.points[:61] + place.to_bytes(8, "little") + right.points[69:]
    save(index, ArchiveIndex(right.members, right.skipped, wrong), fingerprint)
    with open_archive(path, index) as archive:
        assert archive.indexed
        for i in (130, 250, 251, 100, 270):
            assert archive.read(archive.members()[i]) == images[i][1]


def test_a_touched_archive_gets_a_new_index(tmp_path):
    images = photographs(5)
    path, index = indexed_archive(tmp_path, images)
    os.utime(path, (1, 1))
    with open_archive(path, index) as archive:
        assert not archive.indexed
    streamed(path, index=index)
    assert_reads(path, images, index=index)


def test_where_no_index_can_be_kept_everything_else_goes_on(tmp_path, monkeypatch, capfd):
    images = photographs(5)
    path = write(tmp_path / "a.tgz", pack(images, ":gz"))
    blocked = write(tmp_path / "file", b"no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    with open_archive(path) as archive:
        assert [archive.read(member) for member in archive.members()] == [data for _, data in images]
    assert capfd.readouterr().err == ""
    with open_archive(path, blocked / "index") as archive:
        assert [archive.read(member) for member in archive.members()] == [data for _, data in images]
    assert "could not be kept" in capfd.readouterr().err
    assert blocked.read_bytes() == b"no folder"


def test_a_file_of_the_user_is_not_taken_for_an_index(tmp_path, capfd):
    images = photographs(5)
    path = write(tmp_path / "a.tgz", pack(images, ":gz"))
    precious = write(tmp_path / "thesis.txt", b"years of work")
    assert streamed(path, index=precious) == images
    assert precious.read_bytes() == b"years of work"
    assert "left alone" in capfd.readouterr().err


def test_an_archive_that_changed_during_the_pass_gets_no_index(tmp_path, cache, capfd):
    path = write(tmp_path / "a.tar", pack(photographs(50)))
    with open_archive(path) as archive:
        for _ in archive.stream():
            os.utime(path, (1, 1))
    assert "changed while it was read" in capfd.readouterr().err
    assert not cache.exists()


@given(st.lists(st.tuples(names, st.integers(0, 1 << 40), st.integers(-(1 << 40), 1 << 40)), max_size=30))
def test_members_are_a_list_that_finds_names(rows):
    members = Members()
    added = [members.add(name, size, mtime, i, i * 512) for i, (name, size, mtime) in enumerate(rows)]
    assert list(members) == added and len(members) == len(rows)
    assert members[1:5:2] == added[1:5:2] and members[:-1] == added[:-1]
    last = {member.name: member for member in added}
    assert all(members.last_named(name) == member for name, member in last.items())


# ----- choosing -----


@given(st.integers(0, 300), st.integers(1, 400), st.integers(1, 50), st.integers(0, 1000))
def test_runs_are_neighbours_and_no_member_comes_twice(total, count, chunk, seed):
    chosen = choose_runs(range(total), count, chunk, random.Random(seed))
    assert len(chosen) == min(count, total)
    assert sorted(set(chosen)) == chosen, "each once, and in the archive's order"
    assert chosen == choose_runs(range(total), count, chunk, random.Random(seed))
    breaks = sum(b != a + 1 for a, b in itertools.pairwise(chosen))
    assert breaks < max(1, -(-len(chosen) // chunk)), "as many runs as count / chunk, at most"


def test_every_member_has_about_the_same_chance():
    rng = random.Random(5)
    draws = Counter(i for _ in range(4000) for i in choose_runs(range(40), 9, 4, rng))
    inner = [draws[i] for i in range(4, 36)]
    expected = 4000 * 9 / 40
    assert all(abs(count - expected) < 0.25 * expected for count in inner), draws
    # At both ends fewer runs of four reach, as with any runs from random places.
    assert all(draws[i] > 0.15 * expected for i in range(40)), draws
    lengths = Counter(len(choose_runs(range(40), 9, 4, random.Random(i))) for i in range(50))
    assert lengths == {9: 50}


def test_the_same_seed_reads_the_same_files_of_the_real_archive(flowers):
    with open_archive(flowers) as archive:
        chosen = choose_runs(archive.members(), 24, 8, random.Random(1))
        got = {member.name: archive.read(member) for member in chosen}
    with tarfile.open(flowers) as tar:
        assert got == {name: tar.extractfile(name).read() for name in got}
    assert len(got) == 24
