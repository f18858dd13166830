"""What a writer that ended leaves beside a store, and what the next writer makes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from imagestore.store.reader import ImageStore
from imagestore.store.writer import StoreWriter
from tests.helpers.commands import ROOT, environment
from tests.helpers.stored_images import hidden_files
from tests.helpers.written_stores import (
    HEURISTIC,
    IMAGES,
    NEW,
    add_images,
    images_by_member,
    images_by_path,
    write_store,
)


def test_unpublished_images_go_to_the_next_writer(store_path):
    with StoreWriter(store_path) as writer:
        add_images(writer, NEW)
    assert len(images_by_path(store_path)) == len(IMAGES)
    assert len(hidden_files(store_path.parent)) == 2
    with StoreWriter(store_path) as writer:
        assert (writer.images_recovered, writer.images_before) == (1, len(IMAGES))
        writer.publish([HEURISTIC])
    assert images_by_path(store_path)["red/new.jpg"] == b"new"
    assert hidden_files(store_path.parent) == []


def test_images_of_a_killed_process_are_recovered(tmp_path):
    program = """
import os, signal, sys
from imagestore.store.writer import StoreWriter
from tests.helpers.written_stores import IMAGES, add_images
writer = StoreWriter(sys.argv[1])
add_images(writer, IMAGES)
writer.write_waiting()
os.kill(os.getpid(), signal.SIGKILL)
"""
    path = tmp_path / "store.h5"
    done = subprocess.run(
        [sys.executable, "-c", program, path], env=environment({"PYTHONPATH": str(ROOT)}), timeout=120
    )
    assert done.returncode == -signal.SIGKILL
    assert not path.exists() and len(hidden_files(tmp_path)) == 3
    with StoreWriter(path) as writer:
        assert writer.images_recovered == len(IMAGES)
        writer.publish([HEURISTIC])
    with ImageStore(path) as store:
        assert images_by_member(store) == IMAGES
    assert os.listdir(tmp_path) == ["store.h5"]


def test_many_images_are_recovered(tmp_path):
    path, images = tmp_path / "store.h5", {("red", b"%d.jpg" % i): b"bytes" * 100 for i in range(1500)}
    with StoreWriter(path) as writer:
        add_images(writer, images)
    assert not path.exists()
    with StoreWriter(path) as writer:
        assert (writer.images_recovered, len(writer)) == (1500, 1500)
        writer.publish()
    with ImageStore(path) as store:
        assert len(images_by_member(store)) == 1500
    assert hidden_files(tmp_path) == []


def test_a_damaged_image_is_not_recovered(tmp_path):
    path = tmp_path / "store.h5"
    with StoreWriter(path) as writer:
        add_images(writer, {("red", b"1.jpg"): b"A" * 999, ("red", b"2.jpg"): b"B" * 999})
    (partial,) = tmp_path.glob(".*.partial")
    partial.write_bytes(partial.read_bytes().replace(b"A" * 999, b"A" * 998 + b"x"))
    with StoreWriter(path) as writer:
        assert writer.images_recovered == 1
        writer.publish()
    assert images_by_path(path) == {"red/2.jpg": b"B" * 999}


def test_an_image_published_already_is_not_added_again(store_path):
    with StoreWriter(store_path) as writer:
        add_images(writer, NEW)
    saved = {path: path.read_bytes() for path in store_path.parent.glob(".*")}
    write_store(store_path, {})  # takes the image over and publishes it
    for path, data in saved.items():
        path.write_bytes(data)
    with StoreWriter(store_path) as writer:
        assert writer.images_recovered == 0
    assert hidden_files(store_path.parent) == []


def test_a_journal_without_its_file_is_removed(tmp_path):
    (tmp_path / ".store.h5.0123abcd.journal").write_bytes(b"anything")
    with StoreWriter(tmp_path / "store.h5") as writer:
        assert writer.images_recovered == 0
    assert os.listdir(tmp_path) == []


def test_files_of_other_stores_are_left_alone(tmp_path):
    with StoreWriter(tmp_path / "store.h5.h5") as other:
        add_images(other, NEW)
    before = sorted(hidden_files(tmp_path))
    with StoreWriter(tmp_path / "store.h5") as writer:
        assert writer.images_recovered == 0
    assert sorted(hidden_files(tmp_path)) == before
