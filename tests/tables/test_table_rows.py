"""HDF5 tables, whose records hold an image and its label."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from imagestore.archive.label_text import NoLabels
from imagestore.archive.protocol import DamagedArchive
from imagestore.console import UserError
from imagestore.sources.open_archive import open_archive
from tests.helpers.mended_stores import heuristic
from tests.helpers.read_archives import read_all
from tests.helpers.small_stores import picture
from tests.helpers.stored_images import stored_images, stored_labels

NUMBERS = [2, 0, 1, 2, 0]
NAMES = ["rose", "lily", "oak"]
LABELS = [NAMES[number] for number in NUMBERS]
IMAGES = [picture((200, 40 * i, 30), i) for i in range(5)]
LONGEST = max(map(len, IMAGES))
PADDED = [image.ljust(LONGEST, b"\0") for image in IMAGES]
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 9, 8, 3), np.uint8)
BASE64 = [base64.b64encode(image).decode() for image in IMAGES]
AS_BYTES = {
    "variable": (h5py.vlen_dtype(np.uint8), [np.frombuffer(image, np.uint8) for image in IMAGES]),
    "signed": (h5py.vlen_dtype(np.int8), [np.frombuffer(image, np.int8) for image in IMAGES]),
    "opaque": (np.dtype(("V", LONGEST)), PADDED),
    "text": (np.dtype(("S", LONGEST)), PADDED),
    "rows": (np.dtype((np.uint8, LONGEST)), [np.frombuffer(image, np.uint8) for image in PADDED]),
}
AS_BASE64 = {
    "base64": (h5py.string_dtype(), BASE64),
    "URLs": (h5py.string_dtype(), [f"data:image/jpeg;base64,{text}" for text in BASE64]),
    "base64 of fixed length": (np.dtype(("S", max(map(len, BASE64)))), BASE64),
}
AS_PIXELS = {
    "last": (np.dtype((np.uint8, (9, 8, 3))), PIXELS),
    "first": (np.dtype((np.uint8, (3, 9, 8))), PIXELS.transpose(0, 3, 1, 2)),
    "floats": (np.dtype((np.float64, (9, 8, 3))), PIXELS / 255),
}
NUMBER = (np.dtype("<i4"), NUMBERS)


def write_table(
    path: Path, image: tuple, name: str = "table", shape: tuple[int, ...] = (5,), **fields: tuple
) -> Path:
    """A table with a field `image` and others: (type, values) for each."""
    columns = {"image": image, **fields}
    table = np.empty(5, np.dtype([(title, dtype) for title, (dtype, _) in columns.items()]))
    for i in range(5):
        table[i] = tuple(values[i] for _, values in columns.values())
    with h5py.File(path, "a") as file:
        file.create_dataset(name, data=table.reshape(shape), dtype=table.dtype, chunks=(2, 1)[: len(shape)])
    return path


@pytest.mark.parametrize("kind", [*AS_BYTES, *AS_BASE64])
def test_bytes_of_images_in_every_type_of_field(tmp_path, kind):
    field = {**AS_BYTES, **AS_BASE64}[kind]
    images, labels = read_all(write_table(tmp_path / "a.h5", field, label=NUMBER))
    assert images == IMAGES and labels == list(map(str, NUMBERS))


@pytest.mark.parametrize("kind", AS_BASE64)
@pytest.mark.parametrize("part", ["", ":/train/images"])
def test_base64_in_a_dataset_of_texts(tmp_path, kind, part):
    dtype, values = AS_BASE64[kind]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("train/images", data=np.array(values, dtype), dtype=dtype)
        file["train/labels"] = LABELS
    assert read_all(Path(f"{tmp_path}/a.h5{part}")) == (IMAGES, LABELS)


@pytest.mark.parametrize("kind", AS_PIXELS)
def test_pixels_in_every_order(tmp_path, kind):
    images, labels = read_all(write_table(tmp_path / "a.h5", AS_PIXELS[kind], label=NUMBER))
    assert np.array_equal([np.asarray(Image.open(io.BytesIO(image))) for image in images], PIXELS)
    assert labels == list(map(str, NUMBERS))


def test_flattened_pixels_with_a_label(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 784), np.uint8)
    images, labels = read_all(
        write_table(tmp_path / "a.h5", (np.dtype((np.uint8, 784)), pixels), label=NUMBER)
    )
    assert np.array_equal([np.asarray(Image.open(io.BytesIO(image))).ravel() for image in images], pixels)
    assert labels == list(map(str, NUMBERS))


IN_OTHERS = np.dtype([("class", h5py.string_dtype()), ("width", "<u2")])
FIELDS_OF_LABELS = {
    "texts": {"id": (np.dtype("<i8"), range(5)), "species": (h5py.string_dtype(), LABELS)},
    "fixed texts": {"label": (np.dtype("S8"), LABELS)},
    "the only one": {"kind": (h5py.string_dtype(), LABELS), "file": (h5py.string_dtype(), "abcde")},
    "an enumeration": {"y": (h5py.enum_dtype({name: i for i, name in enumerate(NAMES)}), NUMBERS)},
    "in a field": {"meta": (IN_OTHERS, [(label, 9) for label in LABELS])},
}


@pytest.mark.parametrize("kind", FIELDS_OF_LABELS)
def test_the_field_of_the_labels_is_found(tmp_path, kind):
    path = write_table(tmp_path / "a.h5", AS_BYTES["variable"], **FIELDS_OF_LABELS[kind])
    assert read_all(path) == (IMAGES, LABELS)


def test_one_hot_labels_and_names_of_numbers(tmp_path):
    path = write_table(tmp_path / "a.h5", AS_BYTES["rows"], target=(np.dtype(("f4", 3)), np.eye(3)[NUMBERS]))
    assert read_all(path) == (IMAGES, list(map(str, NUMBERS)))
    with h5py.File(path, "a") as file:
        file["table"].attrs["class_names"] = NAMES
    assert read_all(path) == (IMAGES, LABELS)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ({"class_name": (np.dtype("S8"), LABELS), "class_id": NUMBER}, LABELS),
        ({"label": NUMBER, "target": (np.dtype("i4"), NUMBERS[::-1])}, None),
        ({"label": NUMBER, "class": (np.dtype("S8"), ["a", "b", "b", "a", "b"])}, None),
    ],
    ids=["numbers and their names", "other numbers", "names of other classes"],
)
def test_names_beside_their_numbers_are_the_labels(tmp_path, others, expected):
    path = write_table(tmp_path / "a.h5", AS_BYTES["variable"], **others)
    if expected is None:
        with pytest.raises(NoLabels, match="several arrays can be the labels"):
            read_all(path)
    else:
        assert read_all(path) == (IMAGES, expected)


def test_labels_in_an_array_beside_a_table_of_one_column(tmp_path):
    path = write_table(tmp_path / "a.h5", AS_BYTES["variable"], shape=(5, 1))
    with pytest.raises(NoLabels, match="no array of 5 labels stands beside table/image"):
        read_all(path)
    with h5py.File(path, "a") as file:
        file["labels"] = NUMBERS
    assert read_all(path) == (IMAGES, list(map(str, NUMBERS)))


def test_labels_in_a_table_beside_an_array(tmp_path):
    path = write_table(tmp_path / "a.h5", (np.dtype("f4"), range(5)), label=NUMBER)
    with h5py.File(path, "a") as file:
        file["pixels"] = PIXELS
    assert read_all(path)[1] == list(map(str, NUMBERS))


def test_several_tables_or_fields_are_listed_and_named(tmp_path):
    path = write_table(tmp_path / "a.h5", AS_BYTES["variable"], "train/table", label=NUMBER)
    write_table(path, AS_BYTES["opaque"], "test/table", label=NUMBER, mask=AS_PIXELS["last"])
    with pytest.raises(UserError, match=r"3 fields of images: .*:/test/table/mask or .*:/train/table/image"):
        read_all(path)
    for part in ("train", "train/table", "train/table/image", "test/table/image"):
        assert read_all(Path(f"{path}:/{part}"))[0] == IMAGES
    with pytest.raises(UserError, match="2 fields of images"):
        read_all(Path(f"{path}:/test"))
    with pytest.raises(UserError, match="has no 'test/table/label'"):
        read_all(Path(f"{path}:/test/table/label"))


def test_tables_at_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    empty = np.frombuffer(b"", np.uint8)
    dtype, values = AS_BYTES["variable"]
    write_table(Path("a.h5"), (dtype, [empty, *values[1:]]), label=(h5py.string_dtype(), LABELS))
    done = heuristic("partition", "a.h5", "b.h5", "c.h5", 1, "--labels", "source", "--no-palette")
    assert done.status == 0 and "1 row without the bytes of an image: table/image/000000" in done.err
    names = [f"table/image/{i:06d}.jpg" for i in range(1, 5)]
    assert stored_labels("b.h5") == dict(zip(names, LABELS[1:], strict=True))
    assert stored_images("b.h5") == dict(zip(names, IMAGES[1:], strict=True))
    assert heuristic("identify", "a.h5", names[0]).out.startswith(f"{names[0]}: ")
    assert "a.h5 is no store; this makes stores" in heuristic("summary", "a.h5").err


def test_a_damaged_chunk_costs_no_image_before_it(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        table = np.array(list(zip(PADDED, NUMBERS, strict=True)), [("image", f"V{LONGEST}"), ("label", "i4")])
        dataset = file.create_dataset("table", data=table, chunks=(2,), fletcher32=True)
        chunk = dataset.id.get_chunk_info(1)
    with path.open("r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\xff" * 8)
    found = []
    with open_archive(path) as archive, pytest.raises(DamagedArchive, match="at row 2 of table/image"):
        found += (data for _, data in archive.stream())
    assert found == IMAGES[:2]
