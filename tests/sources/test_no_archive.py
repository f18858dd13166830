"""A file that is given as an archive and is none: it is called by its name, with what to do."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import sqlite3
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pytest

from imagestore.console import UserError
from imagestore.sources.open_archive import open_archive
from tests.helpers.archives import noise, pack, write
from tests.helpers.commands import Run
from tests.helpers.small_stores import picture

TAR = pack([(f"{i}.jpg", noise(2000, i)) for i in range(9)])
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>404</body></html>\n"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 12345\n"
IMAGE = picture((200, 40, 50), 1)


def refusal(tmp_path: Path, data: bytes, name: str = "a.tgz") -> str:
    """Return the one line for a file with these bytes, without its path."""
    path = write(tmp_path / name, data)
    with pytest.raises(UserError) as caught:
        open_archive(path)
    line = str(caught.value)
    assert line.startswith(f"{path} ") and "\n" not in line
    return line.removeprefix(f"{path} ")


def zip_file(_: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("a.jpg", IMAGE)
    return buffer.getvalue()


def npy_file(_: Path) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((2, 8, 8, 3), np.uint8))
    return buffer.getvalue()


def database(folder: Path) -> bytes:
    connection = sqlite3.connect(folder / "database")
    connection.execute("create table images (data blob)")
    connection.commit()
    connection.close()
    return (folder / "database").read_bytes()


def arrow_stream(_: Path) -> bytes:
    buffer = io.BytesIO()
    table = pyarrow.table({"image": [IMAGE], "label": [1]})
    with pyarrow.ipc.new_stream(buffer, table.schema) as stream:
        stream.write_table(table)
    return buffer.getvalue()


def output_of(*command: str) -> Callable[[Path], bytes]:
    """What a compressor writes for TAR; the test is skipped where the system lacks it."""

    def run(_: Path) -> bytes:
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is missing")
        return subprocess.run(command, input=TAR, capture_output=True, check=True, timeout=120).stdout

    return run


@pytest.mark.parametrize(
    ("make", "words", "advice"),
    [
        (lambda _: lzma.compress(TAR, lzma.FORMAT_ALONE), "compressed by LZMA alone", "xz --format=lzma -d"),
        (output_of("xz", "--format=lzma", "-c"), "compressed by LZMA alone", "xz --format=lzma -d"),
        (output_of("compress", "-c"), "compressed by compress", "gzip -d"),
        (lambda _: b"7z\xbc\xaf\x27\x1c\0\4" + noise(900, 1), "a 7z archive", "7z x"),
        (lambda _: b"Rar!\x1a\7\1\0" + noise(900, 1), "a RAR archive", "unrar"),
        (lambda _: b"070701" + b"0" * 104 + b"a.jpg\0", "a cpio archive", "cpio"),
        (lambda _: b"!<arch>\ndebian-binary   1410122664  0     0", "a Debian package", "dpkg-deb"),
        (lambda _: b"!<arch>\na.o/            1410122664  0     0", "an ar archive", "ar x"),
        (lambda _: b"hsqs" + noise(900, 1), "a SquashFS image", "unsquashfs"),
        (lambda _: bytes(0x8001).replace(b"\0", b"\1", 1) + b"CD001\1" + bytes(99), "an ISO image", "7z x"),
        (npy_file, "a NumPy array", "image files"),
        (database, "an SQLite database", "image files"),
        (arrow_stream, "an Arrow file", "image files"),
        (lambda _: struct.pack("<QI", 900, 7) + b"\x0a" + noise(900, 1), "a TFRecord file", "image files"),
        (lambda _: struct.pack(">4I", 2051, 9, 28, 28) + noise(900, 1), "an IDX file", "image files"),
        (lambda _: b"%PDF-1.7\n" + noise(900, 1), "a PDF file", "pdfimages"),
        (lambda _: b"\0\0\0\x20ftypisom" + noise(900, 1), "a video", "ffmpeg"),
        (lambda _: b"\x7fELF" + noise(900, 1), "a program", "archive of images"),
        (lambda _: IMAGE, "one image", "the folder"),
        (lambda _: PAGE, "an HTML page", "download it again"),
        (lambda _: b"\xef\xbb\xbf\r\n <HTML lang=en>" + PAGE, "an HTML page", "download it again"),
        (lambda _: b'<?xml version="1.0"?><!-- x --><html xmlns="x">', "an HTML page", "download it again"),
        (lambda _: b"<!-- generated -->\n<html>", "an HTML page", "download it again"),
        (lambda _: b'<?xml version="1.0"?>\n<Error>AccessDenied</Error>', "a text file", "AccessDenied"),
        (lambda _: b'{"message":\n "Not Found"}', "a text file", "(\'{\"message\": \"Not Found\"}\')"),
        (lambda _: "Zugriff verweigert: Übung\n".encode() * 99, "a text file", "'Zugriff verweigert: Übung"),
        (lambda _: b'<svg xmlns="http://www.w3.org/2000/svg">', "an SVG drawing", "PNG"),
        (lambda _: POINTER, "a git-lfs pointer", "git lfs pull"),
        (lambda _: b"/annex/objects/SHA256E-s12--ab.tgz\n", "a git-annex pointer", "git annex get"),
        (lambda _: b"outs:\n- md5: a304afb96060aad90176268345\n  path: data\n", "a DVC pointer", "dvc pull"),
        (lambda _: b"Salted__" + noise(900, 1), "an encrypted file", "decrypt"),
        (lambda _: TAR[:99] + b"\1" + TAR[100:], "a tar archive, damaged at its beginning", "again"),
        (lambda _: noise(9000, 1), "no tar archive, or is damaged", ".zip"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_files_are_called_by_their_names(
    tmp_path: Path, make: Callable[[Path], bytes], words: str, advice: str
) -> None:
    line = refusal(tmp_path, make(tmp_path))
    assert line.startswith(f"is {words}")
    assert advice in line


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(TAR, mtime=0), "is compressed by gzip: decompress it (gzip -d)"),
        (bz2.compress(TAR), "is compressed by bzip2: decompress it (bzip2 -d)"),
        (lzma.compress(TAR), "is compressed by xz: decompress it (xz -d)"),
        (IMAGE, "is one image"),
        (PAGE, "is an HTML page"),
        (POINTER, "is a git-lfs pointer"),
        (zip_file(Path()), "is a zip file"),
    ],
)  # fmt: skip
def test_the_content_of_a_compressed_file_is_named(
    tmp_path: Path, compress: Callable[[bytes], bytes], content: bytes, words: str
) -> None:
    name = {gzip.compress: "gzip", bz2.compress: "bzip2", lzma.compress: "xz"}[compress]
    line = refusal(tmp_path, compress(content))
    assert line.startswith(f"is no tar archive, but a {name} file: its content {words}")


@pytest.mark.parametrize("data", [gzip.compress(b"", mtime=0), lzma.compress(b"")], ids=["gzip", "xz"])
def test_compressed_files_without_content(tmp_path: Path, data: bytes) -> None:
    assert "without content" in refusal(tmp_path, data)


@pytest.mark.parametrize("name", ["a.tgz.001", "a.tgz.part2", "a.tgz.part_ab"])
def test_later_parts_of_a_split_archive(tmp_path: Path, name: str) -> None:
    line = refusal(tmp_path, noise(5000, 1), name)
    assert "a part of a file that was split" in line and "cat a.tgz.* > a.tgz" in line


def test_an_empty_file(tmp_path: Path) -> None:
    assert refusal(tmp_path, b"") == "is empty: download or copy it again"


@pytest.mark.parametrize("data", [TAR, pack([])], ids=["images", "no member"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_archives_are_not_refused(tmp_path: Path, data: bytes, compress: Callable[[bytes], bytes]) -> None:
    with open_archive(write(tmp_path / "a.tgz", compress(data))) as archive:
        assert len(archive.members()) == len(tarfile.open(fileobj=io.BytesIO(data)).getnames())


def test_every_command_says_it(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "a.tgz", PAGE)
    for command in (
        ["partition", "a.tgz", "a.h5", "b.h5", "1"],
        ["identify", "a.tgz", "x"],
        ["show", "a.tgz", "x"],
    ):
        done = run("colourHeuristic.py", *command, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith("colourHeuristic: error: a.tgz is an HTML page: ")
        assert len(done.stderr.splitlines()) == 1
    assert sorted(os.listdir(tmp_path)) == ["a.tgz"]
