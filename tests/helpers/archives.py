"""Archives for tests: packing them with any compression, and reading them back in every way."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from hypothesis import strategies as st

from imagestore.console import UserError
from imagestore.sources.open_archive import open_archive

Image = tuple[str, bytes]  # its name and its bytes

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    "lz4": lambda data: lz4.frame.compress(data, content_checksum=True),
}
COMPRESSIONS = list(PACKERS)
QUICK = ("tar", "gz")  # a scan tries these in `make test`, and the others in `make test-slow`
COMPRESSIONS_TO_SCAN = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in COMPRESSIONS
]
MTIME = 1_234_567_890

member_names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=300
)


def noise(size: int, seed: int) -> bytes:
    """Return bytes that do not compress, like those of a JPEG."""
    return random.Random(seed).randbytes(size)


def photographs(count: int, size: int = 20_000) -> list[Image]:
    """Return images that do not compress; each is one byte larger than the one before."""
    return [(f"jpg/image_{i:04d}.jpg", noise(size + i, i)) for i in range(count)]


def pack(
    entries: Iterable[Image | tarfile.TarInfo], compression: str = "tar", format: int = tarfile.PAX_FORMAT
) -> bytes:
    """Return the bytes of an archive of images; a TarInfo in `entries` becomes a member without data."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
                continue
            name, data = entry
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), MTIME
            tar.addfile(info, io.BytesIO(data))
    return PACKERS[compression](buffer.getvalue())


def tar_entry(name: str, type: bytes, link_target: str = "") -> tarfile.TarInfo:
    """Return a member that is a folder, a link or a device."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type, link_target
    return info


def write(path: Path, data: bytes) -> Path:
    """Write a file; return its path."""
    path.write_bytes(data)
    return path


def stream(path: Path, index: Path | None = None) -> list[Image]:
    """Return all images of an archive, by one pass over it."""
    with open_archive(path, index) as archive:
        return [(member.name, data) for member, data in archive.stream()]


def stream_until_error(path: Path) -> tuple[list[Image], str]:
    """Return the images that come before an error, and the error's message (empty if there is no error)."""
    images = []
    try:
        with open_archive(path) as archive:
            for member, data in archive.stream():
                images.append((member.name, data))
    except UserError as error:
        return images, str(error)
    return images, ""


def assert_reads(path: Path, expected: list[Image], index: Path | None = None) -> None:
    """Open an archive that has an index: it lists the expected images, and reads each of them, backwards."""
    with open_archive(path, index) as archive:
        assert archive.indexed
        members = archive.members()
        assert [(m.name, m.size, m.crc32, m.position) for m in members] == [
            (name, len(data), zlib.crc32(data), i) for i, (name, data) in enumerate(expected)
        ]
        for member in reversed(members):
            assert archive.read(member) == expected[member.position][1]
