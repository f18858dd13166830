"""`mv` and `rename-label` as a user runs them."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.store.labels import find_labels
from imagestore.store.reader import ImageStore
from imagestore.vfs.shown_names import escape
from tests.helpers.mended_stores import BY_FOLDER, PHOTOS, bytes_of, heuristic, kept, labels_of, mend
from tests.helpers.odd_stores import some_bytes
from tests.helpers.written_stores import cut_the_index_off

IN_ARCHIVE = {name: name.split("/")[1] for name, _ in PHOTOS}
PIXELS = sorted(data for _, data in PHOTOS)


def whole(path: Path) -> None:
    """Check that HDF5, the index and the checksums agree, and that no file is left beside the store."""
    assert mend("verify", path).status == 0
    with ImageStore(path, require_images=False) as store:
        assert store.index.written_with_store
    assert [name for name in os.listdir(path.parent) if name.startswith(f".{path.name}")] == []


# ----- which images, and which label -----


def test_images_move_by_path_name_member_and_glob(store):
    with ImageStore(store) as reader:
        done = mend("mv", store, "red/02.jpg", "05.jpg", "photos/blue/00.jpg", "gr*/0[17].jpg", "rose/")
        assert (done.status, done.err) == (0, "")
        assert done.out == "all.h5: 12 images under 4 labels (5 relabelled)\n"
        assert len(reader) == 12 and not reader.changed()  # whoever has the old file open goes on
    moved = {
        f"photos/{name}"
        for name in ("red/02.jpg", "red/05.jpg", "blue/00.jpg", "green/01.jpg", "green/07.jpg")
    }
    assert labels_of(store) == IN_ARCHIVE | dict.fromkeys(moved, "rose")
    assert bytes_of(store) == PIXELS
    assert kept(store) == dict.fromkeys(moved, ("relabelled", "rose"))
    whole(store)


def test_a_glob_without_a_slash_matches_names(store):
    assert "(2 relabelled)" in mend("mv", store, "1[01].jpg", "rose/").out
    assert mend("mv", store, "x/1[01].jpg", "rose/").status == 1
    assert labels_of(store) == IN_ARCHIVE | {"photos/green/10.jpg": "rose", "photos/red/11.jpg": "rose"}


def test_an_emptied_label_is_gone(store):
    assert "under 2 labels" in mend("mv", store, "red/*", "blue/").out
    with h5py.File(store) as file:
        assert list(file) == ["blue", "green"]
    whole(store)


def test_an_image_under_its_label_stays_uncorrected(store):
    before = store.read_bytes()
    done = mend("mv", store, "red/02.jpg", "red/")
    assert (done.status, done.err) == (0, "already under that label: 1 image\n")
    assert store.read_bytes() == before


def test_an_image_may_move_back_and_forth(store):
    for label in ("rose/", "red/", "blue/", "red/"):
        assert mend("mv", store, "02.jpg", label).status == 0
    assert labels_of(store) == IN_ARCHIVE and kept(store) == {"photos/red/02.jpg": ("relabelled", "red")}
    whole(store)


def test_equal_names_stay_two_images(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        for i, label in enumerate(("a", "b", "c")):
            file[f"{label}/1.jpg"] = np.frombuffer(some_bytes(i), np.uint8)
    before = bytes_of(path)
    assert mend("mv", path, "a/1.jpg", "b/1.jpg", "c/").status == 0
    with h5py.File(path) as file:
        assert list(file["c"]) == ["1.jpg", "1~2.jpg", "1~3.jpg"]
    assert bytes_of(path) == before
    assert mend("mv", path, "c/1~2.jpg", "c/1~3.jpg", "d/").status == 0
    with h5py.File(path) as file:
        assert list(file["d"]) == ["1~2.jpg", "1~3.jpg"]
        assert bytes(file["d/1~2.jpg"].attrs["member"]) == b"1.jpg"
    with ImageStore(path) as store:  # by which an image is known, whatever its name is by now
        assert {store.index.member(i) for i in range(3)} == {b"", b"1.jpg"}
    assert bytes_of(path) == before


@pytest.mark.parametrize(
    ("argument", "group", "label"),
    [
        ("AC/DC/", "AC%2FDC", "AC/DC"),
        ("../", "%2E%2E", ".."),
        ("100%/", "100%", "100%"),
        ("a%2Fb/", "a%252Fb", "a%2Fb"),
        ("lily of the valley", "lily of the valley", "lily of the valley"),
        ("Größe/", "Größe", "Größe"),
        ("-rf/", "-rf", "-rf"),
    ],
)
def test_a_label_may_be_any_text(store, argument, group, label):
    assert mend("mv", store, "--", "02.jpg", argument).status == 0
    assert labels_of(store)["photos/red/02.jpg"] == group
    with ImageStore(store) as reader:
        assert label in find_labels(reader).names
    # The image is found again by its label, by its group, and as a mount shows it.
    assert mend("mv", store, "--", f"{label}/02.jpg", "x/").status == 0
    assert mend("mv", store, "--", "x/02.jpg", argument).status == 0
    assert mend("mv", store, "--", f"{group}/02.jpg", "x/").status == 0
    assert mend("mv", store, "--", "x/02.jpg", argument).status == 0
    as_shown = escape(group.encode()).decode()
    assert mend("mv", store, "--", f"{as_shown}/02.jpg", "red/").status == 0
    assert labels_of(store) == IN_ARCHIVE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope.jpg", "red/"], "no image nope.jpg"),
        (["red/00.jpg", "blue/"], "no image red/00.jpg: did you mean"),
        (["z*", "red/"], "no image matches z*"),
        (["red", "blue/"], "red is a label; all its images are 'red/*'"),
        (["02.jpg", "/"], "the label is empty"),
        (["02.jpg", ""], "the label is empty"),
        (["02.jpg", "red/05.jpg"], "looks like the path of an image"),
        (["02.jpg", "05.jpg"], "a label 05.jpg is given as 05.jpg/"),
        (["--from", "none.csv"], "none.csv: no such file"),
    ],
)
def test_wrong_arguments_change_nothing(store, arguments, message):
    before = store.read_bytes()
    done = mend("mv", store, *arguments)
    assert done.status == 1 and message in done.err and done.err.count("\n") == 1
    assert store.read_bytes() == before


def test_a_glob_may_begin_with_a_label_of_any_text(store):
    assert mend("mv", store, "red/*", "AC/DC/").status == 0
    assert mend("mv", store, "AC/DC/0[25].jpg", "AC/DC/*", "red/").status == 0
    assert labels_of(store) == IN_ARCHIVE


def test_a_label_that_looks_like_a_group_is_that_label(store):
    """The group of AC/DC is AC%2FDC, which counts where no label has that name."""
    for image, label in (("02.jpg", "AC%2FDC/"), ("05.jpg", "AC/DC/"), ("08.jpg", "AC%2FDC/")):
        assert mend("mv", store, image, label).status == 0
    found = labels_of(store)
    assert [found[f"photos/red/{image}.jpg"] for image in ("02", "05", "08")] == [
        "AC%252FDC", "AC%2FDC", "AC%252FDC",
    ]  # fmt: skip


def test_a_name_of_two_images_is_no_choice(store):
    assert (
        mend("add", store, "--no-palette", copy_as("other/02.jpg", PHOTOS[0][1] + b"."), "blue/").status == 0
    )
    done = mend("mv", store, "02.jpg", "green/")
    assert done.status == 1 and "02.jpg could be blue/02.jpg, red/02.jpg: give the path" in done.err


def copy_as(name: str, data: bytes) -> str:
    """A file in the current folder."""
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_bytes(data)
    return name


def test_usage_errors_have_status_2(store):
    for words in ([], ["x.jpg"], ["a", "b/", "--from", "x.csv"], ["a", "b/", "--min-confidence", "1"]):
        assert mend("mv", store, *words).status == 2
    assert mend("mv", store, "--from", "x.csv", "--min-confidence", "1.1").status == 2


def test_other_files_and_protected_stores_are_refused(made, store):
    assert "no such file" in mend("mv", "none.h5", "a", "b/").err
    assert "a.tar is no store; this makes stores" in mend("mv", "a.tar", "a", "b/").err
    store.chmod(0o444)
    before = store.read_bytes()
    for words in (
        ["mv", store, "02.jpg", "x/"],
        ["rm", store, "02.jpg"],
        ["rename-label", store, "red", "x"],
    ):
        done = mend(*words)
        assert done.status == 1 and "is write-protected; to change it: chmod u+w" in done.err
    assert store.read_bytes() == before


# ----- later runs -----


def test_a_correction_stays_in_later_runs(made):
    with open("labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([("name", "label"), *((name, "wrong") for name in IN_ARCHIVE)])
    train, test = made / "train.h5", made / "test.h5"
    corrected = [mend("mv", store, "*/*1.jpg", "rose/").status for store in (train, test)]
    assert 0 in corrected
    expected = labels_of(train, test)
    assert "rose" in expected.values()
    for labels in (BY_FOLDER, ("--labels", "labels.csv", "--no-palette")):
        for fraction in (0.6, 0.1):
            done = heuristic("partition", "a.tar", train, test, fraction, *labels)
            assert done.status == 0 and done.out.count("(0 new)") == 2
        for store in (train, test):
            heuristic("sort", "a.tar", shutil.copy(store, "copy.h5"), 12, 4, *labels)
            assert labels_of(made / "copy.h5").items() >= labels_of(store).items()
    assert labels_of(train, test) == expected


# ----- rename-label -----


def test_a_label_is_renamed(store):
    done = mend("rename-label", store, "red", "rose")
    assert done.out == "all.h5: 12 images under 3 labels (4 relabelled)\n" and done.err == ""
    assert labels_of(store) == {m: "rose" if label == "red" else label for m, label in IN_ARCHIVE.items()}
    whole(store)


def test_a_label_is_renamed_to_one_that_exists(store):
    done = mend("rename-label", store, "red/", "blue/")
    assert "blue had images already: the two labels are one now" in done.err
    assert set(labels_of(store).values()) == {"blue", "green"} and bytes_of(store) == PIXELS


def test_a_label_that_is_missing_or_the_same(store):
    before = store.read_bytes()
    assert "no label rad: did you mean red?" in mend("rename-label", store, "rad", "x").err
    assert mend("rename-label", store, "red", "red").err == "already under that label: 4 images\n"
    assert mend("rename-label", store, "red", "").status == 1
    assert store.read_bytes() == before


def test_labels_by_hand_are_no_colours(store, made):
    """A training chooses the network for colours only if all labels are colours' names."""
    for label, origins in (("blue", ["folder"]), ("rose", ["folder", "hand"])):
        mend("mv", store, "02.jpg", f"{label}/")
        with ImageStore(store) as reader:
            assert [record.get("labels") for record in reader.heuristics()] == origins


