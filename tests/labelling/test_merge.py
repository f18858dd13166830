"""`merge` as a user runs it, on stores that other commands and other tools made."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.store.reader import ImageStore
from imagestore.store.walk import walk
from tests.helpers.stored_images import archive_images, stored_images


def attributes_by_image(path: Path) -> dict[bytes, dict[str, bytes]]:
    """The attributes that plain h5py finds on each image, by the image's bytes."""
    with h5py.File(path) as file:
        return {
            dataset[()].tobytes(): {key: np.asarray(value).tobytes() for key, value in dataset.attrs.items()}
            for group in file.values()
            for dataset in group.values()
        }


def test_merge_adds_new_images_only(run, sample, old_store, tmp_path):
    run("colourHeuristic.py", "sort", sample, "a.h5", 20, 5, "--seed", 1)
    run("colourHeuristic.py", "sort", sample, "b.h5", 60, 5)
    run("colourHeuristic.py", "merge", "all.h5", "a.h5", "b.h5", old_store)
    with ImageStore(old_store) as old, ImageStore(tmp_path / "all.h5") as merged:
        assert len(merged) == 60 + len(old)
        merged_bytes = {merged.read(i) for i in range(len(merged))}
        assert merged_bytes == {old.read(i) for i in range(len(old))} | set(archive_images(sample).values())
    again = run("colourHeuristic.py", "merge", "all.h5", "b.h5", "a.h5")
    assert "(0 new)" in again.stdout
    itself = run("colourHeuristic.py", "merge", "all.h5", "all.h5", check=False)
    assert itself.returncode == 1 and "is the output" in itself.stderr


def test_merge_preserves_all_attributes(run, sample, tmp_path):
    """The new store begins as a copy of s1, s2 is added to this copy, and s3 to the finished store."""
    for k in (1, 2, 3):
        run("colourHeuristic.py", "sort", sample, f"s{k}.h5", 60, 60, "--shard", f"{k}/3")
    attributes = {
        image: values
        for k in (1, 2, 3)
        for image, values in attributes_by_image(tmp_path / f"s{k}.h5").items()
    }
    assert len(attributes) == 60 and all(len(values) == 5 for values in attributes.values())
    run("colourHeuristic.py", "merge", "all.h5", "s1.h5", "s2.h5")
    run("colourHeuristic.py", "merge", "all.h5", "s3.h5")
    assert attributes_by_image(tmp_path / "all.h5") == attributes
    with ImageStore(tmp_path / "all.h5") as merged, h5py.File(merged.path, locking=False) as file:
        index = merged.index
        assert (index.offset > 0).all() and index.written_with_store and index.covers_whole_file
        assert {merged.read(i) for i in range(len(merged))} == attributes.keys()
        assert len(merged.heuristics()) == 1
        assert walk(file).column("name_text").tobytes() == index.column("name_text").tobytes()
    subprocess.run(["h5stat", tmp_path / "all.h5"], check=True, capture_output=True, timeout=120)


@pytest.mark.parametrize("order", [("damaged.h5", "b.h5"), ("b.h5", "damaged.h5")])
def test_merge_leaves_out_damaged_images_and_says_so(run, sample, tmp_path, order):
    run("colourHeuristic.py", "sort", sample, "damaged.h5", 60, 60, "--shard", "1/2")
    run("colourHeuristic.py", "sort", sample, "b.h5", 60, 60, "--shard", "2/2")
    with ImageStore(tmp_path / "damaged.h5") as store, (tmp_path / "damaged.h5").open("r+b") as file:
        name, offset = store.path_of(7), int(store.index.offset[7])
        first = store.read(7)[:1]
        file.seek(offset)
        file.write(bytes([first[0] ^ 1]))
    done = run("colourHeuristic.py", "merge", "all.h5", *order, check=False)
    assert done.returncode == 1 and "1 image could not be read" in done.stderr and name in done.stderr
    assert len(stored_images(tmp_path / "all.h5")) == 59
    again = run("colourHeuristic.py", "merge", "all.h5", *order, check=False)
    assert again.returncode == 1 and "(0 new)" in again.stdout


def test_merge_stores_images_whose_palette_is_damaged(run, sample, tmp_path):
    run("colourHeuristic.py", "sort", sample, "a.h5", 10, 10)
    run("colourHeuristic.py", "sort", sample, "b.h5", 30, 30)
    path = tmp_path / "b.h5"
    data = bytearray(path.read_bytes())
    attributes = [match.start() for match in re.finditer(b"palette\0", data)]
    for start in attributes[::2]:
        data[start + 8] = 0xFF  # the class of its datatype: HDF5 has no such class
    path.write_bytes(data)
    run("colourHeuristic.py", "merge", "all.h5", "a.h5", "b.h5")
    with ImageStore(tmp_path / "all.h5") as store:
        assert {store.read(i) for i in range(len(store))} >= set(stored_images(path).values())
        assert 0 < sum(store.palette(i) is None for i in range(len(store))) < len(store)


def test_merge_recognises_images_without_a_checksum(run, old_store, tmp_path):
    copy = shutil.copy(old_store, tmp_path / "all.h5")
    again = run("colourHeuristic.py", "merge", copy, old_store)
    assert "36 images" in again.stdout and "(0 new)" in again.stdout
