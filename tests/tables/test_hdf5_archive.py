"""HDF5 files of others as archives: which images they hold, with which names and labels."""

from __future__ import annotations

import io

import h5py
import numpy as np
import pytest
from PIL import Image

from imagestore.archive.members import SourceLabels
from imagestore.console import UserError
from imagestore.decode.decode_image import decode_rgb
from imagestore.sources.open_archive import open_archive
from tests.helpers.array_files import add_vlen_bytes, padded_rows, pixels_of, write_datasets
from tests.helpers.small_stores import make_store, picture
from tests.helpers.stored_images import stored_images, stored_labels

COUNT = 12
JPEGS = [picture(((200, 30, 30), (30, 30, 200))[i % 2], i, (32, 24)) for i in range(COUNT)]
PIXELS = pixels_of(JPEGS)  # (12, 24, 32, 3)
GREYS = PIXELS[..., 0]
NUMBERS = np.arange(COUNT) % 3
TEXTS = [str(number) for number in NUMBERS]


def images_of(path, key=None) -> list[tuple[str, bytes, str | None]]:
    """Name, bytes and label of each image: equal in a stream, by its index and in a later run."""
    with open_archive(path, labels=SourceLabels(key)) as archive:
        streamed = [(member, data) for member, data in archive.stream()]
        assert [(member, archive.read(member)) for member in archive.members()] == streamed
    with open_archive(path, labels=SourceLabels(key)) as archive:
        assert archive.indexed
        assert [(member, archive.read(member)) for member in reversed(archive.members())] == streamed[::-1]
    return [(member.name, data, member.label) for member, data in streamed]


def decoded(images) -> np.ndarray:
    """uint8 (n, H, W, 3): the pixels of the images."""
    return np.stack([np.asarray(decode_rgb(data)) for _, data, _ in images])


# ----- pixels -----


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (PIXELS, PIXELS),
        (PIXELS.transpose(0, 3, 1, 2), PIXELS),
        (GREYS, np.stack([GREYS] * 3, 3)),
        (GREYS[..., None], np.stack([GREYS] * 3, 3)),
        (GREYS[:, None], np.stack([GREYS] * 3, 3)),
        (PIXELS / 255, PIXELS),
        ((PIXELS / 255).astype("f2"), PIXELS),
        (PIXELS.astype(">f4"), PIXELS),
        (PIXELS.astype("i8"), PIXELS),
        (PIXELS.astype("u2") * 257, PIXELS),
        (PIXELS > 127, np.where(PIXELS > 127, 255, 0)),
    ],
    ids=["NHWC", "NCHW", "NHW", "NHW1", "N1HW", "0 to 1", "half", "0 to 255", "int64", "16 bits", "bool"],
)
def test_every_layout_and_type_gives_the_pixels(tmp_path, pixels, expected):
    path = write_datasets(tmp_path / "a.h5", train__images=pixels, train__labels=NUMBERS)
    images = images_of(path)
    assert [(name, label) for name, _, label in images] == [
        (f"train/images/{i:06d}.png", text) for i, text in enumerate(TEXTS)
    ]
    assert np.array_equal(decoded(images), expected)


def test_odd_numbers_are_stretched_over_all_pictures(tmp_path):
    values = np.zeros((2, 8, 8, 3), np.float32)
    values[0], values[1, 0], values[1, 1] = -1, 3, np.nan
    path = write_datasets(tmp_path / "a.h5", x=values, y=[0, 1])
    first, second = decoded(images_of(path))
    assert (first == 0).all()
    assert set(second[0].flat) == {255}
    assert set(second[1].flat) == {0}
    assert set(second[2].flat) == {64}


def test_transparent_pictures_stay_transparent(tmp_path):
    pixels = np.concatenate([PIXELS, np.full((*PIXELS.shape[:3], 1), 7, np.uint8)], 3)
    images = images_of(write_datasets(tmp_path / "a.h5", x=pixels, y=NUMBERS))
    assert images[0][1][25] == 6  # the colour type of RGBA
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(images[5][1]))), pixels[5])


@pytest.mark.parametrize("chunks", [(5, 24, 32, 3), (12, 7, 9, 1), (1, 24, 32, 3)])
def test_chunks_are_read_in_any_order(tmp_path, chunks):
    path = write_datasets(tmp_path / "a.h5", y=NUMBERS)
    with h5py.File(path, "a") as file:
        file.create_dataset("x", data=PIXELS, chunks=chunks, compression="gzip", shuffle=True)
    assert np.array_equal(decoded(images_of(path)), PIXELS)


