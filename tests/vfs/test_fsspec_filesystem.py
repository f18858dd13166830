"""Stores as a file system of fsspec: what Python programs and other libraries see."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import h5py
import numpy as np
import pytest

from imagestore import ImageStoreFileSystem
from imagestore.console import UserError
from imagestore.vfs.open_tree import open_tree
from tests.helpers.commands import ROOT
from tests.helpers.errors import assert_eio
from tests.helpers.odd_stores import CREATED, MODIFIED, make_indexed, make_odd, make_other, some_bytes

FIRST = "label0/image_0000.jpg"
SECONDS = 120


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A store as `sort` leaves it, and the bytes of each image in it, by path."""
    path = tmp_path_factory.mktemp("store") / "train.h5"
    return path, make_indexed(path)


@pytest.fixture
def fs(store: tuple[Path, dict[str, bytes]]) -> ImageStoreFileSystem:
    """The file system of that store."""
    return fsspec.filesystem("imagestore", fo=str(store[0]))


# ----- names -----


def test_the_root_and_a_folder_are_listed(fs, store):
    assert fs.ls("", detail=False) == fs.ls("/", detail=False) == ["label0", "label1", "label2"]
    assert {entry["type"] for entry in fs.ls("")} == {"directory"}
    names = fs.ls("label1", detail=False)
    assert names == sorted(name for name in store[1] if name.startswith("label1/"))
    assert [entry["size"] for entry in fs.ls("label1/")] == [len(store[1][name]) for name in names]


def test_info_tells_size_times_and_type(fs):
    info = fs.info(FIRST)
    assert (info["name"], info["size"], info["type"]) == (FIRST, 5000, "file")
    assert (info["mtime"], info["created"]) == (MODIFIED, CREATED)
    assert stat.S_ISREG(info["mode"]) and not info["mode"] & 0o222
    assert fs.modified(FIRST).timestamp() == MODIFIED
    assert fs.created(FIRST).timestamp() == CREATED
    assert fs.ls(FIRST) == [info]
    assert fs.isfile(FIRST) and fs.isdir("label0") and fs.isdir("")


def test_find_glob_walk_and_du_see_every_image(fs, store):
    assert sorted(fs.find("")) == sorted(store[1])
    assert fs.glob("*/image_000?.jpg") == sorted(name for name in store[1] if "_000" in name)
    assert sum(len(files) for _, _, files in fs.walk("")) == len(store[1])
    assert fs.du("") == sum(map(len, store[1].values()))


@pytest.mark.parametrize("path", ["nowhere", "label0/no.jpg", f"{FIRST}/below", "no/where"])
def test_a_path_that_leads_nowhere_is_not_found(fs, path):
    assert not fs.exists(path)
    for ask in (fs.info, fs.ls, fs.cat_file, fs.open):
        with pytest.raises(FileNotFoundError):
            ask(path)


def test_a_folder_has_no_bytes(fs):
    with pytest.raises(IsADirectoryError):
        fs.cat_file("label0")
    with pytest.raises(IsADirectoryError):
        fs.open("label0")


# ----- bytes -----


def test_cat_gives_all_bytes(fs, store):
    assert fs.cat("", recursive=True) == store[1]
    assert fs.cat([*store[1]]) == store[1]
    assert fs.cat(FIRST) == fs.cat_file(f"imagestore:///{FIRST}") == store[1][FIRST]
    assert fs.cat("label2/*") == {name: data for name, data in store[1].items() if name.startswith("label2")}


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 10), (10, 20), (None, 7), (4990, None), (-5, None), (0, -4990), (9999, None), (7, 3)],
)
def test_a_range_is_counted_as_in_a_slice(fs, store, start, end):
    assert fs.cat_file(FIRST, start, end) == store[1][FIRST][start:end]


