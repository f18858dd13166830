"""Headers of plain files, parsed without tarfile: every header is what tarfile makes of it."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestore.archive.tar_info import TarInfo

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT}
ENCODING = ("utf-8", "surrogateescape")


def header(
    name: str, size: int = 5, mtime: int = 6, kind: bytes = tarfile.REGTYPE, form: str = "gnu"
) -> bytes:
    """The block of a header, as tarfile writes it."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.type = size, mtime, kind
    return info.tobuf(FORMATS[form], *ENCODING)[-tarfile.BLOCKSIZE :]


def parsed(kind: type[tarfile.TarInfo], block: bytes) -> tuple | str:
    """Name, size, time and type of a header, or the name of the error."""
    try:
        info = kind.frombuf(block, *ENCODING)
    except tarfile.HeaderError as error:
        return type(error).__name__
    return info.name, info.size, info.mtime, info.type


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=90)
sizes = st.integers(0, (1 << 40))
kinds = st.sampled_from([tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, b"7"])


@given(names, sizes, sizes, kinds, st.sampled_from(list(FORMATS)))
def test_a_header_is_what_tarfile_reads(name: str, size: int, mtime: int, kind: bytes, form: str) -> None:
    try:
        block = header(name, size, mtime, kind, form)
    except ValueError:  # too long a name or number for this format
        return
    assert parsed(TarInfo, block) == parsed(tarfile.TarInfo, block)


@given(st.integers(0, tarfile.BLOCKSIZE - 1), st.integers(0, 255), st.booleans())
def test_a_changed_header_is_what_tarfile_reads(place: int, value: int, with_checksum: bool) -> None:
    block = bytearray(header("jpg/image_00001.jpg", 40_000, 1_200_000_000, form="ustar"))
    block[place] = value
    if with_checksum:
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
    assert parsed(TarInfo, bytes(block)) == parsed(tarfile.TarInfo, bytes(block))


@pytest.mark.parametrize("size", [0, 100, 511])
def test_a_part_of_a_header_is_what_tarfile_reads(size: int) -> None:
    block = header("image.jpg")[:size]
    assert parsed(TarInfo, block) == parsed(tarfile.TarInfo, block)


@pytest.mark.parametrize("form", list(FORMATS))
@pytest.mark.parametrize("name", ["a.jpg", "x" * 100, "é/ü.jpg", "not \udcff utf-8.jpg", "jpg/old/"])
def test_a_plain_file_needs_no_tarfile(monkeypatch: pytest.MonkeyPatch, form: str, name: str) -> None:
    block = header(name, form=form)
    expected = parsed(tarfile.TarInfo, block)
    monkeypatch.setattr(tarfile, "calc_chksums", None)
    if name.endswith("/"):  # tarfile alone knows what it is
        with pytest.raises(TypeError):
            TarInfo.frombuf(block, *ENCODING)
    else:
        assert parsed(TarInfo, block) == expected


@pytest.mark.parametrize("form", ["ustar", "gnu", "v7"])
def test_headers_of_the_tar_command_need_no_tarfile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    (tmp_path / "image.jpg").write_bytes(b"bytes")
    command = ["tar", f"--format={form}", "-C", tmp_path, "-cf", "-", "image.jpg"]
    block = subprocess.run(command, capture_output=True, check=True, timeout=120).stdout[: tarfile.BLOCKSIZE]
    monkeypatch.setattr(tarfile, "calc_chksums", None)
    assert parsed(TarInfo, block)[:2] == ("image.jpg", 5)
