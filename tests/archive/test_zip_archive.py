"""zip archives: every method and kind of name, and what is wrong with a file."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestore.archive.protocol import DamagedArchive
from imagestore.console import UserError
from imagestore.sources.open_archive import open_archive
from tests.helpers.archives import assert_reads, member_names, noise, photographs, stream, write
from tests.helpers.small_stores import picture
from tests.helpers.stored_images import stored_images

METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
ENCRYPTED = 1
CENTRAL_HEADER, LOCAL_HEADER, END_HEADER = b"PK\1\2", b"PK\3\4", b"PK\5\6"


class Unseekable(io.BytesIO):
    """A pipe: a zip written to it has the sizes behind the data."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise OSError("a pipe")

    def tell(self) -> int:
        raise OSError("a pipe")


def make_zip(
    images: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED, buffer=None, comment=b""
) -> bytes:
    buffer = buffer or io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        file.comment = comment
        for name, data in images:
            file.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_the_bytes_back(tmp_path, method):
    images = [*photographs(5, 3000), ("empty.jpg", b""), ("flat.jpg", bytes(100_000))]
    assert_reads(write(tmp_path / "a.zip", make_zip(images, method)), images)


def test_the_suffix_of_the_archive_does_not_matter(tmp_path):
    images = photographs(2)
    assert_reads(write(tmp_path / "a.tgz", make_zip(images)), images)


def test_other_members_are_counted(tmp_path):
    folder, link = zipfile.ZipInfo("folder/"), zipfile.ZipInfo("link.jpg")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    members = [
        ("a.jpg", picture((9, 9, 9), 1)),
        (".hidden.jpg", b"x"),
        ("text", b"some words"),
        ("page.txt", b"x"),
    ]
    path = write(tmp_path / "a.zip", make_zip([*members, (folder, b""), (link, b"a.jpg")]))
    with open_archive(path) as archive:
        assert [member.name for member in archive.members()] == ["a.jpg"]
        assert +archive.skipped == {"folders": 1, "links": 1, "hidden": 1, "not images": 2}


def test_first_bytes_tell_an_image_without_a_suffix(tmp_path):
    images = [("a", picture((200, 0, 0), 1)), ("b", picture((0, 0, 200), 2))]
    assert_reads(write(tmp_path / "a.zip", make_zip(images)), images)


