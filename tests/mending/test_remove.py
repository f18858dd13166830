"""`rm` as a user runs it, and what later runs make of it."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest

from imagestore.store.reader import ImageStore
from tests.helpers.mended_stores import BY_FOLDER, PHOTOS, bytes_of, heuristic, kept, labels_of, mend
from tests.helpers.odd_stores import some_bytes

IN_ARCHIVE = {name: name.split("/")[1] for name, _ in PHOTOS}


def test_images_are_removed_and_remembered(store):
    done = mend("rm", store, "red/02.jpg", "green/*")
    assert (done.status, done.out, done.err) == (0, "all.h5: 7 images under 2 labels (5 removed)\n", "")
    gone = {m for m, label in IN_ARCHIVE.items() if label == "green"} | {"photos/red/02.jpg"}
    assert labels_of(store).keys() == IN_ARCHIVE.keys() - gone
    assert kept(store) == dict.fromkeys(gone, ("removed", None))
    assert mend("verify", store).status == 0


def test_a_removed_image_comes_back_into_neither_store(made):
    train, test = made / "train.h5", made / "test.h5"
    gone = sorted(labels_of(train))[0]
    rest = labels_of(train, test).keys() - {gone}
    mend("rm", train, gone)
    for fraction in (0.6, 0.0):  # with 0.0, each image that is new belongs into test.h5
        done = heuristic("partition", "a.tar", train, test, fraction, *BY_FOLDER)
        assert done.status == 0 and labels_of(train, test).keys() == rest
        assert f"removed by hand: 1 image: {gone} (--again brings them back)" in done.err
    heuristic("sort", "a.tar", shutil.copy(train, "copy.h5"), 12, 3, *BY_FOLDER)
    heuristic("sort", "a.tar", "copy.h5", 12, 3, *BY_FOLDER, "--shard", "1/1", "--seed", 3)
    assert labels_of(made / "copy.h5").keys() == rest
    assert heuristic("sort", "a.tar", "copy.h5", 12, 3, *BY_FOLDER, "--again").out.endswith("(1 new)\n")
    assert kept(made / "copy.h5") == {}
    done = heuristic("partition", "a.tar", train, test, 0.0, *BY_FOLDER, "--again")
    assert labels_of(train, test) == IN_ARCHIVE and kept(train) == kept(test) == {}
    assert heuristic("merge", "m.h5", train, test).out == "m.h5: 12 images under 3 labels (12 new)\n"


def test_sort_takes_others_in_their_place(made):
    heuristic("sort", "a.tar", "some.h5", 5, 5, *BY_FOLDER)
    gone = sorted(labels_of(made / "some.h5"))[:3]
    mend("rm", "some.h5", *gone)
    assert heuristic("sort", "a.tar", "some.h5", 7, 2, *BY_FOLDER).out.endswith("(7 new)\n")
    assert labels_of(made / "some.h5").keys() == IN_ARCHIVE.keys() - set(gone)


def test_a_store_may_be_emptied(store):
    assert mend("rm", store, "*").out == "all.h5: 0 images under 0 labels (12 removed)\n"
    done = heuristic("sort", "a.tar", store, 12, 3, *BY_FOLDER)
    assert done.status == 1
    assert "holds no image that is left: 12 were removed by hand (--again" in done.err
    assert mend("rm", store, "*").status == 1
    assert heuristic("sort", "a.tar", store, 12, 3, *BY_FOLDER, "--again").status == 0
    assert labels_of(store) == IN_ARCHIVE


def test_a_removed_copy_leaves_the_other(tmp_path):
    """The same image under two labels: if one goes, the image was not removed."""
    path, data = tmp_path / "two.h5", np.frombuffer(PHOTOS[0][1], np.uint8)
    with h5py.File(path, "w") as file:
        file["a/1.jpg"], file["b/1.jpg"], file["b/2.jpg"] = data, data, data[:-1]
    assert mend("rm", path, "a/1.jpg").status == 0
    assert kept(path) == {}
    assert mend("rm", path, "b/1.jpg").status == 0
    assert kept(path) == {"1.jpg": ("removed", None)}


LAYOUTS = [
    {},
    {"chunks": (700,)},
    {"chunks": True, "compression": "gzip"},
    {"chunks": (700,), "shuffle": True},
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("userblock", [0, 512])
def test_the_bytes_of_a_removed_image_are_gone(tmp_path, layout, userblock):
    path = tmp_path / "a.h5"
    secret, others = some_bytes(1) * 40, [some_bytes(i) * 40 for i in range(2, 6)]
    with h5py.File(path, "w", userblock_size=userblock) as file:
        for i, data in enumerate([others[0], secret, *others[1:]]):
            file.create_dataset(f"red/{i}.jpg", data=np.frombuffer(data, np.uint8), **layout)
    pieces = stored_pieces(path, "red/1.jpg")
    assert pieces and all(piece in path.read_bytes() for piece in pieces)
    assert mend("rm", path, "red/1.jpg").status == 0
    if not (userblock and layout):
        assert not any(piece in path.read_bytes() for piece in pieces)
    assert bytes_of(path) == sorted(others)
    with h5py.File(path) as file:
        assert sorted(dataset[()].tobytes() for dataset in file["red"].values()) == sorted(others)


def stored_pieces(path, name) -> list[bytes]:
    """A few bytes of each chunk of a dataset as they are in the file, or of the whole dataset."""
    with h5py.File(path) as file:
        dataset = file[name]
        if dataset.chunks is None:
            return [dataset[()].tobytes()[100:150]]
        return [
            dataset.id.read_direct_chunk((start,))[1][50:90]
            for start in range(0, len(dataset), dataset.chunks[0])
        ]


def test_damage_is_no_hindrance(store):
    with ImageStore(store) as reader:
        offset = int(reader.index.offset[reader.find("red/02.jpg")])
    data = bytearray(store.read_bytes())
    data[offset] ^= 1
    store.write_bytes(data)
    assert mend("rm", store, "02.jpg").status == 0
    assert heuristic("sort", "a.tar", store, 12, 3, *BY_FOLDER).out.endswith("(0 new)\n")