def test_ranges_of_several_files_come_in_order(fs, store):
    paths = [FIRST, "label1/image_0001.jpg", FIRST, "nowhere"]
    *found, error = fs.cat_ranges(paths, [0, 5, -4, 0], [3, 9, None, 1])
    assert found == [store[1][FIRST][:3], store[1][paths[1]][5:9], store[1][FIRST][-4:]]
    assert isinstance(error, FileNotFoundError)
    assert fs.cat_ranges(paths[:2], 0, 4) == [store[1][path][:4] for path in paths[:2]]
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges(paths, 0, 4, on_error="raise")


def test_cat_omits_or_returns_errors_if_asked(fs, store):
    paths = [FIRST, "nowhere"]
    assert fs.cat(paths, on_error="omit") == {FIRST: store[1][FIRST]}
    assert isinstance(fs.cat(paths, on_error="return")["nowhere"], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        fs.cat(paths)


def test_an_open_file_can_seek(fs, store):
    with fs.open(FIRST) as file:
        assert file.read(4) == store[1][FIRST][:4]
        file.seek(-10, 2)
        assert file.read() == store[1][FIRST][-10:]
        assert (file.size, file.tell()) == (5000, 5000)
    with fs.open(FIRST, "r", encoding="latin-1") as text:
        assert text.read(3) == store[1][FIRST].decode("latin-1")[:3]


def test_no_byte_of_a_damaged_image_is_handed_out(tmp_path):
    contents = make_indexed(tmp_path / "store.h5")
    with open_tree([tmp_path / "store.h5"]) as tree:
        place = tree.data_offset(tree.find(f"/{FIRST}".encode()))
    with (tmp_path / "store.h5").open("r+b") as file:
        file.seek(place + 2000)
        file.write(b"\0\0\0\0")
    fs = ImageStoreFileSystem(tmp_path / "store.h5")
    for read in (
        lambda: fs.cat_file(FIRST),
        lambda: fs.cat_file(FIRST, 0, 1),
        lambda: fs.open(FIRST).read(1),
        lambda: fs.cat([FIRST, "label1/image_0001.jpg"]),
    ):
        assert_eio(read)
    assert fs.cat("label1/image_0001.jpg") == contents["label1/image_0001.jpg"]


def test_files_are_copied_out(fs, store, tmp_path):
    fs.get("label0", tmp_path, recursive=True)
    copies = {name: (tmp_path / name).read_bytes() for name in store[1] if name.startswith("label0/")}
    assert copies == {name: store[1][name] for name in copies}


# ----- stores of other kinds -----


def test_the_tree_is_that_of_a_mount(tmp_path):
    make_odd(tmp_path / "odd.h5")
    make_other(tmp_path / "other.h5")
    fs = ImageStoreFileSystem(tmp_path / "odd.h5")
    with open_tree([tmp_path / "odd.h5"]) as tree:
        files = {path.decode()[1:]: node for path, node in tree.walk() if node.is_file}
        assert files.keys() <= {*fs.find("")}
        for name, node in files.items():
            assert fs.info(name)["size"] == node.size
            if "outside" not in name and "virtual" not in name:  # whose bytes are in other files
                assert fs.cat_file(name) == tree.read(node)


def test_links_are_followed_and_walks_end(tmp_path):
    with h5py.File(tmp_path / "links.h5", "w") as file:
        file["images/1.jpg"] = np.frombuffer(some_bytes(1), np.uint8)
        file["red/1.jpg"] = h5py.SoftLink("/images/1.jpg")
        file["dark"] = h5py.SoftLink("/red")
        file["red/up"] = h5py.SoftLink("/")
        file["red/nowhere"] = h5py.SoftLink("/no/such")
        file["loop"] = h5py.SoftLink("/loop")
    fs = ImageStoreFileSystem(tmp_path / "links.h5")
    assert sorted(fs.find("")) == ["dark/1.jpg", "images/1.jpg", "red/1.jpg"]
    assert fs.info("red/1.jpg")["size"] == 5000
    assert fs.cat("", recursive=True) == dict.fromkeys(fs.find(""), some_bytes(1))
    assert fs.isdir("red/up") and fs.cat("red/up/dark/1.jpg") == some_bytes(1)
    types = {entry["name"]: entry["type"] for entry in fs.ls("red")}
    assert types == {"red/1.jpg": "file", "red/up": "other", "red/nowhere": "other"}
    assert not fs.exists("red/nowhere")
    with pytest.raises(OSError, match="symbolic links"):
        fs.info("loop")


def test_several_stores_are_one_tree(tmp_path):
    first, second = make_indexed(tmp_path / "a.h5", 6), make_indexed(tmp_path / "b.h5", 6, first=6)
    together = first | second
    for stores in ([tmp_path / "a.h5", str(tmp_path / "b.h5")], str(tmp_path / "?.h5")):
        assert ImageStoreFileSystem(stores).cat("", recursive=True) == together
    apart = ImageStoreFileSystem(tmp_path / "?.h5", side_by_side=True)
    assert apart.ls("", detail=False) == ["a", "b"]
    assert apart.cat(f"a/{FIRST}") == first[FIRST]


def test_an_empty_store_is_an_empty_folder(tmp_path):
    h5py.File(tmp_path / "empty.h5", "w").close()
    fs = ImageStoreFileSystem(tmp_path / "empty.h5")
    assert (fs.ls(""), fs.find(""), fs.glob("*")) == ([], [], [])


def test_what_is_no_store_is_told_in_one_line(tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(FileNotFoundError, match="no such store"):
        ImageStoreFileSystem(tmp_path / "missing.h5")
    with pytest.raises(UserError, match="HDF5"):
        ImageStoreFileSystem(tmp_path / "text.h5")
    with pytest.raises(UserError, match="matches"):
        ImageStoreFileSystem(tmp_path / "*.hdf5")
    for nothing in ("", []):
        with pytest.raises(ValueError, match="which store"):
            ImageStoreFileSystem(nothing)


# ----- URLs, copies and other states -----


def test_a_url_names_an_image_in_a_store(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(store[0], "train.h5")
    shutil.copy(store[0], "train")
    for url in (f"{FIRST}::train.h5", f"/{FIRST}::file://train", f"{FIRST}::file://{tmp_path}/train.h5"):
        with fsspec.open(f"imagestore://{url}") as file:
            assert file.read() == store[1][FIRST]
    files = fsspec.open_files("imagestore://label1/*.jpg::train.h5")
    assert [file.path for file in files] == sorted(name for name in store[1] if name.startswith("label1"))
    fs, path = fsspec.url_to_fs("imagestore://::train.h5")
    assert (len(fs.ls(path)), path) == (3, "")


def test_the_import_from_the_package_registers_the_name(store):
    program = (
        "import fsspec; from imagestore import ImageStoreFileSystem; "
        f"print(len(fsspec.open('imagestore://{FIRST}::{store[0]}').open().read()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "5000\n", done.stderr


def test_a_pickled_copy_finds_its_store_from_any_folder(store, tmp_path, monkeypatch):
    monkeypatch.chdir(store[0].parent)
    fs = ImageStoreFileSystem("train.h5")
    file = fs.open(FIRST)
    copies = pickle.dumps((fs, file))
    monkeypatch.chdir(tmp_path)
    copy, copied_file = pickle.loads(copies)
    assert copy.cat(FIRST) == copied_file.read() == store[1][FIRST]


def test_an_open_one_shows_its_store_and_a_new_one_the_next(tmp_path):
    path = tmp_path / "store.h5"
    before = make_indexed(path, 3)
    old = ImageStoreFileSystem(path)
    after = make_indexed(tmp_path / "next.h5", 6, first=10)
    os.replace(tmp_path / "next.h5", path)
    assert old.cat("", recursive=True) == before
    assert fsspec.filesystem("imagestore", fo=str(path)).cat("", recursive=True) == after


# ----- threads and processes -----


@pytest.mark.parametrize("indexed", [True, False])
def test_threads_read_at_the_same_time(store, tmp_path, indexed):
    path = shutil.copy(store[0], tmp_path / "store.h5")
    if not indexed:
        with h5py.File(path, "a") as file:
            file.attrs["edited"] = 1  # cuts the index off
    fs = ImageStoreFileSystem(path)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert dict(zip(store[1], pool.map(fs.cat_file, store[1]), strict=True)) == store[1]
        assert all(len(found) == 30 for found in pool.map(fs.find, [""] * 16))


@pytest.mark.parametrize("indexed", [True, False])
def test_it_is_usable_after_a_fork(store, tmp_path, indexed):
    path = shutil.copy(store[0], tmp_path / "store.h5")
    if not indexed:
        with h5py.File(path, "a") as file:
            file.attrs["edited"] = 1
    fs = ImageStoreFileSystem(path)
    assert fs.cat(FIRST) == store[1][FIRST]
    with fs._tree._lock:  # as if another thread were reading at the moment of the fork
        child = os.fork()
        if not child:
            signal.alarm(SECONDS)  # ends the child if it hangs
            os._exit(0 if fs.cat("label1", recursive=True) and fs.cat(FIRST) == store[1][FIRST] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert fs.cat("", recursive=True) == store[1]


# ----- writing -----


@pytest.mark.parametrize(
    "write",
    [
        lambda fs: fs.open(FIRST, "wb"),
        lambda fs: fs.open("new.txt", "w"),
        lambda fs: fs.open(FIRST, "ab"),
        lambda fs: fs.pipe(FIRST, b""),
        lambda fs: fs.pipe_file(FIRST, b""),
        lambda fs: fs.write_bytes(FIRST, b""),
        lambda fs: fs.touch("new.jpg"),
        lambda fs: fs.rm(FIRST),
        lambda fs: fs.rm_file(FIRST),
        lambda fs: fs.delete(FIRST),
        lambda fs: fs.mkdir("new"),
        lambda fs: fs.makedirs("new/deep", exist_ok=True),
        lambda fs: fs.rmdir("label0"),
        lambda fs: fs.mv(FIRST, "label1/x.jpg"),
        lambda fs: fs.cp(FIRST, "label1/x.jpg"),
        lambda fs: fs.put(__file__, "label1/"),
    ],
)
def test_writing_is_one_clear_error(fs, write):
    with pytest.raises(OSError, match="image stores are read-only here"):
        write(fs)


# ----- other libraries -----


def test_pyarrow_reads_through_it(fs, store):
    arrow = pytest.importorskip("pyarrow.fs")
    through = arrow.PyFileSystem(arrow.FSSpecHandler(fs))
    found = through.get_file_info(arrow.FileSelector("label0", recursive=True))
    assert sorted(info.path for info in found) == sorted(name for name in store[1] if "label0" in name)
    assert all(info.size == len(store[1][info.path]) for info in found)
    with through.open_input_file(FIRST) as file:
        assert file.read() == store[1][FIRST]
        assert file.read_at(5, 7) == store[1][FIRST][7:12]
    assert through.get_file_info("nowhere").type == arrow.FileType.NotFound


@pytest.mark.filterwarnings("ignore:UPath")  # it has no class of its own for this protocol
def test_universal_pathlib_walks_through_it(store):
    upath = pytest.importorskip("upath")
    root = upath.UPath("imagestore://", fo=str(store[0]))
    assert sorted(path.name for path in root.iterdir()) == ["label0", "label1", "label2"]
    image = root / "label0" / "image_0000.jpg"
    assert image.is_file() and image.read_bytes() == store[1][FIRST]
    assert len(list(root.glob("*/*.jpg"))) == len(store[1])
    assert not (root / "nowhere").exists()


def test_dask_reads_bytes_through_it(store):
    dask_bytes = pytest.importorskip("dask.bytes")
    import dask

    first, blocks = dask_bytes.read_bytes(f"imagestore://label0/*.jpg::{store[0]}", sample=16, blocksize=2000)
    paths = sorted(name for name in store[1] if name.startswith("label0/"))
    assert first == store[1][paths[0]][:16]
    read = [b"".join(dask.compute(*parts, scheduler="threads")) for parts in blocks]
    assert read == [store[1][path] for path in paths]
