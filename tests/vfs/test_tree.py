"""The tree: what any HDF5 file looks like as folders, files and links; nothing is mounted here."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagestore.console import UserError
from imagestore.hdf5 import helper_process
from imagestore.hdf5.objects import CHUNK_CACHE, Objects
from imagestore.vfs import names
from imagestore.vfs.indexed_source import IndexedSource
from imagestore.vfs.open import open_tree
from imagestore.vfs.tree import Tree
from tests.helpers.commands import ROOT
from tests.helpers.odd_stores import (
    CREATED,
    MODIFIED,
    ODD_NAMES,
    make_damaged,
    make_indexed,
    make_odd,
    make_other,
    some_bytes,
)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    path = tmp_path_factory.mktemp("odd") / "odd.h5"
    arrays = make_odd(path)
    make_other(path.with_name("other.h5"))
    with open_tree([path]) as tree:
        yield tree, arrays


@pytest.fixture
def indexed(tmp_path):
    path = tmp_path / "store.h5"
    contents = make_indexed(path)
    return path, contents


def contents_of(tree: Tree) -> dict[str, bytes]:
    return {os.fsdecode(path[1:]): tree.read(node) for path, node in tree.walk() if node.is_file}


def assert_eio(action) -> None:
    with pytest.raises(OSError) as raised:
        action()
    assert raised.value.errno == errno.EIO


# ----- any HDF5 file -----


@pytest.mark.parametrize(
    "name", ["plain", "chunked", "gzip", "lzf", "checksummed", "grown", "inside", "deeper/still/deep"]
)
def test_files_are_their_bytes_whatever_their_layout(odd, name):
    tree, _ = odd
    node = tree.find(f"/files/{name}.jpg".encode())
    assert node.is_file
    assert node.size == 5000
    assert tree.read(node) == some_bytes(1)
    assert tree.read(node, 4990, 100) == some_bytes(1)[4990:]
    assert tree.read(node, 6000, 10) == b""


def test_an_empty_file(odd):
    tree, _ = odd
    node = tree.find(b"/files/empty.jpg")
    assert (node.size, node.blocks, tree.read(node)) == (0, 0, b"")


@pytest.fixture
def packed_by_a_plugin(tmp_path: Path) -> Path:
    """A store whose images are compressed with blosc and zstd."""
    path = tmp_path / "plugin.h5"
    with h5py.File(path, "w") as file:
        data = np.frombuffer(some_bytes(1), np.uint8)
        file.create_dataset("a/blosc", data=data, **hdf5plugin.Blosc())
        file.create_dataset("a/zstd", data=data, **hdf5plugin.Zstd())
    return path


@pytest.mark.parametrize("name", ["blosc", "zstd"])
def test_what_hdf5plugin_can_decompress_is_shown(run, packed_by_a_plugin, name):
    done = run("h5vfs.py", "unpack", packed_by_a_plugin, "out")
    assert (packed_by_a_plugin.parent / "out/a" / name).read_bytes() == some_bytes(1), done.stderr
    read = "import sys; from imagestore.store.reader import ImageStore; s = ImageStore(sys.argv[1]); " + (
        f"sys.stdout.buffer.write(s.read(s.find('a/{name}')))"
    )
    done = subprocess.run([sys.executable, "-c", read, packed_by_a_plugin], capture_output=True, cwd=ROOT)
    assert done.stdout == some_bytes(1), done.stderr


def test_a_filter_that_is_missing_is_named(run, packed_by_a_plugin, tmp_path):
    (tmp_path / "hdf5plugin.py").write_text("raise ImportError")
    without = {"PYTHONPATH": str(tmp_path)}
    done = run("h5vfs.py", "cat", packed_by_a_plugin, "a/zstd", env=without, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "32015): pip install hdf5plugin" in done.stderr and done.stderr.count("\n") == 1


def test_a_compressed_image_beside_others_that_were_added(run, sample, tmp_path):
    data = np.frombuffer(some_bytes(1), np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("red/first.jpg", data=data, compression="gzip")
    run("colourHeuristic.py", "sort", sample, "a.h5", 5, 1)
    run("h5vfs.py", "unpack", "a.h5", "out")
    assert (tmp_path / "out/red/first.jpg").read_bytes() == some_bytes(1)
    assert sum(path.is_file() for path in (tmp_path / "out").rglob("*")) == 6


def test_arrays_are_numpy_files(odd):
    tree, arrays = odd
    for name, array in arrays.items():
        if name.startswith("arrays/"):
            loaded = np.load(io.BytesIO(tree.read(tree.find(f"/{name}.npy".encode()))))
            assert loaded.dtype == array.dtype, name
            np.testing.assert_array_equal(loaded, array)


def test_what_numpy_has_no_type_for_is_text(odd):
    tree, _ = odd
    load = lambda name: np.load(io.BytesIO(tree.read(tree.find(b"/arrays/" + name)))).tolist()  # noqa: E731
    assert load(b"texts.npy") == [b"one", b"three", b""]
    assert load(b"ragged.npy") == [b"[0, 1]", b"[0, 1, 2]"]
    assert load(b"nothing.npy") == []


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_piece_of_an_array_is_that_piece_of_the_whole(odd, data):
    tree, arrays = odd
    node = tree.find(f"/{data.draw(st.sampled_from(sorted(set(arrays) - {'shadow/x'})))}.npy".encode())
    objects = tree.sources[0].helper
    offset, size = data.draw(st.integers(0, node.size + 9)), data.draw(st.integers(0, 3000))
    whole = tree.read(node)
    assert len(whole) == node.size
    assert tree.read(node, offset, size) == whole[offset : offset + size]
    assert objects.read(node.key.path, offset, size) == whole[offset : offset + size]


def test_an_array_larger_than_memory_is_read_where_it_is_looked_at(tmp_path):
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        large = file.create_dataset("large", (1 << 21, 1 << 20), "u2", chunks=(1, 1 << 16), fillvalue=7)
        large[1 << 20, 5] = 9
    with open_tree([path]) as tree:
        node = tree.find(b"/large.npy")
        assert node.size > 1 << 42
        assert node.blocks * 512 < 1 << 20
        header = node.size - (1 << 42)
        at = header + ((1 << 40) + 5) * 2
        assert np.frombuffer(tree.read(node, at - 2, 6), "<u2").tolist() == [7, 9, 7]


def test_a_chunk_larger_than_the_cache_is_decompressed_once(tmp_path):
    path = tmp_path / "chunk.h5"
    large = CHUNK_CACHE + 4096
    with h5py.File(path, "w") as file:
        one = file.create_dataset("one", (large,), np.uint8, chunks=(large,), compression=1, fillvalue=1)
        one[0] = 2
    with path.open("rb") as file:
        objects = Objects(file.fileno(), path, False)
        assert objects.read(b"one", 0, 3) == b"\2\1\1"
        _, kept, _ = objects._open[b"one"].dataset.get_access_plist().get_chunk_cache()
    assert kept >= large


def test_texts_too_long_for_one_file_cost_only_themselves(tmp_path):
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w") as file:
        texts = file.create_dataset("label/texts", (100_000,), h5py.string_dtype())
        texts[0] = "x" * (1 << 20)  # as one NumPy type they would be 100 GB
        file["label/plain.jpg"] = np.frombuffer(some_bytes(1), np.uint8)
    with open_tree([path]) as tree:
        assert [name for name, _ in tree.children(tree.find(b"/label"))] == [b"plain.jpg", b"texts"]
        assert tree.read(tree.find(b"/label/plain.jpg")) == some_bytes(1)
        assert_eio(lambda: tree.find(b"/label/texts"))


def test_a_long_listing_is_not_taken_for_silence(tmp_path, monkeypatch):
    """Each of the texts must be read to know its size: longer than the limit in all, not each."""
    monkeypatch.setattr(helper_process, "SECONDS_TO_ANSWER", 1.0)
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w") as file:
        first = file.create_dataset("label/0000", data=["text"] * 50_000)
        for i in range(1, 100):
            file[f"label/{i:04d}"] = first
    with open_tree([path]) as tree:
        assert len(list(tree.children(tree.find(b"/label")))) == 100


def test_a_generated_name_never_hides_a_real_one(odd):
    tree, arrays = odd
    shown = dict(tree.children(tree.find(b"/shadow")))
    assert sorted(shown) == [b"x%~.npy", b"x.npy"]
    assert tree.read(shown[b"x.npy"]) == some_bytes(1)
    np.testing.assert_array_equal(np.load(io.BytesIO(tree.read(shown[b"x%~.npy"]))), arrays["shadow/x"])


def test_names_that_no_file_system_holds(odd):
    tree, _ = odd
    shown = dict(tree.children(tree.find(b"/names")))
    assert sorted(shown) == sorted(map(names.escape, ODD_NAMES))
    for name, node in shown.items():
        assert tree.read(tree.find(b"/names/" + name)) == some_bytes(1)
        assert tree.link_name(node).removeprefix(b"names/") in ODD_NAMES


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("absolute", "../files/plain.jpg"),
        ("relative", "inside/one.jpg"),
        ("to_array", "../arrays/matrix.npy"),
        ("to_link_to_array", "to_array"),
        ("to_shadowed", "../shadow/x%~.npy"),
        ("dangling", "../nowhere/at/all"),
        ("to_root", ".."),
        ("upwards", "../%2E./%2E./%2E./etc/passwd"),
        ("inside/parent", ".."),
        ("inside/top", "../.."),
    ],
)
def test_links_are_relative_and_stay_within(odd, link, target):
    tree, _ = odd
    node = tree.find(f"/links/{link}".encode())
    assert node.is_symlink
    assert tree.target(node, f"/links/{link}".encode()) == target.encode()
    assert node.size == len(target)


def test_hard_links_share_an_inode(odd):
    tree, _ = odd
    one, other = tree.find(b"/files/plain.jpg"), tree.find(b"/links/hard.jpg")
    assert one.ino == other.ino
    assert one.nlink == other.nlink == 2
    assert tree.find(b"/twice").ino == tree.find(b"/files/deeper").ino
    numbers = [node.ino for path, node in tree.walk() if node.nlink == 1 and not path.startswith(b"/twice")]
    assert len(set(numbers)) == len(numbers)


def test_external_links_are_followed_only_when_asked(odd):
    tree, _ = odd
    node = tree.find(b"/links/external")
    assert node.is_symlink
    assert tree.target(node, b"/links/external") == b"%external:other.h5:%2Ffar"
    for outside in (b"/files/outside.jpg", b"/files/virtual.jpg"):
        with pytest.raises(OSError, match="another file"):
            tree.read(tree.find(outside))
    with open_tree(tree.files, follow_external=True) as following:
        assert following.read(following.find(b"/links/external/away.jpg")) == some_bytes(3)
        assert following.read(following.find(b"/files/outside.jpg")) == some_bytes(1)
        assert following.read(following.find(b"/files/virtual.jpg")) == some_bytes(3)
        texts = following.read(following.find(b"/arrays/virtual_texts.npy"))
        assert np.load(io.BytesIO(texts)).tolist() == [b"far", b"away"]
    assert_eio(lambda: tree.find(b"/arrays/virtual_texts"))


def test_attributes_are_text_or_json(odd):
    tree, _ = odd
    attributes = tree.attributes(tree.root)
    assert attributes["title"] == "Blümen".encode()
    assert json.loads(attributes["numbers"]) == [1, 2, 3]
    assert json.loads(attributes["half"]) == 0.5
    assert json.loads(attributes["words"]) == ["a", "b"]
    assert json.loads(tree.attributes(tree.find(b"/files/plain.jpg"))["palette"]) == [[0.5, 1.0]]


def test_times_and_modes_are_kept_or_the_files_own(odd):
    tree, _ = odd
    kept, other = tree.find(b"/files/plain.jpg"), tree.find(b"/files/gzip.jpg")
    file = tree.files[0].stat()
    assert (kept.mtime_ns, kept.ctime_ns) == (MODIFIED * 10**9, CREATED * 10**9)
    assert (other.mtime_ns, other.ctime_ns) == (file.st_mtime_ns, file.st_ctime_ns)
    assert stat.S_IMODE(kept.mode) == 0o751 & 0o555 & ~0o222
    assert stat.S_IMODE(other.mode) == file.st_mode & 0o444


@pytest.mark.parametrize(
    ("mode", "file", "kept", "folder"), [(0o600, 0o400, 0o500, 0o500), (0o640, 0o440, 0o550, 0o550)]
)
def test_nothing_is_granted_that_the_store_file_does_not_grant(tmp_path, mode, file, kept, folder):
    path = tmp_path / "private.h5"
    make_odd(path)
    path.chmod(mode)
    with open_tree([path]) as tree:
        modes = [
            stat.S_IMODE(tree.find(p).mode) for p in (b"/files/gzip.jpg", b"/files/plain.jpg", b"/links")
        ]
    assert modes == [file, kept, folder]


def test_inode_numbers_are_the_same_next_time(odd):
    tree, _ = odd
    with open_tree(tree.files) as again:
        assert [(p, n.ino) for p, n in again.walk()] == [(p, n.ino) for p, n in tree.walk()]


# ----- stores with an index -----


def test_an_index_shows_what_hdf5_shows(indexed):
    path, contents = indexed
    seen = []
    for use_index in (True, False):
        with open_tree([path], use_index=use_index) as tree:
            assert isinstance(tree.sources[0], IndexedSource) == use_index
            assert contents_of(tree) == contents
            seen.append([(p, n.mode, n.size, n.blocks, n.mtime_ns, n.ctime_ns) for p, n in tree.walk()])
            assert tree.usage() == (path.stat().st_size, len(contents))
            assert tree.attributes(tree.find(b"/label0/image_0000.jpg"))["member"] == b"jpg/image_0000.jpg"
    assert seen[0] == seen[1]


def test_what_an_index_does_not_know_is_shown_all_the_same(tmp_path):
    path = tmp_path / "odd.h5"
    make_odd(path)
    make_indexed(path)  # adds images, and leaves an index of these and those that were there
    with open_tree([path]) as tree:
        for name in (b"/label0/image_0000.jpg", b"/files/gzip.jpg", b"/arrays/cube.npy", b"/links/absolute"):
            assert tree.find(name)


def test_looking_up_by_bisection_finds_the_same(indexed, monkeypatch):
    path, contents = indexed
    monkeypatch.setattr("imagestore.vfs.indexed_source.MOST_NAMES", 0)
    with open_tree([path]) as tree:
        for name in contents:
            assert tree.read(tree.find(f"/{name}".encode())) == contents[name]
        for missing in (b"/label0/image", b"/label0/zzz", b"/nowhere", b"/label0/image_0000.jpg/x"):
            with pytest.raises(KeyError):
                tree.find(missing)


def test_remembering_few_paths_changes_nothing(indexed, monkeypatch):
    path, contents = indexed
    monkeypatch.setattr("imagestore.vfs.tree.MOST_FOUND", 5)
    with open_tree([path]) as tree:
        assert {name: tree.read(tree.find(f"/{name}".encode())) for name in contents} == contents


def test_a_flipped_bit_costs_that_image_only(indexed):
    path, contents = indexed
    with open_tree([path]) as tree:
        node = tree.find(b"/label1/image_0001.jpg")
        at = int(tree.sources[0].offset[node.key]) + 100
        with path.open("r+b") as file:
            file.seek(at)
            file.write(bytes([contents["label1/image_0001.jpg"][100] ^ 1]))
        assert_eio(lambda: tree.read(node, 4000, 10))
        others = {p: n for p, n in tree.walk() if n.is_file and n.ino != node.ino}
        assert {os.fsdecode(p[1:]): tree.read(n) for p, n in others.items()} == {
            name: data for name, data in contents.items() if name != "label1/image_0001.jpg"
        }


def test_a_store_cut_short_in_use_costs_what_was_behind_the_cut(indexed):
    path, contents = indexed
    with open_tree([path]) as tree:
        nodes = {os.fsdecode(p[1:]): n for p, n in tree.walk() if n.is_file}
        offsets = {name: int(tree.sources[0].offset[node.key]) for name, node in nodes.items()}
        cut = sorted(offsets.values())[len(offsets) // 2]
        os.truncate(path, cut)
        for name, node in nodes.items():
            if offsets[name] < cut:
                assert tree.read(node) == contents[name]
            else:
                assert_eio(lambda node=node: tree.read(node))


def test_a_file_changed_in_place_gives_no_bytes(tmp_path):
    path = tmp_path / "odd.h5"
    make_odd(path)
    with open_tree([path]) as tree:
        contiguous, compressed = tree.find(b"/files/plain.jpg"), tree.find(b"/files/gzip.jpg")
        assert tree.read(compressed, 0, 10)
        with h5py.File(path, "a") as file:
            del file["files/plain.jpg"]
            file["files/new.jpg"] = np.frombuffer(some_bytes(9), np.uint8)
        assert_eio(lambda: tree.read(contiguous))
        assert_eio(lambda: tree.read(compressed))


def test_adding_to_an_indexed_store_in_place_leaves_its_images(indexed):
    path, contents = indexed
    with open_tree([path]) as tree:
        with h5py.File(path, "a") as file:
            file["label0/new.jpg"] = np.frombuffer(some_bytes(9), np.uint8)
        assert contents_of(tree) == contents


# ----- several stores -----


def test_stores_are_merged_and_nothing_is_hidden(tmp_path):
    first = make_indexed(tmp_path / "a.h5", 6)
    second = make_indexed(tmp_path / "b.h5", 6, first=3, size=700)
    with open_tree([tmp_path / "a.h5", tmp_path / "b.h5"]) as tree:
        merged = contents_of(tree)
        inodes = [node.ino for _, node in tree.walk()]
    both = first.keys() & second.keys()
    renamed = {
        name.replace(".jpg", "%~2.jpg") if name in both else name: data for name, data in second.items()
    }
    assert len(both) == 3
    assert merged == first | renamed
    assert len(set(inodes)) == len(inodes)


def test_a_link_leads_to_the_file_of_its_own_store(run, tmp_path):
    for number in (1, 2):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["red/same.jpg"] = np.array([number], np.uint8)
            file["red/same"] = np.arange(number)
            file[f"red/near{number}"] = h5py.SoftLink("same.jpg")
            file[f"%41/odd{number}"] = h5py.SoftLink("/red/same.jpg")
            file[f"blue/far{number}"] = h5py.SoftLink("/red/same.jpg")
            file[f"blue/array{number}"] = h5py.SoftLink("/red/same")
            file[f"again{number}"] = h5py.SoftLink(f"blue/far{number}")
            # A file in the first store, a folder in the second.
            file["mixed" if number == 1 else "mixed/deep"] = np.array([number], np.uint8)
            file[f"blue/mixed{number}"] = h5py.SoftLink("/mixed" if number == 1 else "/mixed/deep")
    with open_tree([tmp_path / "1.h5", tmp_path / "2.h5"]) as tree:
        targets = {
            path: tree.target(tree.find(path), path) for path in (b"/red/near1", b"/red/near2", b"/blue/far2")
        }
    assert targets == {
        b"/red/near1": b"same.jpg", b"/red/near2": b"same%~2.jpg", b"/blue/far2": b"../red/same%~2.jpg",
    }  # fmt: skip
    run("h5vfs.py", "unpack", "1.h5", "2.h5", "out")
    for number in (1, 2):
        for name in ("red/near", "%41/odd", "blue/far", "blue/mixed", "again"):
            assert (tmp_path / f"out/{name}{number}").read_bytes() == bytes([number])
        assert len(np.load(tmp_path / f"out/blue/array{number}")) == number


def test_a_damaged_file_among_those_of_several_stores_is_an_error(tmp_path):
    make_damaged(tmp_path / "a.h5", ["label/good"], ["label/bad"])
    make_damaged(tmp_path / "b.h5", ["label/other"], [])
    with open_tree([tmp_path / "a.h5", tmp_path / "b.h5"]) as tree:
        assert_eio(lambda: tree.find(b"/label/bad"))
        for name in (b"/label/good", b"/label/other"):
            assert tree.read(tree.find(name)) == some_bytes(1)


def test_stores_stand_side_by_side(tmp_path):
    first, second = make_indexed(tmp_path / "a.h5", 6), make_indexed(tmp_path / "b.h5", 6, first=3)
    with open_tree([str(tmp_path / "*.h5")], side_by_side=True) as tree:
        both = {f"a/{name}": data for name, data in first.items()}
        assert contents_of(tree) == both | {f"b/{name}": data for name, data in second.items()}
        assert tree.usage().images == 12


# ----- HDF5 behind its boundary -----


def test_a_crash_of_hdf5_costs_one_question(tmp_path):
    path = tmp_path / "odd.h5"
    make_odd(path)
    with open_tree([path]) as tree:
        node = tree.find(b"/files/gzip.jpg")
        os.kill(tree.sources[0].helper._pid, signal.SIGKILL)
        assert_eio(lambda: tree.read(node))
        assert tree.read(node) == some_bytes(1)


def test_hdf5_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    path = tmp_path / "odd.h5"
    make_odd(path)
    with open_tree([path]) as tree:
        node = tree.find(b"/files/gzip.jpg")
        os.kill(tree.sources[0].helper._pid, signal.SIGSTOP)
        monkeypatch.setattr(helper_process, "SECONDS_TO_ANSWER", 0.3)
        assert_eio(lambda: tree.read(node))
        monkeypatch.undo()
        assert tree.read(node) == some_bytes(1)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "not an HDF5 file"), (b"no HDF5 here" * 100, "not an HDF5 file"), (None, "no such file")],
)
def test_what_is_no_store_is_said_in_one_line(tmp_path, content, says):
    path = tmp_path / "bad.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=says):
        open_tree([path])


def test_a_store_cut_short_before_is_said_so(tmp_path):
    path = tmp_path / "odd.h5"
    make_odd(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(UserError, match="cut short"):
        open_tree([path])


def damaged_copies(path: Path, intact: bytes, count: int, first: int):
    """Copies of a store with a few random bytes changed; yields which seed made each."""
    for seed in range(first, first + count):
        random = np.random.default_rng(seed)
        data = bytearray(intact)
        for at in random.integers(0, len(data), random.integers(1, 20)):
            data[at] = random.integers(0, 256)
        path.write_bytes(data)
        yield seed


@pytest.mark.parametrize("make", [make_indexed, make_odd])
def test_damaged_stores_give_errors_or_the_right_bytes(tmp_path, make, monkeypatch):
    """Bytes flipped anywhere: whatever is still shown of an image that the index vouches for is right."""
    monkeypatch.setattr(helper_process, "SECONDS_TO_ANSWER", 5)
    path = tmp_path / "store.h5"
    contents = make(path)
    count, first = int(os.environ.get("FUZZED_STORES", "200")) // 2, int(os.environ.get("FUZZ_SEED", "0"))
    for seed in damaged_copies(path, path.read_bytes(), count, first):
        try:
            tree = open_tree([path])
        except UserError:
            continue
        with tree:
            vouched = isinstance(tree.sources[0], IndexedSource)
            for name, data in read_all(tree).items():
                assert not vouched or contents[name] == data, f"seed {seed}: {name}"


def read_all(tree: Tree) -> dict[str, bytes]:
    """Everything that can be read; errors may only be OSErrors."""
    found, waiting = {}, [(b"", tree.root)]
    while waiting:
        prefix, folder = waiting.pop()
        try:
            children = list(tree.children(folder))
        except OSError:
            continue
        for name, node in children:
            path = prefix + b"/" + name
            try:
                if node.is_file and node.size < 1 << 24:
                    found[os.fsdecode(path[1:])] = tree.read(node)
                    tree.attributes(node)
            except OSError:
                continue
            if node.is_folder and path.count(b"/") < 8:
                waiting.append((path, node))
    return found