# ----- a dry run -----


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["mv", "red/02.jpg", "00.jpg", "rose/"], ["red/02.jpg -> rose/", "blue/00.jpg -> rose/"]),
        (["rm", "red/0*"], ["red/02.jpg", "red/05.jpg", "red/08.jpg"]),
        (["rename-label", "red", "blue"], [f"red/{i:02d}.jpg -> blue/" for i in (2, 5, 8, 11)]),
        (["add", "new.jpg", "red/"], ["new.jpg -> red/"]),
    ],
)
def test_a_dry_run_prints_and_changes_nothing(store, words, lines):
    copy_as("new.jpg", PHOTOS[0][1] + b"new")
    before, others = store.read_bytes(), sorted(os.listdir())
    command, *rest = words
    done = mend(command, store, *rest, "--dry-run")
    assert done.status == 0
    *printed, last = done.out.splitlines()
    assert sorted(printed) == sorted(lines)
    assert last.startswith(f"all.h5: {len(lines)} would be ") and last.endswith("; nothing is written")
    assert store.read_bytes() == before and sorted(os.listdir()) == others


# ----- damaged and other tools' files -----


@pytest.mark.parametrize("has_index", [True, False])
def test_a_damaged_image_stays_and_is_named(store, has_index):
    if not has_index:
        cut_the_index_off(store)
    with ImageStore(store) as reader:
        i = reader.find("red/05.jpg")
        offset = int(reader.index.offset[i])
    data = bytearray(store.read_bytes())
    data[offset + 50] ^= 1
    store.write_bytes(data)
    done = mend("mv", store, "red/*", "rose/")
    assert done.status == 1 and done.out == "all.h5: 12 images under 4 labels (3 relabelled)\n"
    assert "not relabelled: 1: " in done.err and "damaged: red/05.jpg" in done.err
    with ImageStore(store) as reader:
        assert reader.find("red/05.jpg") >= 0 and reader.find("rose/02.jpg") >= 0
    assert mend("rm", store, "red/05.jpg").status == 0
    whole(store)
    assert kept(store)["photos/red/05.jpg"] == ("removed", None)


