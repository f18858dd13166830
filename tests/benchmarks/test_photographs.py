"""The archives that benchmarks measure with."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from common.photographs import build_archive, unpack_archive

from demo.draw_flowers import draw


@pytest.fixture
def flowers_tgz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """$FLOWERS_TGZ with six pictures, and an empty $BENCH_DIR."""
    archive = draw(tmp_path / "flowers.tgz", count=6, size=64)
    monkeypatch.setenv("FLOWERS_TGZ", str(archive))
    monkeypatch.setenv("BENCH_DIR", str(tmp_path / "bench"))
    return archive


def images(path: Path) -> dict[str, bytes]:
    """The images of an archive by their names."""
    with tarfile.open(path) as archive:
        return {
            member.name: archive.extractfile(member).read()
            for member in archive
            if member.name.endswith(".jpg")
        }


def test_originals_come_first_then_variants(flowers_tgz: Path):
    path = build_archive(images=14)
    assert path.name == "flowers-14.tgz"
    photographs = images(path)
    assert list(photographs) == [f"jpg/image_{i:05d}.jpg" for i in range(1, 15)]
    originals = list(images(flowers_tgz).values())
    assert list(photographs.values())[:6] == originals
    assert len(set(photographs.values())) == 14


def test_the_same_count_gives_the_same_archive(flowers_tgz: Path, tmp_path: Path):
    first = build_archive(tmp_path / "first.tgz", images=10)
    assert images(first) == images(build_archive(tmp_path / "second.tgz", images=10))
    assert build_archive(first, images=3) == first
    assert len(images(first)) == 10


def test_an_archive_is_unpacked_beside_it(flowers_tgz: Path, tmp_path: Path):
    folder = unpack_archive(flowers_tgz)
    assert folder == tmp_path / "flowers"
    assert {f"jpg/{path.name}": path.read_bytes() for path in folder.glob("jpg/*.jpg")} == images(flowers_tgz)
    (folder / "jpg/kept").touch()
    assert (unpack_archive(flowers_tgz) / "jpg/kept").exists()
