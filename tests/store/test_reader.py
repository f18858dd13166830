"""The store: written whole, indexed, read back; believed only where it can be."""

import os
import pickle
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal.isal_zlib import crc32

from imagestore import cache_folder
from imagestore.console import UserError
from imagestore.hdf5.superblock import end_of_file_address
from imagestore.store import index_cache, journal
from imagestore.store.image_names import LONGEST_NAME, numbered, safe_name
from imagestore.store.index import IndexBuilder
from imagestore.store.metadata_cache import MetadataCache
from imagestore.store.open import expand_paths, open_stores
from imagestore.store.reader import ImageStore, StoreError
from imagestore.store.record import ImageRecord
from imagestore.store.walk import walk
from imagestore.store.writer import StoreWriter

PALETTE = np.array([[0.75, 50, 60, 40, 200, 30, 20], [0.25, 90, 0, 0, 226, 226, 226]], np.float32)
HEURISTIC = {"version": "test", "settings": {"clusters": 2}, "since": 1}


def image(label: str, member: bytes, data: bytes, palette=PALETTE) -> ImageRecord:
    return ImageRecord(
        label=label.encode(), name=member, member=member, size=len(data), crc32=crc32(data),
        mtime=1_000_000_000, created=1_500_000_000, palette=palette,
    )  # fmt: skip


def write(path: Path, images: dict[tuple[str, bytes], bytes]) -> None:
    with StoreWriter(path) as writer:
        for (label, member), data in images.items():
            writer.add(image(label, member, data), data)
        writer.publish([HEURISTIC])


IMAGES = {
    ("red", b"jpg/one.jpg"): b"first" * 1000,
    ("red", b"other/one.jpg"): b"second" * 900,
    ("dark-blue", "jpg/d\u00e9 j\u00e0 'vu'.jpg".encode()): b"third",
    ("dark-blue", b"jpg/\xff not utf-8.jpg"): b"fourth" * 7000,
    ("white", b"../../etc/passwd.jpg"): b"fifth",
    ("white", b"/absolute/-rf.jpg"): b"sixth",
    ("white", b"jpg/.."): b"seventh",
    ("white", b"jpg/" + b"n" * 300 + b".jpg"): b"eighth",
}


@pytest.fixture
def store_path(tmp_path) -> Path:
    path = tmp_path / "images.h5"
    write(path, IMAGES)
    return path


def contents(store: ImageStore) -> dict[tuple[str, bytes], bytes]:
    """Every image by label and member."""
    names = range(len(store))
    return {(store.path_of(i).split("/")[0], store.index.member(i)): store.read(i) for i in names}


def contents_by_path(path: Path) -> dict[str, bytes]:
    with ImageStore(path) as store:
        return {store.path_of(i): store.read(i) for i in range(len(store))}


def contents_by_h5py(path: Path) -> dict[str, bytes]:
    with h5py.File(path) as file:
        return {
            f"{label}/{os.fsdecode(name)}": group[name][()].tobytes()
            for label, group in file.items()
            for name in group.id
        }


def test_what_is_written_is_read(store_path):
    with ImageStore(store_path) as store:
        assert contents(store) == IMAGES
        assert store.labels == ["dark-blue", "red", "white"]
        assert all(store.find(store.path_of(i)) == i for i in range(len(store)))
        assert np.array_equal(store.palette(0), PALETTE)
        assert store.heuristics() == [HEURISTIC]
        with pytest.raises(KeyError):
            store.find("red/none.jpg")


def test_names_are_distinct_one_group_deep_and_cannot_escape(store_path):
    with h5py.File(store_path) as file:
        names = [(label, name) for label, group in file.items() for name in group]
        assert len(names) == len(IMAGES)
        assert all(isinstance(file[label][name], h5py.Dataset) for label, name in names)
    for _, name in names:
        assert name not in (".", "..") and len(os.fsencode(name)) <= LONGEST_NAME