def test_stores_of_older_tools_are_corrected(old_store):
    """Chunked and compressed datasets, deeper groups, no attributes and no index."""
    before = bytes_of(old_store)
    with ImageStore(old_store) as store:
        reds = [store.path_of(i) for i in range(len(store)) if store.path_of(i).startswith("d._red")]
    assert any("deeper" in path for path in reds)
    assert mend("rename-label", old_store, "d._red", "dark-red").status == 0
    assert mend("mv", old_store, "green/*", "leaf/").status == 0
    assert bytes_of(old_store) == before
    with h5py.File(old_store) as file:
        assert sorted(file) == ["dark-red", "l._blue", "leaf"] and len(file["dark-red"]) == len(reds)
    assert mend("rm", old_store, "leaf/*").status == 0
    assert len(bytes_of(old_store)) == len(before) - 12
    whole(old_store)


@pytest.fixture
def linked(tmp_path) -> Path:
    """A file of another program: images behind links and in a dataset, and a plain one."""
    path = tmp_path / "linked.h5"
    with h5py.File(path, "w") as file:
        for i, label in enumerate(("red", "red", "blue", "plain")):
            file[f"images/{i}.jpg"] = np.frombuffer(PHOTOS[i][1], np.uint8)
            if label != "plain":
                file[f"{label}/{i}.jpg"] = h5py.SoftLink(f"/images/{i}.jpg")
        file["plain/9.jpg"] = np.frombuffer(PHOTOS[9][1], np.uint8)
        bytes_type = h5py.vlen_dtype(np.uint8)
        many = file.create_dataset("many", (2,), bytes_type)
        many[0], many[1] = (np.frombuffer(PHOTOS[i][1], np.uint8) for i in (10, 11))
    return path


