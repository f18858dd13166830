"""How much metadata HDF5 keeps in memory: as much as the names in a store's groups take in its file."""

from __future__ import annotations

import re

import h5py

from imagestore.store.hdf5_cache_size import LARGEST_CACHE, MetadataCache
from imagestore.store.reader import ImageStore
from tests.helpers.written_stores import cut_the_index_off, write_store


def test_the_cache_holds_the_names_of_every_group(tmp_path):
    """The computed sizes are those of the blocks of names in the file (local heaps, "HEAP")."""
    path = tmp_path / "images.h5"
    names = [(f"c{i % 7 * i % 5}", b"%d/" % i + b"n" * (i * i % 90 + 1)) for i in range(600)]
    for some in (names[:5], names[5:60], names[60:]):
        write_store(path, {(label, name): b"%d" % i for i, (label, name) in enumerate(some)})
    data = path.read_bytes()
    found = [
        int.from_bytes(data[at.end() : at.end() + 8], "little") for at in re.finditer(b"HEAP\0{4}", data)
    ]
    root, *blocks = sorted(found)
    with h5py.File(path) as file, ImageStore(path) as store:
        from_index = MetadataCache(file, store.index)
        from_empty = MetadataCache(file, None)
        for i in range(len(store)):
            label, _, name = store.path_of(i).partition("/")
            from_empty.add(label.encode(), name.encode())
        assert sorted(from_index.block_sizes.values()) == sorted(from_empty.block_sizes.values()) == blocks
        needed = sum(blocks) + root
        assert needed < file.id.get_mdc_config().max_size < needed + (1 << 20)


def test_a_file_of_another_tool_gets_twice_the_room(store_path):
    with h5py.File(store_path) as file, ImageStore(store_path) as store:
        written_here = MetadataCache(file, store.index).block_sizes
    cut_the_index_off(store_path)
    with ImageStore(store_path) as store, h5py.File(store_path) as file:
        walked = MetadataCache(file, store.index).block_sizes
    assert walked == {label: 2 * size for label, size in written_here.items()}


def test_the_cache_stays_within_the_limit_of_hdf5(tmp_path):
    """HDF5 refuses a larger cache with an error."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        cache = MetadataCache(file, None)
        for _ in range(3):
            cache.add(b"red", b"n" * LARGEST_CACHE)
        assert file.id.get_mdc_config().max_size == LARGEST_CACHE
