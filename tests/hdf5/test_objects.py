"""The objects of an HDF5 file as folders, files and links; asked in this process, without the helper."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.hdf5.datasets_as_files import CHUNK_CACHE
from imagestore.hdf5.entry import (
    ARRAY,
    BYTES,
    DAMAGED,
    ELEMENTS,
    EXTERNAL_LINK,
    GROUP,
    NO_OFFSET,
    SOFT_LINK,
    Entry,
)
from imagestore.hdf5.objects import MOST_OPEN_DATASETS, Objects
from tests.helpers.odd_stores import (
    CREATED,
    MODIFIED,
    make_damaged,
    make_odd,
    make_other,
    some_bytes,
)


@pytest.fixture(scope="module")
def odd_path(tmp_path_factory) -> Path:
    """A file with every kind of object, beside the file that it links to."""
    path = tmp_path_factory.mktemp("odd") / "odd.h5"
    make_odd(path)
    make_other(path.with_name("other.h5"))
    return path


@pytest.fixture(scope="module")
def odd(odd_path) -> Iterator[Objects]:
    """The objects of this file."""
    with odd_path.open("rb") as file:
        yield Objects(file.fileno(), odd_path, follow_external=False)


@pytest.fixture
def following(odd_path) -> Iterator[Objects]:
    """The same, with what is in other files."""
    with odd_path.open("rb") as file:
        yield Objects(file.fileno(), odd_path, follow_external=True)


def entries(objects: Objects, path: bytes) -> dict[bytes, Entry]:
    return {entry.name: entry for entry in objects.entries(path)}


def test_a_group_lists_its_links_by_name(odd):
    names = [entry.name for entry in odd.entries(b"")]
    assert names == sorted(names) == [b"arrays", b"files", b"links", b"names", b"shadow", b"twice"]
    assert {entry.kind for entry in odd.entries(b"")} == {GROUP}


@pytest.mark.parametrize("path", [b"files/plain.jpg", b"none", b"files/none"])
def test_only_a_group_has_entries(odd, path):
    with pytest.raises((ValueError, KeyError)):
        list(odd.entries(path))


def test_a_file_of_bytes_has_its_size_and_place(odd, odd_path):
    files = entries(odd, b"files")
    plain, packed, empty = files[b"plain.jpg"], files[b"gzip.jpg"], files[b"empty.jpg"]
    assert {plain.kind, packed.kind, empty.kind} == {BYTES}
    assert (plain.size, plain.stored, packed.size, empty.size) == (5000, 5000, 5000, 0)
    assert odd_path.read_bytes()[plain.offset :][:5000] == some_bytes(1)
    assert (packed.offset, empty.offset) == (NO_OFFSET, NO_OFFSET)


def test_times_and_permissions_come_from_attributes(odd):
    files = entries(odd, b"files")
    plain, other = files[b"plain.jpg"], files[b"gzip.jpg"]
    assert (plain.modified, plain.created, plain.permissions) == (MODIFIED, CREATED, 0o751)
    assert (other.modified, other.created, other.permissions) == (None, None, None)
    assert odd.entry(b"files").permissions == 0o700


def test_an_array_has_the_size_of_its_numpy_file(odd):
    for entry in odd.entries(b"arrays"):
        if entry.kind == ARRAY:
            path = b"arrays/" + entry.name
            assert len(odd.read(path, 0, entry.size + 9)) == entry.size, path


def test_an_array_is_shadowed_by_a_link_of_its_file_name(odd):
    shadow = entries(odd, b"shadow")
    assert (shadow[b"x"].kind, shadow[b"x"].shadowed) == (ARRAY, True)
    assert (shadow[b"x.npy"].kind, shadow[b"x.npy"].shadowed) == (BYTES, False)
    assert not any(entry.shadowed for entry in odd.entries(b"arrays"))


def test_hard_links_have_one_address(odd):
    plain, link = odd.entry(b"files/plain.jpg"), odd.entry(b"links/hard.jpg")
    assert plain.address == link.address and plain.links == link.links == 2
    assert odd.entry(b"twice").address == odd.entry(b"files/deeper").address
    assert odd.entry(b"links/inside/top").address == odd.entry(b"").address


@pytest.mark.parametrize(
    ("name", "target", "is_array", "shadowed"),
    [
        (b"absolute", b"/files/plain.jpg", False, False),
        (b"to_array", b"/arrays/matrix", True, False),
        (b"to_link_to_array", b"to_array", False, False),
        (b"to_shadowed", b"/shadow/x", True, True),
        (b"dangling", b"/nowhere/at/all", False, False),
    ],
)
def test_a_soft_link_tells_if_it_leads_to_an_array(odd, name, target, is_array, shadowed):
    assert entries(odd, b"links")[name] == Entry(
        name=name, kind=SOFT_LINK, target=target, target_is_array=is_array, shadowed=shadowed
    )


def test_an_external_link_is_only_followed_on_request(odd, following):
    link = Entry(name=b"external", kind=EXTERNAL_LINK, target=b"other.h5:/far")
    assert entries(odd, b"links")[b"external"] == link
    group = entries(following, b"links")[b"external"]
    assert group.kind == GROUP and group.address[0] != following.entry(b"").address[0]
    assert following.read(b"links/external/away.jpg", 0, 5000) == some_bytes(3)


def test_bytes_in_other_files_are_only_read_on_request(odd, following):
    for name, target in (
        (b"outside.jpg", bytes(odd.path.with_suffix(".raw"))),
        (b"virtual.jpg", b"other.h5"),
    ):
        assert entries(odd, b"files")[name] == Entry(name=name, kind=EXTERNAL_LINK, target=target)
        with pytest.raises(OSError, match="another file"):
            odd.read(b"files/" + name, 0, 10)
    assert following.read(b"files/outside.jpg", 0, 5000) == some_bytes(1)
    assert following.read(b"files/virtual.jpg", 0, 5000) == some_bytes(3)
    assert entries(odd, b"arrays")[b"virtual_texts"].kind == EXTERNAL_LINK
    assert entries(following, b"arrays")[b"virtual_texts"].kind == ARRAY


def test_a_stored_type_is_left_out(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["label/type"] = np.dtype("f8")
        file["label/x"] = np.zeros(3, np.uint8)
    with (tmp_path / "a.h5").open("rb") as file:
        objects = Objects(file.fileno(), tmp_path / "a.h5", False)
        assert [entry.name for entry in objects.entries(b"label")] == [b"x"]
        assert objects.entry(b"label/type") is None


def test_a_damaged_object_costs_only_itself(tmp_path):
    path = tmp_path / "a.h5"
    make_damaged(path, ["label/good"], ["label/bad"])
    with path.open("rb") as file:
        objects = Objects(file.fileno(), path, False)
        assert [(entry.name, entry.kind) for entry in objects.entries(b"label")] == [
            (b"bad", DAMAGED), (b"good", BYTES),
        ]  # fmt: skip
        assert objects.read(b"label/good", 0, 9000) == some_bytes(1)


def test_an_array_of_long_texts_costs_only_itself(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        texts = file.create_dataset("label/texts", (100_000,), h5py.string_dtype())
        texts[0] = "x" * (1 << 20)  # as one NumPy type they would be 100 GB
        file["label/plain.jpg"] = np.frombuffer(some_bytes(1), np.uint8)
    with path.open("rb") as file:
        kinds = {entry.name: entry.kind for entry in Objects(file.fileno(), path, False).entries(b"label")}
    assert kinds == {b"plain.jpg": BYTES, b"texts": ELEMENTS}


def test_attributes_are_text_or_json(odd):
    attributes = odd.attributes(b"")
    assert attributes["title"] == "Bl\u00fcmen".encode()
    assert json.loads(attributes["numbers"]) == [1, 2, 3]
    assert json.loads(attributes["half"]) == 0.5
    assert json.loads(attributes["words"]) == ["a", "b"]
    assert json.loads(odd.attributes(b"files/plain.jpg")["palette"]) == [[0.5, 1.0]]
    assert odd.attributes(b"files/gzip.jpg") == {}


def test_a_chunk_larger_than_the_cache_is_decompressed_once(tmp_path):
    path = tmp_path / "chunk.h5"
    large = CHUNK_CACHE + 4096
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("x", (large,), np.uint8, chunks=(large,), compression=1, fillvalue=1)
        dataset[0] = 2
    with path.open("rb") as file:
        objects = Objects(file.fileno(), path, False)
        assert objects.read(b"x", 0, 3) == b"\2\1\1"
        _, cache_bytes, _ = objects._open_datasets[b"x"].dataset.get_access_plist().get_chunk_cache()
    assert cache_bytes >= large


def test_few_datasets_stay_open(tmp_path):
    path = tmp_path / "a.h5"
    large = CHUNK_CACHE + 4096
    with h5py.File(path, "w") as file:
        for i in range(MOST_OPEN_DATASETS + 2):
            file[f"{i}"] = np.full(100, i, np.uint8)
        file.create_dataset("large", (large,), np.uint8, chunks=(large,))
    with path.open("rb") as file:
        objects = Objects(file.fileno(), path, False)
        for _ in range(2):
            for i in range(MOST_OPEN_DATASETS + 2):
                assert objects.read(b"%d" % i, 98, 9) == bytes([i, i])
                assert len(objects._open_datasets) <= MOST_OPEN_DATASETS
        objects.read(b"large", 0, 1)
        assert list(objects._open_datasets) == [b"large"]  # a large cache is the only one


def test_the_open_file_is_read_if_another_takes_its_name(tmp_path):
    path = tmp_path / "odd.h5"
    make_odd(path)
    with path.open("rb") as file:
        make_other(tmp_path / "other.h5")
        os.replace(tmp_path / "other.h5", path)
        objects = Objects(file.fileno(), path, False)
        assert objects.read(b"files/gzip.jpg", 0, 5000) == some_bytes(1)