def test_what_cannot_be_corrected_is_named(linked):
    before = bytes_of(linked)
    done = mend("mv", linked, "red/0.jpg", "many/000000.jpg", "plain/9.jpg", "rose/")
    assert done.status == 1 and "(1 relabelled)" in done.out
    assert "red/0.jpg: it stands behind a link" in done.err
    assert "many/000000.jpg: it is one of several images in a dataset" in done.err
    assert bytes_of(linked) == before
    with h5py.File(linked) as file:
        assert "rose/9.jpg" in file and "plain" not in file and "red/0.jpg" in file


def test_a_label_that_is_a_dataset_is_refused(linked):
    before = linked.read_bytes()
    done = mend("mv", linked, "plain/9.jpg", "many/")
    assert done.status == 1 and "cannot be a label" in done.err and done.err.count("\n") == 1
    assert linked.read_bytes() == before


def test_labels_below_a_split_are_refused(tmp_path):
    path = tmp_path / "split.h5"
    with h5py.File(path, "w") as file:
        for i in range(8):
            name = f"{('train', 'val')[i % 2]}/{('red', 'blue')[i // 4]}/{i}.jpg"
            file[name] = np.frombuffer(PHOTOS[i][1], np.uint8)
    before = path.read_bytes()
    done = mend("mv", path, "train/red/0.jpg", "blue/")
    assert done.status == 1 and "merge NEW.h5" in done.err and path.read_bytes() == before
    assert heuristic("merge", tmp_path / "new.h5", path).status == 0
    assert mend("mv", tmp_path / "new.h5", "red/0.jpg", "blue/").status == 0


def test_a_hard_link_moves_alone(tmp_path):
    path = tmp_path / "hard.h5"
    with h5py.File(path, "w") as file:
        file["a/1.jpg"] = np.frombuffer(PHOTOS[0][1], np.uint8)
        file["b/1.jpg"] = file["a/1.jpg"]
        file["c/2.jpg"] = np.frombuffer(PHOTOS[1][1], np.uint8)
    assert mend("mv", path, "a/1.jpg", "x/").status == 0
    assert mend("rm", path, "x/1.jpg").status == 0
    with h5py.File(path) as file:
        assert file["b/1.jpg"][()].tobytes() == PHOTOS[0][1]
    assert mend("verify", path).status == 0
