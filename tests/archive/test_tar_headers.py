"""Headers of a tar that Python's tarfile reads wrongly."""

from __future__ import annotations

import tarfile

import pytest

from imagestore.sources.open_archive import open_archive
from tests.helpers.archives import assert_reads, noise, write

BLOCK = 512
HOLE = bytes(4 * BLOCK)


def pax_record(key: str, value: object) -> bytes:
    """One line of a pax header; its length counts itself."""
    rest = f" {key}={value}\n"
    length = len(rest)
    while len(f"{length}{rest}") != length:
        length = len(f"{length}{rest}")
    return f"{length}{rest}".encode()


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.USTAR_FORMAT)


def sparse_member(name: str, beginning: bytes, end: bytes, *, size_is_last: bool, ustar_size: bool) -> bytes:
    """GNU's sparse format 1.0 with a pax `size`, which large files have: data, a hole, data."""
    places = [(0, len(beginning)), (len(beginning) + len(HOLE), len(end))]
    numbers = [len(places), *(number for place in places for number in place)]
    body = padded("".join(f"{number}\n" for number in numbers).encode()) + beginning + end
    fields = {
        "GNU.sparse.major": 1,
        "GNU.sparse.minor": 0,
        "GNU.sparse.name": name,
        "GNU.sparse.realsize": len(beginning + HOLE + end),
    }
    size = {"size": len(body)}
    fields = fields | size if size_is_last else size | fields
    pax = b"".join(pax_record(key, value) for key, value in fields.items())
    return b"".join([
        header("pax", len(pax), tarfile.XHDTYPE), padded(pax),
        header("GNUSparseFile.0/x", len(body) if ustar_size else 0), padded(body),
    ])  # fmt: skip


@pytest.mark.parametrize("ustar_size", [True, False], ids=["size in both headers", "size in pax only"])
@pytest.mark.parametrize("size_is_last", [True, False])
def test_a_sparse_member_with_a_size_in_its_pax_header(tmp_path, size_is_last, ustar_size):
    images = [(f"{i}.jpg", noise(BLOCK * (i + 1), i), noise(BLOCK, 9)) for i in range(3)]
    members = [sparse_member(*image, size_is_last=size_is_last, ustar_size=ustar_size) for image in images]
    path = write(tmp_path / "a.tar", b"".join(members) + bytes(2 * BLOCK))
    expected = [(name, beginning + HOLE + end) for name, beginning, end in images]
    with open_archive(path) as archive:
        assert [(member.name, data) for member, data in archive.stream()] == expected
    assert_reads(path, expected)