# ----- labels -----


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (NUMBERS.astype(np.uint8), TEXTS),
        (NUMBERS.reshape(-1, 1).astype("f4"), TEXTS),
        (NUMBERS.reshape(-1, 1, 1, 1), TEXTS),
        (np.eye(3)[NUMBERS], TEXTS),
        (np.eye(3, dtype=bool)[NUMBERS], TEXTS),
        (np.array([b"red", b"blue", b"AC/DC"])[NUMBERS], ["red", "blue", "AC/DC"] * 4),
        (np.array(["rot", "blau", "gr\u00fcn"], object)[NUMBERS].tolist(), ["rot", "blau", "gr\u00fcn"] * 4),
        (np.array([b"caf\xe9", b"th\xc3\xa9", b"eau"])[NUMBERS], ["café", "thé", "eau"] * 4),
        (NUMBERS == 1, ["0", "1", "0"] * 4),
        (NUMBERS.reshape(1, -1), TEXTS),
    ],
    ids=[
        *("uint8", "N x 1", "N x 1 x 1 x 1", "one-hot", "one-hot bool", "bytes", "text", "Windows-1252"),
        *("bool", "1 x N"),
    ],
)
def test_labels_of_every_kind(tmp_path, labels, expected):
    path = write_datasets(tmp_path / "a.h5", x=PIXELS, y=labels)
    assert [label for _, _, label in images_of(path)] == expected


def test_labels_of_an_enumeration_have_its_names(tmp_path):
    path = write_datasets(tmp_path / "a.h5", x=PIXELS)
    with h5py.File(path, "a") as file:
        kind = h5py.enum_dtype({"rose": 0, "tulip": 1, "lily": 2})
        file.create_dataset("y", data=NUMBERS, dtype=kind)
    assert [label for _, _, label in images_of(path)] == ["rose", "tulip", "lily"] * 4


OTHERS = {"ids": np.arange(COUNT), "boxes": np.zeros((COUNT, 4, 2)), "flag": np.zeros(3), "mean": PIXELS[0]}


@pytest.mark.parametrize(
    ("datasets", "part"),
    [
        ({"images": PIXELS, "digits": NUMBERS, **OTHERS}, ""),
        ({"images": PIXELS, "labels": NUMBERS, "label_noise": 1 - NUMBERS, **OTHERS}, ""),
        ({"x_train": PIXELS, "y_train": NUMBERS, "x_test": PIXELS, "y_test": 2 - NUMBERS}, ":/x_train"),
        ({"test__x": PIXELS, "test__y": 2 - NUMBERS, "train__x": PIXELS, "train__y": NUMBERS}, ":/train"),
        ({"train__images": PIXELS, "labels__train": NUMBERS, "labels__test": 2 - NUMBERS}, ""),
        ({"train_set_x": PIXELS, "train_set_y": NUMBERS, "list_classes": [b"non-cat", b"cat"]}, ""),
    ],
)  # fmt: skip
def test_the_labels_are_found_by_length_and_name(tmp_path, datasets, part):
    path = write_datasets(tmp_path / "a.h5", **datasets)
    assert [label for _, _, label in images_of(f"{path}{part}")] == TEXTS