def test_plain_h5py_sees_the_bytes_and_what_is_known_of_them(store_path):
    with h5py.File(store_path) as file:
        assert set(file) == {"red", "dark-blue", "white"}
        dataset = file["red/one.jpg"]
        assert dataset[()].tobytes() == IMAGES["red", b"jpg/one.jpg"]
        assert (dataset.dtype, dataset.ndim, dataset.chunks, dataset.id.get_offset() is None) == (
            np.uint8,
            1,
            None,
            False,
        )
        assert dataset.attrs["member"] == b"jpg/one.jpg"
        assert dataset.attrs["crc32"] == crc32(IMAGES["red", b"jpg/one.jpg"])
        assert (dataset.attrs["Modified"], dataset.attrs["Created"]) == (1_000_000_000, 1_500_000_000)
        assert np.array_equal(dataset.attrs["palette"], PALETTE)
        assert "H5VFS" in file.attrs


def test_the_index_says_what_a_walk_finds(store_path):
    with ImageStore(store_path) as store:
        assert store.index.fresh
        walked = walk(store.hdf5())
        assert not walked.fresh
        assert walked.labels == store.index.labels
        assert [walked.record(i) for i in range(len(walked))] == [
            store.index.record(i) for i in range(len(store))
        ]
        assert walked.offset.tolist() == store.index.offset.tolist()


