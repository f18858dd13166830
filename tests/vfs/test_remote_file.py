"""Stores behind another file system of fsspec: only what is asked for is fetched."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import fsspec
import h5py
import numpy as np
import pytest

from imagestore import ImageStoreFileSystem
from imagestore.console import UserError
from tests.helpers.errors import assert_eio
from tests.helpers.odd_stores import make_indexed
from tests.helpers.web_server import web_server

FIRST = "label0/image_0000.jpg"
SECONDS = 120
IMAGES, SIZE = 60, 20_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A store of 1.2 MB, and the bytes of each image in it, by path."""
    path = tmp_path_factory.mktemp("store") / "train.h5"
    return path, make_indexed(path, IMAGES, size=SIZE)


@pytest.fixture
def memory(store: tuple[Path, dict[str, bytes]]) -> Iterator[fsspec.AbstractFileSystem]:
    """fsspec's file system in memory, with the store at /data/train.h5."""
    memory = fsspec.filesystem("memory")
    memory.pipe("/data/train.h5", store[0].read_bytes())
    yield memory
    memory.store.clear()


@pytest.mark.parametrize(
    "arguments",
    [
        {"fo": "memory://data/train.h5"},
        {"fo": "/data/train.h5", "target_protocol": "memory"},
        {"fo": ["/data/train.h5"], "target_protocol": "memory", "target_options": {}},
        {"fo": "memory://data/*.h5"},
        {"fo": "simplecache::memory://data/train.h5"},
    ],
)
def test_a_store_elsewhere_is_the_same_file_system(memory, store, arguments):
    there, here = ImageStoreFileSystem(**arguments), ImageStoreFileSystem(store[0])
    assert there.cat("", recursive=True) == store[1]
    assert there.find("", detail=True) == here.find("", detail=True)
    assert there.cat_file(FIRST, 3, 9) == store[1][FIRST][3:9]
    assert there.open(FIRST).read() == store[1][FIRST]
    assert there.cat_ranges([FIRST, FIRST], [0, 2], [2, None]) == [store[1][FIRST][:2], store[1][FIRST][2:]]


def test_a_url_leads_through_the_other_file_system(memory, store):
    for url in ("memory://data/train.h5", "simplecache::memory://data/train.h5"):
        assert fsspec.open(f"imagestore://{FIRST}::{url}").open().read() == store[1][FIRST]


def test_several_stores_elsewhere_are_one_tree(memory, store, tmp_path):
    more = make_indexed(tmp_path / "more.h5", 6, first=IMAGES)
    memory.pipe("/data/zmore.h5", (tmp_path / "more.h5").read_bytes())
    assert ImageStoreFileSystem("memory://data/*.h5").cat("", recursive=True) == store[1] | more
    with pytest.raises(ValueError, match="both in one tree"):
        ImageStoreFileSystem([str(store[0]), "memory://data/train.h5"])


def test_only_the_index_and_the_wanted_bytes_are_fetched(store):
    pytest.importorskip("aiohttp")
    with web_server(store[0].parent) as server:
        fs = ImageStoreFileSystem(f"{server.address}/train.h5")
        names = fs.find("")
        assert sorted(names) == sorted(store[1])
        assert sum(server.sent) < 70_000 < store[0].stat().st_size / 10
        server.sent.clear()
        assert fs.cat(names[:5]) == {name: store[1][name] for name in names[:5]}
        assert sorted(server.sent) == sorted(len(store[1][name]) for name in names[:5])
        assert (
            fsspec.open(f"imagestore://{FIRST}::{server.address}/train.h5").open().read() == store[1][FIRST]
        )
        child = os.fork()  # the event loop of the other file system does not survive it
        if not child:
            signal.alarm(SECONDS)  # ends the child if it hangs
            os._exit(0 if fs.cat_file(FIRST) == store[1][FIRST] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_long_index_is_fetched_whole(memory, tmp_path):
    contents = make_indexed(tmp_path / "many.h5", 1500, size=0)  # 150 KB of index
    memory.pipe("/data/many.h5", (tmp_path / "many.h5").read_bytes())
    assert ImageStoreFileSystem("memory://data/many.h5").cat("", recursive=True) == contents


def test_a_server_without_ranges_is_told(store):
    pytest.importorskip("aiohttp")
    with (
        web_server(store[0].parent, ranges=False) as server,
        pytest.raises(OSError, match=r"no ranges of it.*http://127"),
    ):
        ImageStoreFileSystem(f"{server.address}/train.h5")


def test_a_pickled_copy_reads_there_too(memory, store):
    copy = pickle.loads(pickle.dumps(ImageStoreFileSystem("memory://data/train.h5")))
    assert copy.cat(FIRST) == store[1][FIRST]


def test_what_cannot_be_read_by_ranges_is_told(memory, store, tmp_path):
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file["d._red/1.jpg"] = np.zeros(9, np.uint8)
    edited = shutil.copy(store[0], tmp_path / "edited.h5")
    with h5py.File(edited, "a") as file:
        file["new/1.jpg"] = np.zeros(9, np.uint8)
    contents = {"old": (tmp_path / "old.h5").read_bytes(), "edited": Path(edited).read_bytes()}
    contents |= {"text": b"no HDF5" * 1000, "empty": b"", "cut": store[0].read_bytes()[:-1]}
    damaged = bytearray(store[0].read_bytes())
    damaged[-3000] ^= 1
    contents["damaged"] = bytes(damaged)
    says = {"text": "is no HDF5 file", "empty": "is no HDF5 file", "damaged": "index is damaged"}
    for name, data in contents.items():
        memory.pipe(f"/data/{name}.h5", data)
        with pytest.raises(UserError, match=f"{name}.h5: .*{says.get(name, 'holds no index')}"):
            ImageStoreFileSystem(f"memory://data/{name}.h5")
    assert ImageStoreFileSystem("simplecache::memory://data/old.h5").find("") == ["d._red/1.jpg"]
    with pytest.raises(FileNotFoundError):
        ImageStoreFileSystem("memory://data/missing.h5")
    with pytest.raises(FileNotFoundError, match="no file matches"):
        ImageStoreFileSystem("memory://nowhere/*.h5")


def test_bytes_that_are_not_those_of_the_index_are_refused(memory, store):
    fs = ImageStoreFileSystem("memory://data/train.h5")
    other = bytearray(store[0].read_bytes())
    other[len(other) // 2] ^= 1
    memory.pipe("/data/train.h5", bytes(other))
    found = fs.cat([*store[1]], on_error="return")
    assert [name for name, data in found.items() if data != store[1][name]] != []
    damaged = next(name for name, data in found.items() if isinstance(data, OSError))
    assert_eio(lambda: fs.cat_file(damaged))
    assert_eio(lambda: fs.cat_file(damaged, 0, 1))
    memory.pipe("/data/train.h5", bytes(other[:100]))
    assert_eio(lambda: fs.cat_file(FIRST))