def test_labels_may_be_named(tmp_path):
    path = write_datasets(tmp_path / "a.h5", x=PIXELS, fine_labels=NUMBERS, coarse_labels=NUMBERS // 2)
    for key, expected in (("fine_labels", TEXTS), ("/coarse_labels", [str(n // 2) for n in NUMBERS])):
        assert [label for _, _, label in images_of(path, key)] == expected


@pytest.mark.parametrize(
    ("datasets", "key", "words"),
    [
        ({"x": PIXELS, "fine_labels": NUMBERS, "coarse_labels": NUMBERS}, None,
         "several arrays can be the labels of x: coarse_labels, fine_labels; name one with --label-key"),
        ({"x": PIXELS}, None, "no array of 12 labels stands beside x"),
        ({"x": PIXELS, "y": NUMBERS / 4}, None, "no array of 12 labels stands beside x"),
        ({"x": PIXELS, "labels": NUMBERS}, "label",
         "no array 'label' has a value for each image of x: did you mean labels?"),
        ({"a": PIXELS, "b": PIXELS, "y": NUMBERS}, None, "holds 2 arrays of pictures: give one of them, as "),
        ({"x": np.zeros((12, 784))}, None, "holds no image"),
    ],
)  # fmt: skip
def test_what_cannot_be_decided_is_asked(tmp_path, datasets, key, words):
    path = write_datasets(tmp_path / "a.h5", **datasets)
    with pytest.raises(UserError) as caught:
        open_archive(path, labels=SourceLabels(key))
    assert words in str(caught.value)


def test_the_choices_of_several_arrays_can_be_pasted(run, tmp_path):
    write_datasets(tmp_path / "a b.h5", train__x=PIXELS, test__x=PIXELS)
    command = ["colourHeuristic.py", "partition"]
    done = run(*command, "a b.h5", "a.h5", "b.h5", "1", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.endswith("give one of them, as 'a b.h5:/test/x' or 'a b.h5:/train/x'\n")
    assert "12 images" in run(*command, "a b.h5:/test/x", "a.h5", "b.h5", "1").stdout


# ----- bytes -----


@pytest.mark.parametrize("kind", ["vlen", "padded", "opaque"])
def test_elements_are_images_with_the_labels_beside_them(tmp_path, kind):
    path = write_datasets(tmp_path / "a.h5", train__labels=NUMBERS, train__name=NUMBERS)
    rows = padded_rows(JPEGS)
    if kind == "vlen":
        add_vlen_bytes(path, "train/images", JPEGS)
    elif kind == "padded":
        write_datasets(path, train__labels=NUMBERS, train__images=rows)
    else:
        write_datasets(path, train__labels=NUMBERS, train__images=rows.view(f"V{rows.shape[1]}")[:, 0])
    images = images_of(path)
    assert [(name, label) for name, _, label in images] == [
        (f"train/images/{i:06d}.jpg", text) for i, text in enumerate(TEXTS)
    ]
    assert [data.rstrip(b"\0") for _, data, _ in images] == JPEGS


def test_images_in_groups_have_the_groups_as_labels(tmp_path):
    images = images_of(make_store(tmp_path / "a.h5", 6))
    assert {name: label for name, _, label in images} == {
        f"{label}/image_{i:04d}.jpg": label for i, label in enumerate(["blue", "green", "red"] * 2)
    }


def test_a_store_of_this_suite_comes_with_its_labels_and_names(run, sample_store, tmp_path):
    run("colourHeuristic.py", "partition", sample_store, "a.h5", "b.h5", "0.5", "--labels", "source")
    stores = tmp_path / "a.h5", tmp_path / "b.h5"
    assert stored_images(*stores) == stored_images(sample_store)
    assert stored_labels(*stores) == stored_labels(sample_store)


# ----- as a user runs it -----


def test_a_second_run_recognises_all_pictures(run, tmp_path):
    write_datasets(tmp_path / "a.h5", x=PIXELS, y=NUMBERS)
    (tmp_path / "names.txt").write_text("rose\ntulip\nlily\n")
    command = ["partition", "a.h5", "train.h5", "test.h5", "1", "--labels", "source"]
    run("colourHeuristic.py", *command, "--class-names", "names.txt")
    done = run("colourHeuristic.py", *command, "--class-names", "names.txt")
    assert "already stored: 12 images" in done.stderr
    assert list(stored_labels(tmp_path / "train.h5").values()).count("tulip") == 4


def test_identify_show_and_sort_take_arrays(run, tmp_path):
    write_datasets(tmp_path / "a.h5", x=PIXELS, y=NUMBERS)
    assert run("colourHeuristic.py", "identify", "a.h5", "--all").stdout.count("x/0000") == 12
    assert run("colourHeuristic.py", "identify", "a.h5:/x", "x/000003.png").stdout.startswith("x/000003.png")
    assert run("colourHeuristic.py", "show", "a.h5", "x/000003.png", "-o", "a.png").stdout == "a.png\n"
    done = run("colourHeuristic.py", "show", "a.h5", check=False)
    assert done.stderr == "colourHeuristic: error: a.h5: show needs the NAME of one image\n"
    assert "5 images" in run("colourHeuristic.py", "sort", "a.h5", "s.h5", "5", "2").stdout


@pytest.mark.parametrize("size", [3000, 9000, 25_000])
def test_a_cut_file_ends_in_one_line(run, tmp_path, size):
    path = write_datasets(tmp_path / "a.h5", x=PIXELS, y=NUMBERS)
    path.write_bytes(path.read_bytes()[:size])
    done = run("colourHeuristic.py", "partition", "a.h5", "b.h5", "c.h5", "1", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "cut short" in done.stderr


def test_a_damaged_chunk_costs_no_picture_before_it(run, tmp_path):
    path = write_datasets(tmp_path / "a.h5", y=NUMBERS)
    with h5py.File(path, "a") as file:
        dataset = file.create_dataset("x", data=PIXELS, chunks=(4, 24, 32, 3), compression="gzip")
        place = dataset.id.get_chunk_info(2).byte_offset
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes(50))
    done = run("colourHeuristic.py", "partition", "a.h5", "b.h5", "c.h5", "1", check=False)
    assert done.returncode == 1
    assert "8 images" in done.stdout
    assert "damaged at picture 8 of x" in done.stderr


# ----- links -----


@pytest.mark.parametrize("link", ["hard", "soft", "external", "group"])
def test_arrays_behind_links_are_found_once(tmp_path, link):
    (tmp_path / "deep").mkdir()
    data = write_datasets(tmp_path / "deep/data.h5", raw__x=PIXELS, raw__y=NUMBERS)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        if link == "external":
            file["images"] = h5py.ExternalLink("deep/data.h5", "/raw/x")
            file["labels"] = h5py.ExternalLink("deep/data.h5", "/raw/y")
        elif link == "group":
            file["all"] = h5py.ExternalLink("deep/data.h5", "/raw")
            file["more"] = h5py.SoftLink("/all")
        else:
            file["images"], file["labels"] = PIXELS, NUMBERS
            for name in ("images", "labels"):
                file[f"more/{name}"] = file[name] if link == "hard" else h5py.SoftLink(f"/{name}")
            file["nowhere"] = h5py.SoftLink("/nothing")
            file["circle"] = h5py.SoftLink("/circle")
    found = images_of(path)
    assert data.exists() and np.array_equal(decoded(found), PIXELS)
    assert [label for _, _, label in found] == TEXTS
    assert found[0][0] == ("all/x/000000.png" if link == "group" else "images/000000.png")


def test_a_part_may_be_a_link(tmp_path):
    path = write_datasets(tmp_path / "a.h5", d__x=PIXELS, d__y=NUMBERS, d__z=PIXELS)
    with h5py.File(path, "a") as file:
        file["train/images"], file["one"] = h5py.SoftLink("/d/x"), h5py.SoftLink("/d/x")
    for part in ("train", "train/images", "one"):
        found = images_of(f"{path}:/{part}")
        assert np.array_equal(decoded(found), PIXELS) and [label for *_, label in found] == TEXTS


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "mine").mkdir()
    write_datasets(tmp_path / "other.h5", x=PIXELS)
    with h5py.File(tmp_path / "mine/a.h5", "w") as file:
        file["x"] = h5py.ExternalLink("../other.h5", "/x")
    with pytest.raises(UserError, match="holds no image"):
        images_of(tmp_path / "mine/a.h5")
    with pytest.raises(UserError, match="outside the folder"):
        images_of(f"{tmp_path}/mine/a.h5:/x")


# ----- flattened pictures -----

DIGITS = np.random.default_rng(3).integers(0, 256, (COUNT, 28, 28), np.uint8)
FLAT = DIGITS.reshape(COUNT, 784)


@pytest.mark.parametrize("rows", [FLAT, FLAT / 255, FLAT.astype("i8")])
def test_rows_of_784_numbers_are_pictures(tmp_path, rows):
    path = write_datasets(tmp_path / "a.h5", x=rows, y=np.eye(3)[NUMBERS])
    found = images_of(path)
    assert np.array_equal(decoded(found), np.stack([DIGITS] * 3, 3))
    assert [label for _, _, label in found] == TEXTS


def test_parts_of_784_numbers_have_their_labels(tmp_path):
    path = write_datasets(
        tmp_path / "a.h5", x_train=FLAT, y_train=NUMBERS, x_test=FLAT[:5], y_test=NUMBERS[:5] + 5
    )
    assert [label for *_, label in images_of(f"{path}:/x_test")] == ["5", "6", "7", "5", "6"]
    with pytest.raises(UserError, match="2 arrays of pictures"):
        images_of(path)


@pytest.mark.parametrize(
    ("datasets", "words"),
    [
        ({"x": FLAT / 255}, "a.h5:/x"),
        ({"kernel": np.zeros((784, 128)), "bias": np.zeros(128)}, "holds no image"),
        ({"kernel": np.zeros((128, 784)), "bias": np.zeros(784)}, "a.h5:/kernel"),
        ({"x": np.zeros((COUNT, 3072), "u1"), "y": NUMBERS}, "N x 32 x 32 x 3"),
        ({"x": np.zeros((COUNT, 4096)), "y": NUMBERS}, "N x 64 x 64"),
        ({"x": np.zeros((COUNT, 100)), "y": NUMBERS}, "N x 10 x 10"),
        ({"x": np.zeros((COUNT, 5)), "y": NUMBERS}, "N x H x W[)]$"),
    ],
)
def test_rows_that_may_be_something_else_are_named(tmp_path, datasets, words):
    with pytest.raises(UserError, match=words):
        images_of(write_datasets(tmp_path / "a.h5", **datasets))


def test_flattened_rows_beside_pictures_are_no_pictures(tmp_path):
    path = write_datasets(tmp_path / "a.h5", images=PIXELS, features=FLAT, y=NUMBERS)
    assert np.array_equal(decoded(images_of(path)), PIXELS)
