"""Adding images to a store: what is added, what is published, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from isal.isal_zlib import crc32

from imagestore.console import UserError
from imagestore.store import writer as writer_module
from imagestore.store.image_identity import identity
from imagestore.store.reader import ImageStore
from imagestore.store.writer import StoreWriter
from tests.helpers.commands import ROOT
from tests.helpers.full_disks import file_size_limit
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

# ----- adding and publishing -----


def test_new_images_join_those_that_are_there(store_path):
    with StoreWriter(store_path) as writer:
        assert not any(add_images(writer, IMAGES))
        assert add_images(writer, {("red", b"jpg/one.jpg"): b"changed"}) == [True]
        assert (writer.images_before, len(writer), writer.label_count()) == (len(IMAGES), len(IMAGES) + 1, 3)
        writer.publish([HEURISTIC])
    with ImageStore(store_path) as store:
        assert len(store) == len(IMAGES) + 1
        assert sum(store.index.member(i) == b"jpg/one.jpg" for i in range(len(store))) == 2
        assert store.heuristics() == [HEURISTIC]


def test_without_new_images_the_file_is_left_alone(store_path):
    before = store_path.stat()
    with StoreWriter(store_path) as writer:
        writer.publish([HEURISTIC])
    after = store_path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_reader_of_the_old_file_goes_on(store_path):
    with ImageStore(store_path) as reader:
        write_store(store_path, {("red", b"late.jpg"): b"late"})
        assert images_by_member(reader) == IMAGES
        assert not reader.changed()
    with ImageStore(store_path) as reader:
        assert len(reader) == len(IMAGES) + 1


def test_images_are_added_to_stores_of_older_tools(old_store):
    before = images_by_path(old_store)
    write_store(old_store, NEW)
    assert images_by_path(old_store) == before | {"red/new.jpg": b"new"}


def test_an_image_of_an_older_tool_is_known_by_its_bytes(old_store):
    """Such stores have no checksums and no members: the name and the bytes tell which image it is."""
    with ImageStore(old_store) as store:
        name, data = store.index.name(0).rpartition(b"/")[2], store.read(0)
    with StoreWriter(old_store) as writer:
        assert identity(name, len(data), crc32(data)) in writer
        assert add_images(writer, {("x", b"jpg/" + name): data, ("x", name): data}) == [True, False]


def test_a_symbolic_link_is_followed(tmp_path, store_path):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.h5"
    link.symlink_to(store_path)
    write_store(link, NEW)
    assert link.is_symlink() and len(images_by_path(store_path)) == len(IMAGES) + 1
    assert os.listdir(tmp_path / "elsewhere") == ["link.h5"]


def test_the_mode_of_the_store_stays(store_path):
    store_path.chmod(0o640)
    write_store(store_path, NEW)
    assert store_path.stat().st_mode & 0o7777 == 0o640


def test_each_heuristic_is_noted_once(store_path):
    later, other = HEURISTIC | {"since": 5}, HEURISTIC | {"version": "other"}
    with StoreWriter(store_path) as writer:
        add_images(writer, NEW)
        writer.publish([later, other, other])
    with ImageStore(store_path) as store:
        assert store.heuristics() == [HEURISTIC, other]


def test_images_that_could_not_be_written_are_forgotten(tmp_path):
    """They wait for a moment, and the writer counts them meanwhile. They can be added again."""
    images = {("red", b"1.jpg"): b"1" * 1000, ("blue", b"2.jpg"): b"2" * 1_500_000}
    with StoreWriter(tmp_path / "store.h5") as writer:
        add_images(writer, images)
        assert (len(writer), writer.label_count()) == (2, 2)
        with file_size_limit(1 << 21), pytest.raises(OSError):
            writer.write_waiting()
        assert (len(writer), writer.label_count()) == (1, 1)
        assert add_images(writer, images) == [False, True]
        writer.publish([HEURISTIC])
    assert images_by_path(tmp_path / "store.h5") == {"red/1.jpg": b"1" * 1000, "blue/2.jpg": b"2" * 1_500_000}


@pytest.mark.parametrize("number", [1, 2])
def test_names_of_255_bytes_do_not_get_mixed_up(tmp_path, number):
    """The files beside a store have its name in theirs; these names are cut, and must still differ."""
    first, second = (tmp_path / ("n" * 251 + f"{i}.h5") for i in (1, 2))
    with StoreWriter(first) as first_writer, StoreWriter(second) as second_writer:
        add_images(first_writer, {("red", b"1.jpg"): b"1"})
        add_images(second_writer, {("red", b"2.jpg"): b"2"})
        (first_writer if number == 1 else second_writer).publish()
    path = first if number == 1 else second
    assert images_by_path(path) == {f"red/{number}.jpg": b"%d" % number}


# ----- starting as a copy -----


def test_a_new_store_starts_as_a_copy_of_another(tmp_path, store_path):
    with ImageStore(store_path) as source, StoreWriter(tmp_path / "copy.h5") as writer:
        assert writer.start_as_copy_of(source)
        assert (len(writer), writer.label_count(), writer.images_before) == (len(IMAGES), 3, 0)
        assert add_images(writer, IMAGES | NEW) == [False] * len(IMAGES) + [True]
        writer.publish([HEURISTIC])
    assert images_by_path(tmp_path / "copy.h5") == images_by_path(store_path) | {"red/new.jpg": b"new"}


def test_a_store_with_images_cannot_start_as_a_copy(tmp_path, store_path):
    write_store(tmp_path / "other.h5", NEW)
    with ImageStore(store_path) as source, StoreWriter(tmp_path / "other.h5") as writer:
        assert not writer.start_as_copy_of(source)
    with ImageStore(store_path) as source, StoreWriter(tmp_path / "third.h5") as writer:
        add_images(writer, NEW)
        assert not writer.start_as_copy_of(source)
        assert len(writer) == 1


def test_a_store_of_an_older_tool_is_not_copied_whole(tmp_path, old_store):
    with ImageStore(old_store) as source, StoreWriter(tmp_path / "copy.h5") as writer:
        assert not writer.start_as_copy_of(source)


def test_a_discarded_copy_leaves_nothing(tmp_path, store_path):
    with ImageStore(store_path) as source, StoreWriter(tmp_path / "copy.h5") as writer:
        writer.start_as_copy_of(source)
        writer.discard()
        assert len(writer) == writer.label_count() == 0
        writer.publish()
    assert os.listdir(tmp_path) == ["images.h5"]


def test_discarded_images_do_not_come_back(store_path):
    with StoreWriter(store_path) as writer:
        add_images(writer, NEW | {("new label", b"x.jpg"): b"x"})
        writer.discard()
        assert (len(writer), writer.label_count()) == (len(IMAGES), 3)
        assert add_images(writer, NEW) == [True]
        writer.publish()
    with ImageStore(store_path) as store:
        assert images_by_member(store) == IMAGES | NEW
    assert hidden_files(store_path.parent) == []


# ----- refusals -----


@pytest.mark.parametrize("content", [b"no HDF5", None], ids=["no HDF5", "a folder"])
def test_what_is_no_store_is_refused_and_unlocked(tmp_path, content):
    path = tmp_path / "store.h5"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(UserError):
        StoreWriter(path)
    assert os.listdir(tmp_path) == ["store.h5"]


def test_a_second_writer_is_refused_until_the_first_ends(store_path):
    with StoreWriter(store_path) as writer:
        with pytest.raises(UserError, match="is writing it"):
            StoreWriter(store_path)
        add_images(writer, NEW)
        writer.publish()
    with StoreWriter(store_path) as writer:
        assert len(writer) == len(IMAGES) + 1


def test_a_writer_takes_the_lock_of_a_lost_process(tmp_path):
    path, lock = tmp_path / "store.h5", tmp_path / ".store.h5.lock"
    with StoreWriter(path):
        holder = json.loads(lock.read_text())
    lock.write_text(json.dumps(holder | {"started": "1"}))
    with StoreWriter(path):
        pass
    lock.write_text('{"host": "another-node", "pid": 1, "started": "1"}')
    with pytest.raises(UserError, match="another-node"):
        StoreWriter(path)
    os.utime(lock, (1, 1))
    with StoreWriter(path):
        pass
    assert not lock.exists()


def test_a_writer_in_another_container_is_refused(tmp_path):
    """There the process ids are others, so the holder's id says nothing."""
    container = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    program = "import sys; from imagestore.store.writer import StoreWriter; StoreWriter(sys.argv[1])"
    with StoreWriter(tmp_path / "store.h5"):
        done = subprocess.run(
            [*container, sys.executable, "-c", program, tmp_path / "store.h5"],
            capture_output=True, text=True, cwd=ROOT, timeout=120,
        )  # fmt: skip
        assert done.returncode == 1 and "is writing it" in done.stderr, done.stderr


