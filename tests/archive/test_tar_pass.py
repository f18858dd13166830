"""One pass over a tar: it understands every kind of tar, and ends with an error at a broken place."""

from __future__ import annotations

import os
import subprocess
import tarfile
import zlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestore.sources.open_archive import open_archive
from tests.helpers.archives import (
    COMPRESSIONS,
    PACKERS,
    assert_reads,
    member_names,
    noise,
    pack,
    photographs,
    stream,
    stream_until_error,
    tar_entry,
    write,
)

BLOCK = tarfile.BLOCKSIZE

# ----- kinds of tar -----


@pytest.mark.parametrize("format", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_archives_of_the_tar_command(tmp_path, format):
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
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
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
    sparse = tmp_path / "holes.bmp"
    with open(sparse, "wb") as file:
        for offset in (0, 300_000, 700_000, 1_200_000, 1_900_000, 2_500_000):
            file.seek(offset)
            file.write(noise(5000, offset))
        file.truncate(3_000_000)
    (tmp_path / "after.jpg").write_bytes(b"after")
    expected = [("holes.bmp", sparse.read_bytes()), ("after.jpg", b"after")]
    command = ["tar", "-cSf", tmp_path / "s.tar", *options, "holes.bmp", "after.jpg"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    assert (tmp_path / "s.tar").stat().st_size < 500_000, "tar stored no sparse file: the test shows nothing"
    assert stream(tmp_path / "s.tar") == expected
    assert_reads(tmp_path / "s.tar", expected)


def test_other_members_are_skipped_and_counted(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGESTORE_DECODE_MEMORY", "2M")
    entries = [
        tar_entry("jpg", tarfile.DIRTYPE),
        ("files.txt", b"image_0001.jpg"),
        ("a.jpg", b"first"),
        tar_entry("hard.jpg", tarfile.LNKTYPE, "a.jpg"),
        tar_entry("soft.jpg", tarfile.SYMTYPE, "a.jpg"),
        tar_entry("pipe.jpg", tarfile.FIFOTYPE),
        tar_entry("disk.jpg", tarfile.BLKTYPE),
        tar_entry("volume.jpg", b"V"),
        ("._a.jpg", b"macOS"),
        ("jpg/.hidden.jpg", b"hidden"),
        (".thumbnails/a.jpg", b"hidden"),
        ("__MACOSX/jpg/a.jpg", b"macOS"),
        ("huge.jpg", bytes((2 << 20) + 1)),
        ("huge.bin", bytes((2 << 20) + 1)),
        ("B.JPEG", b"second"),
        ("no_suffix", b"\xff\xd8\xff\xe0 begins as a JPEG does"),
        ("picture.dat", b"RIFF\0\0\0\0WEBPVP8 "),
        ("empty.png", b""),
    ]
    expected = {
        "folders": 1, "not images": 3, "links": 2, "devices": 2, "hidden": 3, "hidden images": 1,
        "too large": 1,
    }  # fmt: skip
    for compression in ("tar", "gz"):
        path = write(tmp_path / "a", pack(entries, compression))
        with open_archive(path) as archive:
            names = [member.name for member, _ in archive.stream()]
            assert names == ["a.jpg", "B.JPEG", "no_suffix", "picture.dat", "empty.png"]
            assert +archive.skipped == expected
        with open_archive(path) as again:
            assert again.indexed and +again.skipped == expected


odd_names = st.one_of(
    member_names,
    member_names.map(lambda name: f"../../{name}"),
    member_names.map(lambda name: f"/etc/{name}"),
    member_names.map(lambda name: f"-{name}"),
    st.binary(min_size=1, max_size=120).map(
        lambda raw: raw.replace(b"\0", b"_").decode("utf-8", "surrogateescape")
    ),
    st.just("a 'b' \"c\"\\ \n\t$(d)*.jpg"),
)


@settings(max_examples=25)
@given(st.lists(odd_names, min_size=1, max_size=8), st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_odd_names_come_as_tarfile_reads_them(tmp_path, names, format):
    members = [(f"x{name}.jpg", b"image %d" % i) for i, name in enumerate(names)]
    path = write(tmp_path / "a.tar", pack(members, format=format))
    with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as tar:
        by_tarfile = [
            (info.name, tar.extractfile(info).read())
            for info in tar
            if info.isreg() and not any(part[:1] == "." and part.strip(".") for part in info.name.split("/"))
        ]
    images = stream(path)
    assert [image for image in images if image in by_tarfile] == images
    assert {image for image in by_tarfile if image[0].endswith(".jpg")} <= set(images)
    assert_reads(path, images)


def test_an_odd_time_becomes_zero(tmp_path):
    infos = []
    for i, mtime in enumerate(("1234567890.7", "-5", "nan", "1e300")):
        info = tarfile.TarInfo(f"{i}.jpg")
        info.pax_headers = {"mtime": mtime}
        infos.append(info)
    with open_archive(write(tmp_path / "a.tar", pack(infos))) as archive:
        assert [member.mtime for member in archive.members()] == [1_234_567_890, -5, 0, 0]


# ----- cut archives -----


def test_an_archive_cut_between_members_is_noted(tmp_path, capfd):
    whole = pack(photographs(3, BLOCK * 8))
    images, message = stream_until_error(write(tmp_path / "cut.tar", whole[: BLOCK * 9]))
    assert len(images) == 1 and not message
    assert "no end mark" in capfd.readouterr().err


def test_an_archive_cut_in_a_skipped_member(tmp_path):
    whole = pack([("a.jpg", b"1"), ("notes.bin", bytes((64 << 20) + 1)), ("b.jpg", b"2")])
    images, message = stream_until_error(write(tmp_path / "cut.tar", whole[: 60 << 20]))
    assert images == [("a.jpg", b"1")]
    assert "cut.tar ends in the middle of 'notes.bin'" in message


def test_an_archive_cut_in_a_header(tmp_path):
    whole = pack([("in the middle of.jpg", b"1"), ("b.jpg", b"2")])
    images, message = stream_until_error(write(tmp_path / "cut.tar", whole[: 2 * BLOCK + 100]))
    assert images == [("in the middle of.jpg", b"1")]
    assert "cut.tar ends after 'in the middle of.jpg' (images before that: 1)" in message


def test_a_cut_gzip_gives_the_whole_image_before(tmp_path):
    images = photographs(2, 50_000)
    end_of_first = BLOCK + -(-len(images[0][1]) // BLOCK) * BLOCK
    packer = zlib.compressobj(wbits=31)
    cut = packer.compress(pack(images)[:end_of_first]) + packer.flush(zlib.Z_SYNC_FLUSH)
    before_error, message = stream_until_error(write(tmp_path / "cut.tgz", cut))
    assert before_error == images[:1]
    assert "cut.tgz ends after 'jpg/image_0000.jpg'" in message


# ----- broken and hostile headers -----


def test_a_broken_header_is_no_end_of_the_archive(tmp_path):
    data = bytearray(pack([("a.jpg", b"1"), ("b.jpg", b"2"), ("c.jpg", b"3")]))
    data[1024:1034] = b"x" * 10
    images, message = stream_until_error(write(tmp_path / "a.tar", data))
    assert images == [("a.jpg", b"1")]
    assert "is damaged after 'a.jpg' (bad checksum)" in message


def test_before_a_broken_header_gzip_needs_its_checksum(tmp_path):
    """In a compressed archive, the bytes before a broken header may be wrong as well."""
    data = bytearray(pack([("a.jpg", b"1"), ("b.jpg", b"2"), ("c.jpg", b"3")]))
    data[2048:2058] = b"x" * 10
    packed = {compression: PACKERS[compression](bytes(data)) for compression in COMPRESSIONS}
    packed["wrong"] = packed["gz"][:-8] + b"1234" + packed["gz"][-4:]
    for kind, archive in packed.items():
        images, message = stream_until_error(write(tmp_path / "a", archive))
        assert images == [("a.jpg", b"1"), ("b.jpg", b"2")][: 1 if kind == "wrong" else 2], kind
        assert "is damaged after 'b.jpg' (bad checksum)" in message


@pytest.mark.parametrize(
    "headers",
    [
        {"GNU.sparse.major": "0", "GNU.sparse.size": "abc", "GNU.sparse.map": "0,1"},
        {"GNU.sparse.major": "0", "GNU.sparse.size": "5", "GNU.sparse.map": "1,z"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"},
        "thousands of long names",
    ],
    ids=["size", "map", "no map", "long names"],
)
def test_senseless_headers_end_in_one_line(tmp_path, headers):
    good = pack([("a.jpg", b"1")])[: 2 * BLOCK]
    if isinstance(headers, dict):
        info = tarfile.TarInfo("b.jpg")
        info.pax_headers, info.size = headers, 600
        bad = info.tobuf(tarfile.PAX_FORMAT) + b"\xff" * 1024
    else:
        info = tarfile.TarInfo("././@LongLink")
        info.type, info.size = tarfile.GNUTYPE_LONGNAME, 5
        bad = (info.tobuf(tarfile.GNU_FORMAT) + b"name".ljust(BLOCK, b"\0")) * 3000
    images, message = stream_until_error(write(tmp_path / "a.tar", good + bad))
    assert images == [("a.jpg", b"1")]
    assert "a.tar is damaged after 'a.jpg'" in message


def test_an_absurd_length_does_not_fill_the_memory(tmp_path):
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 1 << 40
    good = pack([("a.jpg", b"1")])[: 2 * BLOCK]
    path = write(tmp_path / "a.tar", good + header.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    images, message = stream_until_error(path)
    assert images == [("a.jpg", b"1")]
    assert "claims 1,099,511,627,776 bytes" in message


def test_a_size_below_zero_ends_in_an_error(tmp_path):
    header = bytearray(tarfile.TarInfo("b.jpg").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + b"\xfc\x00"  # base-256: -1024
    checksum = sum(header[:148]) + sum(header[156:]) + 8 * 32
    header[148:156] = b"%06o\0 " % checksum
    good = pack([("a.jpg", b"1")])[: 2 * BLOCK]
    images, message = stream_until_error(write(tmp_path / "a.tar", good + header + bytes(4096)))
    assert images == [("a.jpg", b"1")] and message