def test_a_zip64_file_is_read(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file, file.open("a.jpg", "w", force_zip64=True) as member:
        member.write(noise(1000, 1))
    assert_reads(write(tmp_path / "a.zip", buffer.getvalue()), [("a.jpg", noise(1000, 1))])


@pytest.mark.parametrize("most_members", [zipfile.ZIP_FILECOUNT_LIMIT, 1], ids=["zip", "zip64"])
@pytest.mark.parametrize(
    "comment",
    [
        b"of 2026",
        b"a PK\5\6 in words, and more words",
        b"PK\5\6",
        END_HEADER + bytes(18),
        b"x" * 0xFFFF,
        None,
    ],
)
def test_a_comment_may_hold_the_mark_of_an_end(tmp_path, monkeypatch, comment, most_members):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", most_members)  # from then on, zipfile writes zip64
    comment = make_zip(photographs(1)) if comment is None else comment
    path = write(tmp_path / "a.zip", make_zip(photographs(3), comment=comment))
    assert_reads(path, photographs(3))


def test_bytes_behind_the_end_are_no_comment(tmp_path):
    assert_reads(write(tmp_path / "a.zip", make_zip(photographs(3)) + b"more"), photographs(3))


def test_a_program_before_the_archive_is_passed_over(tmp_path):
    path = write(tmp_path / "a.zip", LOCAL_HEADER + noise(700, 1) + make_zip(photographs(3)))
    assert stream(path) == photographs(3)


@pytest.mark.parametrize(
    ("raw", "system", "name"),
    [
        ("ü.jpg".encode(), 3, "ü.jpg"),  # UTF-8 without the flag that says so, as Linux's zip wrote it
        ("ü.jpg".encode("cp437"), 0, "ü.jpg"),
        (b"jpg\\a.jpg", 0, "jpg/a.jpg"),
        (b"jpg\\a.jpg", 3, "jpg\\a.jpg"),
    ],
)
def test_names_that_are_not_marked_as_utf8(tmp_path, raw, system, name):
    info = zipfile.ZipInfo("x" * len(raw))
    info.create_system = system
    data = make_zip([(info, b"\xff\xd8\xff")]).replace(b"x" * len(raw), raw)
    assert stream(write(tmp_path / "a.zip", data)) == [(name, b"\xff\xd8\xff")]


@settings(max_examples=50)
@given(names=st.lists(member_names, min_size=1, max_size=5, unique=True))
def test_any_name_comes_back(tmp_path_factory, names):
    images = [(f"jpg/x{name}.jpg", name.encode()) for name in names]
    path = write(tmp_path_factory.mktemp("names") / "a.zip", make_zip(images))
    assert stream(path) == images


def test_times_are_utc_where_the_file_says_so(tmp_path):
    with_utc, without = (
        zipfile.ZipInfo("a.jpg", (2020, 1, 1, 12, 0, 0)),
        zipfile.ZipInfo("b.jpg", (2020, 1, 1, 12, 0, 0)),
    )
    with_utc.extra = struct.pack("<HHBi", 0x5455, 5, 1, 0)
    path = write(tmp_path / "a.zip", make_zip([(with_utc, b"1"), (without, b"2")]))
    with open_archive(path) as archive:
        assert [member.mtime for member in archive.members()] == [0, 1_577_880_000]


# ----- what may be wrong -----


def encrypt(data: bytes, name: bytes) -> bytes:
    """Set the flag that says that a member is encrypted, in both of its headers."""
    changed = bytearray(data)
    for header, flags, name_offset in ((LOCAL_HEADER, 6, 30), (CENTRAL_HEADER, 8, 46)):
        at = data.index(header)
        while data[at + name_offset : at + name_offset + len(name)] != name:
            at = data.index(header, at + 1)
        changed[at + flags] |= ENCRYPTED
    return bytes(changed)


def test_encrypted_members_are_counted_and_named(run, tmp_path):
    images = [(f"{i}.jpg", picture((200, 0, 0), i)) for i in range(3)]
    write(tmp_path / "a.zip", encrypt(make_zip(images), b"1.jpg"))
    done = run("colourHeuristic.py", "partition", "a.zip", "a.h5", "b.h5", 1)
    assert "a.zip: encrypted, so not read: 1 member: 1.jpg\n" in done.stderr
    assert "passed over: encrypted (1)\n" in done.stderr
    assert stored_images(tmp_path / "a.h5").keys() == {"0.jpg", "2.jpg"}


def test_a_damaged_member_costs_no_other(run, tmp_path):
    images = [(f"{i}.jpg", picture((200, 0, 0), i)) for i in range(3)]
    data = bytearray(make_zip(images, zipfile.ZIP_STORED))
    data[data.index(images[1][1]) + 500] ^= 1
    write(tmp_path / "a.zip", bytes(data))
    done = run("colourHeuristic.py", "partition", "a.zip", "a.h5", "b.h5", 1, check=False)
    assert done.returncode == 1
    assert "a.zip is damaged: 1 member: 1.jpg (wrong checksum)" in done.stderr
    assert stored_images(tmp_path / "a.h5") == {"0.jpg": images[0][1], "2.jpg": images[2][1]}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_comes_before_a_cut_is_read(tmp_path, method):
    images = photographs(4, 500)
    data = make_zip(images, method)
    directory = data.index(CENTRAL_HEADER)
    headers = [*(i for i in range(directory) if data.startswith(LOCAL_HEADER, i)), directory]
    for length in [*range(headers[1], directory, 67), *headers[2:], directory + 10]:
        with open_archive(write(tmp_path / "cut.zip", data[:length])) as archive:
            found = [(member.name, archive.read(member)) for member in archive.members()]
            assert found == images[: sum(end <= length for end in headers[1:])]
            assert isinstance(archive.damage, DamagedArchive)


def test_a_zip_that_ends_in_its_first_member_is_refused(tmp_path):
    path = write(tmp_path / "a.zip", make_zip(photographs(1))[:200])
    with pytest.raises(UserError, match="damaged, or ends in its first member"):
        open_archive(path)


def test_a_deflated_zip_that_is_cut_at_its_directory_is_whole(tmp_path):
    images = photographs(4, 500)
    data = make_zip(images, zipfile.ZIP_DEFLATED, Unseekable())
    with open_archive(write(tmp_path / "a.zip", data[: data.index(CENTRAL_HEADER)])) as archive:
        assert [(member.name, archive.read(member)) for member in archive.members()] == images


def test_an_unknown_method_is_named(tmp_path):
    data = bytearray(make_zip(photographs(1)))
    for header, offset in ((LOCAL_HEADER, 8), (CENTRAL_HEADER, 10)):
        data[data.index(header) + offset] = 9  # Deflate64
    with open_archive(write(tmp_path / "a.zip", bytes(data))) as archive:
        [member] = archive.members()
        with pytest.raises(UserError, match="its compression method 9 is not known here"):
            archive.read(member)


def test_a_zip_without_members_holds_no_image(run, tmp_path):
    write(tmp_path / "a.zip", make_zip([]))
    done = run("colourHeuristic.py", "partition", "a.zip", "a.h5", "b.h5", 1, check=False)
    assert done.returncode == 1
    assert "a.zip: holds no image" in done.stderr


def test_identify_and_show_read_one_member(run, tmp_path):
    write(tmp_path / "a.zip", make_zip([("jpg/a.jpg", picture((200, 30, 30), 1))]))
    assert "red" in run("colourHeuristic.py", "identify", "a.zip", "jpg/a.jpg").stdout
    run("colourHeuristic.py", "show", "a.zip", "jpg/a.jpg", "-o", "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
