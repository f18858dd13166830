"""The true labels of the images of SOURCE: those that the source itself holds, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from imagestore.classifying.choose_images import open_images
from imagestore.sources.open_archive import open_archive
from tests.helpers.archives import pack, write
from tests.helpers.array_files import add_vlen_bytes, padded_rows, pixels_of, write_datasets
from tests.helpers.small_stores import COLOURS, picture

PICTURES = [picture(colour, i) for i, colour in enumerate(COLOURS.values())]
LABELS = ["rose", "lily", "rose"]


def samples(first: int, end: int, ending: str = "cls") -> bytes:
    """A WebDataset shard of some of the pictures."""
    entries = []
    for i in range(first, end):
        text = f'{{"label": "{LABELS[i]}"}}' if ending == "json" else LABELS[i]
        entries += [(f"{i:03}.jpg", PICTURES[i]), (f"{i:03}.{ending}", text.encode())]
    return pack(entries)


def shard(folder: Path) -> str:
    return str(write(folder / "shard.tar", samples(0, 3)))


def shard_with_json(folder: Path) -> str:
    return str(write(folder / "json.tar", samples(0, 3, "json")))


def shards(folder: Path) -> str:
    write(folder / "part-0.tar", samples(0, 2))
    write(folder / "part-1.tar", samples(2, 3))
    return f"{folder}/part-{{0..1}}.tar"


def parquet_file(folder: Path) -> str:
    parquet.write_table(pa.table({"image": PICTURES, "label": LABELS}), folder / "a.parquet")
    return str(folder / "a.parquet")


def parquet_column(folder: Path) -> str:
    table = pa.table({"image": PICTURES, "mask": PICTURES, "label": LABELS})
    parquet.write_table(table, folder / "b.parquet")
    return f"{folder}/b.parquet:/image"


def vlen_bytes(folder: Path) -> str:
    path = write_datasets(folder / "vlen.h5", species=LABELS)
    add_vlen_bytes(path, "images", PICTURES)
    return str(path)


def rows_of_bytes(folder: Path) -> str:
    rows = padded_rows(PICTURES)
    return str(write_datasets(folder / "rows.h5", train__images=rows, train__labels=LABELS))


def pixels(folder: Path) -> str:
    return str(write_datasets(folder / "pixels.h5", x=pixels_of(PICTURES), y=LABELS))


def part_of_pixels(folder: Path) -> str:
    all_pixels = pixels_of(PICTURES)
    path = write_datasets(
        folder / "parts.h5", a__images=all_pixels, a__label=LABELS, b__images=all_pixels, b__label=["x"] * 3
    )
    return f"{path}:/a/images"


SOURCES = [
    shard, shard_with_json, shards, parquet_file, parquet_column,
    vlen_bytes, rows_of_bytes, pixels, part_of_pixels,
]  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def true_labels(source: str) -> list[str | None]:
    with open_images(source) as images:
        return [images.read(i).true_label for i in range(len(images))]


@pytest.mark.parametrize("make", SOURCES, ids=lambda make: make.__name__)
def test_labels_of_a_source_are_the_true_labels(make: Callable[[Path], str], tmp_path: Path) -> None:
    source = make(tmp_path)
    assert true_labels(source) == LABELS
    assert true_labels(source) == LABELS, "with the index of the first time"


def test_the_heuristic_decides_if_it_is_asked(tmp_path: Path) -> None:
    with open_images(shard(tmp_path), heuristic=True) as images:
        assert [images.read(i).true_label for i in range(3)] == list(COLOURS)


def test_a_source_without_labels_is_no_error(tmp_path: Path) -> None:
    several = write_datasets(tmp_path / "several.h5", x=pixels_of(PICTURES), label=LABELS, cls=LABELS)
    none = write_datasets(tmp_path / "none.h5", x=pixels_of(PICTURES), other=np.zeros(2))
    rows = write_datasets(tmp_path / "rows.h5", images=padded_rows(PICTURES))
    parquet.write_table(pa.table({"image": PICTURES}), tmp_path / "a.parquet")
    write(tmp_path / "a.tar", pack((f"{i}.jpg", data) for i, data in enumerate(PICTURES)))
    for path in (several, none, rows, tmp_path / "a.parquet", tmp_path / "a.tar"):
        assert true_labels(str(path)) == [None] * 3


@pytest.mark.parametrize("has_labels", [False, True])
def test_an_index_without_labels_serves_if_there_are_none(tmp_path: Path, has_labels: bool) -> None:
    """Else each image of a large archive would be read once more."""
    images = [(f"{i}.jpg", data) for i, data in enumerate(PICTURES)]
    path = write(tmp_path / "a.tar", samples(0, 3) if has_labels else pack(images))
    with open_archive(path) as archive:
        archive.members()
    before = set(tmp_path.rglob("*.index"))
    assert true_labels(str(path)) == (LABELS if has_labels else [None] * 3)
    assert (set(tmp_path.rglob("*.index")) == before) == (not has_labels)