def move_an_image(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.move("red/one.jpg", "white/moved.jpg")


def swap_the_bytes_of_two(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.move("dark-blue/d\u00e9 j\u00e0 'vu'.jpg", "white/swap")
        file.move("white/passwd.jpg", "dark-blue/d\u00e9 j\u00e0 'vu'.jpg")
        file.move("white/swap", "white/passwd.jpg")


def overwrite_in_place(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["white/passwd.jpg"][...] = np.frombuffer(b"FIFTH", np.uint8)


def delete_and_add(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["red/one.jpg"]
        file["red/new.jpg"] = np.frombuffer(b"new" * 1666, np.uint8)


def repack(path: Path) -> None:
    packed = path.with_name("packed.h5")
    subprocess.run(["h5repack", path, packed], check=True, timeout=30)
    packed.replace(path)


def repack_compressed(path: Path) -> None:
    packed = path.with_name("packed.h5")
    subprocess.run(["h5repack", "-f", "GZIP=1", path, packed], check=True, timeout=30)
    packed.replace(path)


def assert_right_after(edit: Callable[[Path], None], path: Path) -> None:
    """What is read is what h5py reads, though the edit hides behind the old time of modification."""
    before = path.stat()
    edit(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    truth = contents_by_h5py(path)
    assert contents_by_path(path) == truth


EDITS = [move_an_image, swap_the_bytes_of_two, overwrite_in_place, delete_and_add, repack, repack_compressed]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_by_another_tool_never_leads_to_wrong_bytes(store_path, edit):
    assert_right_after(edit, store_path)


@pytest.fixture
def walked_before(store_path, monkeypatch) -> Path:
    """A store without an index of its own, whose images are in the user's cache though they are few."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(store_path.parent / "cache"))
    monkeypatch.setattr(index_cache, "WORTH_KEEPING", 1)
    monkeypatch.setattr(index_cache, "SETTLED", 0)
    cut_the_index_off(store_path)
    contents_by_path(store_path)
    assert cache_folder.path_for(store_path).exists()
    time.sleep(0.05)  # file systems count time in steps
    return store_path


def cut_the_index_off(path: Path) -> None:
    with h5py.File(path, "r+"):
        pass


def test_a_store_without_index_is_walked_once(walked_before, monkeypatch):
    monkeypatch.setattr("imagestore.store.reader.walk", None)
    with ImageStore(walked_before) as store:
        assert contents(store) == IMAGES
        assert not store.index.fresh and store.index.whole


def test_what_was_written_just_now_is_not_kept(store_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(store_path.parent / "cache"))
    monkeypatch.setattr(index_cache, "WORTH_KEEPING", 1)
    cut_the_index_off(store_path)
    contents_by_path(store_path)
    assert not cache_folder.path_for(store_path).exists()


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_after_a_walk_never_leads_to_wrong_bytes(walked_before, edit):
    assert_right_after(edit, walked_before)


def test_a_damaged_index_in_the_cache_is_not_believed(walked_before):
    kept, truth = cache_folder.path_for(walked_before), contents_by_path(walked_before)
    whole = kept.read_bytes()
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        kept.write_bytes(damaged)
        assert contents_by_path(walked_before) == truth
    kept.write_bytes(whole[:-3])
    assert contents_by_path(walked_before) == truth


def test_a_cache_that_cannot_be_written_to_is_no_error(walked_before, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert len(contents_by_path(walked_before)) == len(IMAGES)


def test_a_large_store_of_another_tool_is_walked_once_by_commands(run, tmp_path):
    with h5py.File(tmp_path / "large.h5", "w") as file:
        group, data = file.create_group("red"), np.frombuffer(b"some bytes", np.uint8)
        for i in range(index_cache.WORTH_KEEPING):
            group[f"{i}.jpg"] = data
    time.sleep(index_cache.SETTLED + 0.1)
    first = run("colourHeuristic.py", "summary", "large.h5")
    (kept,) = (tmp_path / "cache" / "imagestore").iterdir()
    written = kept.stat()
    assert run("colourHeuristic.py", "summary", "large.h5").stdout == first.stdout
    assert kept.stat().st_mtime_ns == written.st_mtime_ns
    assert f"{index_cache.WORTH_KEEPING}" in first.stdout.replace(",", "")


def test_a_file_walked_here_can_be_opened_by_h5py_as_well(store_path):
    cut_the_index_off(store_path)
    with ImageStore(store_path) as store, h5py.File(store_path) as file:
        assert len(store) == sum(len(group) for group in file.values())


def test_a_damaged_index_is_not_believed(store_path):
    whole = store_path.read_bytes()
    end = end_of_file_address(os.open(store_path, os.O_RDONLY))
    for position in range(end, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        store_path.write_bytes(damaged)
        with ImageStore(store_path) as store:
            assert contents(store) == IMAGES, position


def test_a_damaged_image_is_an_error_and_the_others_are_read(store_path):
    with ImageStore(store_path) as store:
        position = int(store.index.offset[0])
    data = bytearray(store_path.read_bytes())
    data[position] ^= 1
    store_path.write_bytes(data)
    with ImageStore(store_path) as store:
        with pytest.raises(StoreError, match="checksum"):
            store.read(0)
        assert all(store.read(i) for i in range(1, len(store)))


def test_adding_keeps_what_was_there_and_knows_it(store_path):
    with StoreWriter(store_path) as writer:
        for (label, member), data in IMAGES.items():
            assert not writer.add(image(label, member, data), data)
        assert writer.add(image("red", b"jpg/one.jpg", b"changed"), b"changed")
        writer.publish([HEURISTIC])
    with ImageStore(store_path) as store:
        assert len(store) == len(IMAGES) + 1
        assert sum(store.index.member(i) == b"jpg/one.jpg" for i in range(len(store))) == 2
        assert store.heuristics() == [HEURISTIC]


def test_nothing_new_leaves_the_file_alone(store_path):
    before = store_path.stat()
    with StoreWriter(store_path) as writer:
        writer.publish([HEURISTIC])
    after = store_path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_reader_of_the_old_file_goes_on(store_path):
    with ImageStore(store_path) as reader:
        write(store_path, {("red", b"late.jpg"): b"late"})
        assert contents(reader) == IMAGES
        assert not reader.changed()
    with ImageStore(store_path) as reader:
        assert len(reader) == len(IMAGES) + 1


def test_a_store_can_be_pickled_and_notices_that_it_was_replaced(store_path):
    with ImageStore(store_path) as store:
        pickled = pickle.dumps(store)
        assert contents(pickle.loads(pickled)) == IMAGES
        write(store_path, {("red", b"late.jpg"): b"late"})
        with pytest.raises(StoreError, match="replaced"):
            pickle.loads(pickled)


def test_what_hdf5_keeps_in_memory_holds_the_names_of_every_group(tmp_path):
    """Its blocks of names, as they stand in the file, are what is reckoned with."""
    path = tmp_path / "images.h5"
    names = [(f"c{i % 7 * i % 5}", b"%d/" % i + b"n" * (i * i % 90 + 1)) for i in range(600)]
    for some in (names[:5], names[5:60], names[60:]):
        write(path, {(label, name): b"%d" % i for i, (label, name) in enumerate(some)})
    data = path.read_bytes()
    found = [
        int.from_bytes(data[at.end() : at.end() + 8], "little") for at in re.finditer(b"HEAP\0{4}", data)
    ]
    root, *blocks = sorted(found)
    with h5py.File(path) as file, ImageStore(path) as store:
        begun = MetadataCache(file, store.index)
        grown = MetadataCache(file, None)
        for i in range(len(store)):
            label, _, name = store.path_of(i).partition("/")
            grown.add(label.encode(), name.encode())
        assert sorted(begun.blocks.values()) == sorted(grown.blocks.values()) == blocks
        needed = sum(blocks) + root
        assert needed < file.id.get_mdc_config().max_size < needed + (1 << 20)


def test_old_stores_are_read_and_added_to(tmp_path, old_store):
    with ImageStore(old_store) as store:
        before = {store.path_of(i): store.read(i) for i in range(len(store))}
    with StoreWriter(old_store) as writer:
        writer.add(image("red", b"new.jpg", b"new"), b"new")
        writer.publish([HEURISTIC])
    with ImageStore(old_store) as store:
        assert {store.path_of(i): store.read(i) for i in range(len(store))} == before | {
            "red/new.jpg": b"new"
        }


def test_the_tools_of_hdf5_accept_the_file(store_path):
    for tool in (["h5stat"], ["h5ls", "-r"], ["h5dump", "-H"]):
        done = subprocess.run([*tool, store_path], capture_output=True, timeout=30, check=True)
        assert b"error" not in (done.stdout + done.stderr).lower()


def test_what_is_no_store(tmp_path):
    (tmp_path / "text.h5").write_text("not HDF5")
    h5py.File(tmp_path / "empty.h5", "w").close()
    for name, words in {
        "none.h5": "no such file",
        "text.h5": "not an HDF5",
        "empty.h5": "holds no image",
        ".": "folder",
    }.items():
        with pytest.raises(UserError, match=words):
            ImageStore(tmp_path / name)


def test_globs(tmp_path, store_path):
    write(tmp_path / "other.h5", {("red", b"x.jpg"): b"x"})
    stores = open_stores([str(tmp_path / "*.h5")])
    assert [store.path.name for store in stores] == ["images.h5", "other.h5"]
    with pytest.raises(UserError, match="matches"):
        expand_paths([str(tmp_path / "*.hdf5")])


names = st.binary(min_size=1, max_size=400).filter(lambda name: b"\0" not in name)


@given(names)
def test_safe_names(member):
    name = safe_name(member)
    assert name not in (b"", b".", b"..") and b"/" not in name and len(name) <= LONGEST_NAME
    assert name == member or b"/" in member or member in (b".", b"..") or len(member) > LONGEST_NAME


@given(st.text(min_size=1, max_size=300).map(str.encode), st.integers(2, 10**6))
def test_numbered_names_are_utf8_within_the_limit(name, number):
    numbered_name = numbered(name.replace(b"/", b"_"), number)
    assert len(numbered_name) <= LONGEST_NAME and b"~%d" % number in numbered_name
    numbered_name.decode()


@given(
    st.dictionaries(
        st.tuples(st.sampled_from([b"red", b"blue", b"r"]), names), st.integers(0, 2**40), max_size=50
    )
)
def test_every_row_of_an_index_is_found(rows):
    builder = IndexBuilder()
    for (label, name), offset in rows.items():
        builder.add(ImageRecord(label=label, name=name, size=1, member=name, mtime=2, created=3), offset)
    built = builder.build()
    assert len(built) == len(rows)
    for (label, name), offset in rows.items():
        position = built.find(label, name)
        found = built.record(position)
        assert (found.label, found.name, built.offset[position], found.member) == (label, name, offset, name)
    assert built.find(b"none", b"x") == -1
    twice = IndexBuilder()
    twice.extend(built)
    again = twice.build()
    assert [again.record(i) for i in range(len(again))] == [built.record(i) for i in range(len(built))]
    assert again.offset.tolist() == built.offset.tolist()


@given(st.lists(st.tuples(names, st.integers(0, 2**40), st.booleans())), st.integers(0, 10**6))
def test_a_journal_is_read_up_to_where_it_breaks_off(tmp_path_factory, records, cut):
    path = tmp_path_factory.mktemp("journal") / "journal"
    ends = []
    with path.open("wb") as file:
        for name, offset, has_palette in records:
            journal.append(file, image("red", name, name, PALETTE if has_palette else None), offset)
            ends.append(file.tell())
    os.truncate(path, min(cut, path.stat().st_size))
    found = list(journal.read(path))
    assert len(found) == sum(end <= cut for end in ends)
    for (kept, at), (name, offset, has_palette) in zip(found, records, strict=False):
        assert (kept.member, at, kept.palette is not None) == (name, offset, has_palette)
