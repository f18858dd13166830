"""Opening stores by paths and globs."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.console import UserError
from imagestore.store.expand_paths import expand_paths
from imagestore.store.open_stores import open_stores
from imagestore.store.reader import StoreError
from tests.helpers.commands import ROOT
from tests.helpers.descriptors import open_descriptors
from tests.helpers.many_stores import few_descriptors, make_many_stores, run_with_few_descriptors
from tests.helpers.odd_stores import some_bytes
from tests.helpers.written_stores import IMAGES, write_store


def test_a_glob_opens_all_stores_that_match(tmp_path, store_path):
    write_store(tmp_path / "other.h5", {("red", b"x.jpg"): b"x"})
    stores = open_stores([str(tmp_path / "*.h5")])
    assert [store.path.name for store in stores] == ["images.h5", "other.h5"]
    assert all(store.read(0) for store in stores)
    for store in stores:
        store.close()


def test_a_glob_that_matches_nothing_is_an_error(tmp_path):
    with pytest.raises(UserError, match="matches"):
        expand_paths([str(tmp_path / "*.hdf5")])


def test_a_path_is_taken_once(tmp_path, store_path):
    assert expand_paths([store_path, str(tmp_path / "*.h5"), store_path]) == [store_path]


def test_an_existing_file_with_glob_characters_is_itself(tmp_path):
    odd, other = tmp_path / "[ab]*.h5", tmp_path / "a.h5"
    odd.touch()
    other.touch()
    assert expand_paths([odd]) == [odd]


def test_a_path_without_a_file_is_left_to_the_opening():
    assert expand_paths(["none.h5"]) == [Path("none.h5")]


def test_the_home_folder_is_found_in_a_glob(tmp_path, store_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_paths(["~/*.h5"]) == [store_path]


def test_if_one_store_is_refused_none_stays_open(tmp_path, store_path):
    (tmp_path / "text.h5").write_text("not HDF5")
    before = open_descriptors()
    with pytest.raises(UserError, match=r"text\.h5"):
        open_stores([store_path, tmp_path / "text.h5"])
    assert open_descriptors() <= before


# ----- more stores than may be open at once -----


@pytest.fixture(params=["indexed", "compressed"])
def many(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A glob of 100 stores with one image each, whose bytes are those of its number."""
    for number in range(100):
        path, data = tmp_path / f"many-{number:03d}.h5", some_bytes(number, 500)
        if request.param == "indexed":
            write_store(path, {("red", b"%d.jpg" % number): data})
        else:
            with h5py.File(path, "w") as file:
                values = np.frombuffer(data, np.uint8)
                file.create_dataset(f"red/{number}.jpg", data=values, chunks=(100,), compression="gzip")
    return str(tmp_path / "many-*.h5")


def descriptors() -> int:
    return len(open_descriptors())


def test_more_stores_than_may_be_open_are_read(many):
    before = open_descriptors()
    with few_descriptors(descriptors() + 50):
        stores = open_stores([many])
        for _ in range(2):
            for number in np.random.default_rng(1).permutation(100).tolist():
                assert stores[number].read(0) == some_bytes(number, 500)
        copies = pickle.loads(pickle.dumps(stores))
        assert [copy.read(0) for copy in copies] == [some_bytes(number, 500) for number in range(100)]
    for store in stores + copies:
        store.close()
    assert open_descriptors() <= before


def test_all_stores_stay_open_where_they_may(many):
    before = open_descriptors()
    stores = open_stores([many])
    assert len(open_descriptors() - before) >= 100
    for store in stores:
        store.close()


@pytest.mark.parametrize("change", ["removed", "replaced", "written to"])
def test_a_store_that_changed_while_it_was_closed_is_refused(many, change):
    with few_descriptors(descriptors() + 50):
        stores = open_stores([many])
        path = stores[7].path
        if change == "removed":
            path.unlink()
        elif change == "replaced":
            shutil.copy(stores[8].path, path.with_name("new"))
            path.with_name("new").replace(path)
        else:
            with path.open("ab") as file:
                file.write(b"more")
        with pytest.raises(
            StoreError, match="no such file" if change == "removed" else "replaced or changed"
        ):
            stores[7].read(0)
        assert stores[8].read(0) == some_bytes(8, 500)
        for store in stores:
            store.close()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["colourHeuristic.py", "summary", "{}"], "{count}  100.0%"),
        (["colourHeuristic.py", "merge", "all.h5", "{}"], "{count} images under 1 label"),
        (["h5vfs.py", "unpack", "{}", "out"], "unpacked {count} files"),
        (["h5vfs.py", "{}", "mnt", "--", "sh", "-c", "cat mnt/*/* | wc -c"], "{bytes}"),
    ],
    ids=lambda value: value[1] if isinstance(value, list) else "",
)
def test_commands_take_more_stores_than_may_be_open(tmp_path, command, said):
    images = make_many_stores(tmp_path)
    done = run_with_few_descriptors([word.replace("{}", "many-*.h5") for word in command], tmp_path)
    assert done.returncode == 0, done.stderr
    expected = said.format(count=len(images), bytes=sum(map(len, images)))
    assert expected in done.stdout + done.stderr


OPEN_ALL = """
import sys
sys.path.insert(0, sys.argv[1])
from imagestore.store.open_stores import open_stores

def own_memory():
    lines = open("/proc/self/status", encoding="ascii").read().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1])  # KiB

before = own_memory()
stores = open_stores([sys.argv[2]])
print(len(stores), sum(map(len, stores)), own_memory() - before)
"""


@pytest.mark.slow
def test_a_thousand_stores_take_little_memory(tmp_path: Path) -> None:
    write_store(tmp_path / "part-0.h5", IMAGES)
    for number in range(1, 1000):
        shutil.copy(tmp_path / "part-0.h5", tmp_path / f"part-{number}.h5")
    command = [sys.executable, "-c", OPEN_ALL, str(ROOT), str(tmp_path / "part-*.h5")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    stores, images, kib = map(int, done.stdout.split())
    assert (stores, images) == (1000, 1000 * len(IMAGES))
    assert kib < 200_000