def replace_the_store(path: Path) -> None:
    copy = path.with_name("copy.h5")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)


def write_into_the_store(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["red/theirs.jpg"] = np.zeros(5, np.uint8)


@pytest.mark.parametrize("change", [replace_the_store, write_into_the_store, Path.unlink])
def test_a_change_by_another_tool_is_not_overwritten(store_path, change):
    with StoreWriter(store_path) as writer:
        add_images(writer, NEW)
        change(store_path)
        changed = store_path.read_bytes() if store_path.exists() else None
        with pytest.raises(UserError, match="another tool changed it"):
            writer.publish()
    assert (store_path.read_bytes() if store_path.exists() else None) == changed
    with StoreWriter(store_path) as writer:
        assert writer.images_recovered >= 1  # nothing was lost: the same command again succeeds
        writer.publish()
    assert images_by_path(store_path)["red/new.jpg"] == b"new"


def test_a_live_writer_touches_its_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "SECONDS_BETWEEN_SYNCS", 0.05)
    lock = tmp_path / ".store.h5.lock"
    with StoreWriter(tmp_path / "store.h5") as writer:
        add_images(writer, NEW)
        os.utime(lock, (1, 1))
        for _ in range(2000):
            if lock.stat().st_mtime > 1:
                break
            time.sleep(0.05)
        assert lock.stat().st_mtime > 1


def test_identities_differ_in_each_of_their_parts():
    assert len({identity(*image) for image in [(b"a", 1, 2), (b"b", 1, 2), (b"a", 2, 2), (b"a", 1, 3)]}) == 4
