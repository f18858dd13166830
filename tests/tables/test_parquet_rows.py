"""Parquet files as archives: those of the Hugging Face hub, and others."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from imagestore.archive.members import SourceLabels
from imagestore.console import UserError
from imagestore.sources.open_archive import open_archive
from tests.helpers.small_stores import picture
from tests.helpers.stored_images import stored_images, stored_labels

COUNT = 20
JPEGS = [picture(((200, 30, 30), (30, 30, 200))[i % 2], i, (32, 24)) for i in range(COUNT)]
NUMBERS = [i % 2 for i in range(COUNT)]
NAMES = [("rose", "tulip")[number] for number in NUMBERS]
CLASSES = {"_type": "ClassLabel", "names": ["rose", "tulip"]}


def image_column(paths: list[str | None], images=JPEGS) -> pa.Array:
    """Images as the hub has them: a struct of bytes and path."""
    return pa.array(
        [{"bytes": data, "path": path} for data, path in zip(images, paths, strict=True)],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )


def write_table(path, columns: dict, features: dict | None = None, **options):
    """A Parquet file in row groups of 7 rows; `features` go into its schema, as the hub has them."""
    table = pa.table(columns)
    if features:
        description = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": description})
    parquet.write_table(table, path, row_group_size=7, **options)
    return path


def images_of(path, key=None) -> list[tuple[str, bytes, str | None]]:
    """Name, bytes and label of each image: equal in a stream, by its index and in a later run."""
    with open_archive(path, labels=SourceLabels(key)) as archive:
        streamed = [(member, data) for member, data in archive.stream()]
        assert [(member, archive.read(member)) for member in archive.members()] == streamed
    with open_archive(path, labels=SourceLabels(key)) as archive:
        assert archive.indexed
        assert [(member, archive.read(member)) for member in reversed(archive.members())] == streamed[::-1]
    return [(member.name, data, member.label) for member, data in streamed]


@pytest.mark.parametrize("compression", ["snappy", "zstd", "none"])
def test_a_file_of_the_hub(tmp_path, compression):
    columns = {"image": image_column([f"{i}.jpg" for i in range(COUNT)]), "label": NUMBERS}
    features = {"image": {"_type": "Image"}, "label": CLASSES}
    path = write_table(tmp_path / "a.parquet", columns, features, compression=compression)
    assert images_of(path) == [(f"{i}.jpg", JPEGS[i], NAMES[i]) for i in range(COUNT)]


@pytest.mark.parametrize(
    ("column", "label", "key", "features"),
    [
        ("label", NAMES, None, None),
        ("label", pa.array(NAMES).dictionary_encode(), None, None),
        ("Class", NAMES, None, None),
        ("target", NAMES, None, None),
        ("kind", NUMBERS, None, {"kind": CLASSES}),
        ("kind", NUMBERS, "kind", {"kind": CLASSES}),
        ("kind", NAMES, "kind", None),
    ],
)
def test_columns_of_other_writers(tmp_path, column, label, key, features):
    columns = {"id": range(COUNT), "data": pa.array(JPEGS, pa.large_binary()), column: label}
    path = write_table(tmp_path / "a.parquet", {"mask": pa.array([b"none"] * COUNT), **columns}, features)
    assert images_of(path, key) == [(f"{i:06d}.jpg", JPEGS[i], NAMES[i]) for i in range(COUNT)]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([3, -1, None], ["3", "-1", None]),
        ([1.0, 0.5, None], ["1", "0.5", None]),
        ([True, False, None], ["1", "0", None]),
        (pa.nulls(3), [None, None, None]),
        (pa.array([3, -1, None], pa.decimal128(4, 1)), ["3", "-1", None]),
        (pa.array([3, -1, None], pa.int8()).dictionary_encode(), ["3", "-1", None]),
    ],
)
def test_labels_that_have_no_names_are_text(tmp_path, values, labels):
    path = write_table(tmp_path / "a.parquet", {"image": JPEGS[:3], "label": values})
    assert [label for _, _, label in images_of(path)] == labels


def structs(name: str, values) -> pa.Array:
    return pa.array([{name: value} for value in values])


@pytest.mark.parametrize(
    "column",
    [
        pa.array(JPEGS).dictionary_encode(),
        pa.array(JPEGS, pa.binary_view()),
        pa.array([{"bytes": data} for data in JPEGS], pa.struct([("bytes", pa.large_binary())])),
        pa.array([{"bytes": data} for data in JPEGS], pa.struct([("bytes", pa.binary_view())])),
        pa.array([[data] for data in JPEGS]),
        pa.array([[{"bytes": data, "path": None}] for data in JPEGS]),
        pa.array([[{"bytes": data}] for data in JPEGS], pa.large_list(pa.struct([("bytes", pa.binary())]))),
        structs("image", JPEGS),
        structs("image", image_column([None] * COUNT).to_pylist()),
    ],
)
def test_images_in_columns_of_any_type(tmp_path, column):
    table = pa.table({"photo": column, "label": NAMES})
    parquet.write_table(table, tmp_path / "a.parquet")  # views cannot be cut into row groups
    assert images_of(tmp_path / "a.parquet") == [(f"{i:06d}.jpg", JPEGS[i], NAMES[i]) for i in range(COUNT)]


@pytest.mark.parametrize(
    ("column", "label", "key"),
    [
        ("label", pa.array(NAMES, pa.string_view()), None),
        ("label", [name.encode() for name in NAMES], None),
        ("kind", [name.encode() for name in NAMES], "kind"),
        ("label", [[name] for name in NAMES], None),
        ("label", [[name, name] for name in NAMES], None),
        ("label", pa.array([{"id": 7, "name": name} for name in NAMES]), None),
        ("data", structs("class", NAMES), None),
        ("data", structs("kind", NAMES), "data.kind"),
        ("data", structs("kind", NAMES), "kind"),
        ("data", pa.array([[{"label": name}] for name in NAMES]), None),
        ("data", structs("label", pa.array(NAMES).dictionary_encode().to_pylist()), None),
    ],
)
def test_labels_in_columns_of_any_type(tmp_path, column, label, key):
    table = pa.table({"image": JPEGS, column: label})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert [label for _, _, label in images_of(tmp_path / "a.parquet", key)] == NAMES


NAMED = {"_type": "ClassLabel", "names": {"0": "rose", "1": "tulip"}}


@pytest.mark.parametrize(
    "description",
    [
        {"info": {"features": {"label": CLASSES}}},
        {"features": {"label": CLASSES}},
        {"info": {"features": {"label": NAMED}}},
        {"info": {"features": {"label": {"_type": "Sequence", "feature": CLASSES}}}},
        {"info": {"features": {"label": [CLASSES]}}},
    ],
)
@pytest.mark.parametrize("values", [NUMBERS, list(map(float, NUMBERS)), pa.array(NUMBERS, pa.int8())])
def test_names_of_classes_in_the_metadata(tmp_path, description, values):
    table = pa.table({"image": JPEGS, "label": values})
    table = table.replace_schema_metadata({"huggingface": json.dumps(description)})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert [label for _, _, label in images_of(tmp_path / "a.parquet")] == NAMES


@pytest.mark.parametrize("description", ["[]", '{"info": {"features": [1]}}', '{"info": 1}', "{", "null"])
def test_metadata_of_another_form_says_nothing(tmp_path, description):
    table = pa.table({"image": JPEGS, "label": NAMES}).replace_schema_metadata({"huggingface": description})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert [label for _, _, label in images_of(tmp_path / "a.parquet")] == NAMES


def test_several_images_in_a_row_share_its_label(tmp_path):
    pairs = [[JPEGS[0], JPEGS[1]], [], [JPEGS[2]], [JPEGS[3], None, JPEGS[4]]]
    path = write_table(tmp_path / "a.parquet", {"image": pairs, "label": ["a", "b", "c", "d"]})
    assert images_of(path) == [
        ("000000.jpg", JPEGS[0], "a"), ("000000_1.jpg", JPEGS[1], "a"), ("000002.jpg", JPEGS[2], "c"),
        ("000003.jpg", JPEGS[3], "d"), ("000003_2.jpg", JPEGS[4], "d"),
    ]  # fmt: skip


BASE64 = [base64.b64encode(data).decode() for data in JPEGS]
TEXTS_OF_IMAGES = {
    "plain": BASE64,
    "large": pa.array(BASE64, pa.large_string()),
    "a dictionary": pa.array(BASE64).dictionary_encode(),
    "bytes": [text.encode() for text in BASE64],
    "URLs": [f"data:image/jpeg;base64,{text}" for text in BASE64],
    "URLs with parameters": [f" Data:image/jpeg;name=a.jpg;BASE64,{text}\n" for text in BASE64],
    "lines": [base64.encodebytes(data).decode() for data in JPEGS],
    "for URLs": [base64.urlsafe_b64encode(data).decode().rstrip("=") for data in JPEGS],
    "lists": [[text] for text in BASE64],
    "structs": [{"bytes": text, "width": 32} for text in BASE64],
}


@pytest.mark.parametrize("kind", TEXTS_OF_IMAGES)
@pytest.mark.parametrize("part", ["", ":/image"])
def test_images_as_base64_text(tmp_path, kind, part):
    path = write_table(
        tmp_path / "a.parquet", {"image": TEXTS_OF_IMAGES[kind], "label": NAMES, "caption": NAMES}
    )
    if kind == "structs":
        part = part and f"{part}.bytes"
    found = images_of(Path(f"{path}{part}"))
    assert found == [(f"{i:06d}.jpg", JPEGS[i], NAMES[i]) for i in range(COUNT)]


def test_what_is_no_base64_is_counted_and_no_label(run, tmp_path):
    texts = [None, "", "no base64!", BASE64[3][:101], *BASE64[4:]]
    path = write_table(tmp_path / "a.parquet", {"y": texts, "target": NUMBERS})
    done = run(
        "colourHeuristic.py", "partition", path, "a.h5", "b.h5", "1", "--labels", "source", "--no-palette"
    )
    assert done.returncode == 0, done.stderr
    assert "has 2 rows without the bytes of an image: 000000, 000001" in done.stderr
    assert "passed over: not images (2), without bytes (2)" in done.stderr
    assert stored_labels(tmp_path / "a.h5") == {f"{i:06d}.jpg": str(i % 2) for i in range(4, COUNT)}


def test_an_image_with_several_labels_has_none(tmp_path):
    path = write_table(
        tmp_path / "a.parquet", {"image": JPEGS[:3], "label": [["a", "b"], ["b"], [None, "a"]]}
    )
    assert [label for _, _, label in images_of(path)] == [None, "b", "a"]


def test_masks_called_labels_are_no_labels(tmp_path):
    columns = {"image": JPEGS, "label": image_column([f"{i}.png" for i in range(COUNT)])}
    path = write_table(tmp_path / "a.parquet", columns)
    with pytest.raises(UserError, match="no column can hold labels"):
        open_archive(f"{path}:/image", labels=SourceLabels())


def test_a_class_that_has_no_name_is_no_label(tmp_path):
    columns = {"image": JPEGS[:3], "label": [1, -1, 2]}
    path = write_table(tmp_path / "a.parquet", columns, {"label": CLASSES})
    assert [label for _, _, label in images_of(path)] == ["tulip", None, None]


def test_rows_are_read_in_any_order_in_small_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("imagestore.tables.parquet_rows.BATCH_ROWS", 3)
    path = write_table(tmp_path / "a.parquet", {"image": JPEGS, "label": NAMES})
    assert [data for _, data, _ in images_of(path)] == JPEGS


def test_names_are_the_paths_or_the_numbers(tmp_path):
    paths = ["/home/me/.cache/b.jpg", None, "", "x/same.jpg", "x/same.jpg"]
    columns = {"image": image_column(paths, JPEGS[:5]), "label": NUMBERS[:5]}
    names = [name for name, _, _ in images_of(write_table(tmp_path / "a.parquet", columns))]
    assert names == ["/home/me/.cache/b.jpg", "000001.jpg", "000002.jpg", "x/same.jpg", "x/same.jpg"]


def test_rows_without_bytes_are_counted_and_named(run, tmp_path):
    images = [JPEGS[0], None, JPEGS[2], b"", JPEGS[4]]
    column = image_column(["0.jpg", "1.jpg", None, None, "4.jpg"], images)
    columns = {"image": pa.array([*column.to_pylist()[:4], None], column.type), "label": NUMBERS[:5]}
    write_table(tmp_path / "a.parquet", columns, {"image": {"_type": "Image"}})
    for command in (["partition", "a.parquet", "a.h5", "b.h5", "1"], ["sort", "a.parquet", "c.h5", "2", "1"]):
        done = run("colourHeuristic.py", *command)
        assert "a.parquet has 3 rows without the bytes of an image: 1.jpg, 000003, 000004" in done.stderr
        assert "without bytes (3" in done.stderr
    assert stored_images(tmp_path / "a.h5") == {"0.jpg": JPEGS[0], "000002.jpg": JPEGS[2]}


@pytest.mark.parametrize(
    ("columns", "features", "key", "words"),
    [
        ({"left": JPEGS, "right": JPEGS, "label": NUMBERS}, None, None,
         "has 2 columns of images: give one of them, as "),
        ({"text": NAMES, "label": NUMBERS}, None, None,
         "has no column with the bytes of images; its columns: text, label"),
        ({"image": JPEGS, "mask": [b"rose"] * COUNT}, None, None,
         "no column can hold labels (numbers or texts)"),
        ({"image": [], "label": []}, None, None, "a.parquet has no rows"),
        ({"audio": [b"RIFF"] * COUNT}, None, None,
         "has no column with the bytes of images; its columns: audio"),
        ({"image": JPEGS, "caption": NAMES}, None, None,
         "name the column of the labels with --label-key (caption)"),
        ({"image": JPEGS, "fine": NUMBERS, "coarse": NUMBERS}, {"fine": CLASSES, "coarse": CLASSES}, None,
         "name the column of the labels with --label-key (fine, coarse)"),
        ({"image": JPEGS, "class": [{"id": 1, "group": 2}] * COUNT}, None, None,
         "name the column of the labels with --label-key (class.id, class.group)"),
        ({"image": image_column(NAMES, [None] * COUNT), "label": NUMBERS}, None, None,
         "its columns: image, label; image.path has only their paths: give the folder of the files"),
        ({"image": JPEGS, "species": NAMES}, None, "spices",
         "has no column 'spices' of labels: did you mean species?"),
    ],
)  # fmt: skip
def test_what_cannot_be_decided_is_asked(tmp_path, columns, features, key, words):
    path = write_table(tmp_path / "a.parquet", columns, features)
    with pytest.raises(UserError) as caught:
        open_archive(path, labels=SourceLabels(key))
    assert words in str(caught.value)


def test_two_columns_of_one_name_are_refused(tmp_path):
    table = pa.Table.from_arrays(
        [pa.array(JPEGS), pa.array(NUMBERS), pa.array(NAMES)], ["image", "label", "label"]
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a\.parquet has two columns 'label': give them different names"):
        open_archive(tmp_path / "a.parquet")


def test_one_of_several_columns_may_be_named(run, tmp_path):
    write_table(tmp_path / "a.parquet", {"left": JPEGS, "right": JPEGS[::-1], "label": NAMES})
    run("colourHeuristic.py", "partition", "a.parquet:/right", "a.h5", "b.h5", "1", "--labels", "source")
    assert stored_images(tmp_path / "a.h5") == {f"{i:06d}.jpg": data for i, data in enumerate(JPEGS[::-1])}
    assert stored_labels(tmp_path / "a.h5") == {f"{i:06d}.jpg": name for i, name in enumerate(NAMES)}


@pytest.mark.parametrize("size", [4, 100, 8000, -4, -1])
def test_a_cut_file_ends_in_one_line(run, tmp_path, size):
    path = write_table(tmp_path / "a.parquet", {"image": JPEGS, "label": NUMBERS})
    path.write_bytes(path.read_bytes()[:size])
    done = run("colourHeuristic.py", "partition", "a.parquet", "a.h5", "b.h5", "1", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "a.parquet is a Parquet file that is damaged, or was cut short" in done.stderr


def test_damage_costs_no_image_of_an_earlier_row_group(run, tmp_path):
    path = write_table(
        tmp_path / "a.parquet",
        {"image": JPEGS, "label": NUMBERS},
        write_page_checksum=True,
        use_dictionary=False,
        compression="none",
    )
    data = bytearray(path.read_bytes())
    data[data.index(JPEGS[9][-200:])] ^= 1
    path.write_bytes(data)
    done = run("colourHeuristic.py", "partition", "a.parquet", "a.h5", "b.h5", "1", check=False)
    assert done.returncode == 1
    assert "a.parquet is damaged behind row 7" in done.stderr
    assert "7 images" in done.stdout


def test_identify_and_show_take_parquet(run, tmp_path):
    write_table(tmp_path / "a.parquet", {"image": JPEGS, "label": NUMBERS})
    assert run("colourHeuristic.py", "identify", "a.parquet", "--all").stdout.count(".jpg: ") == COUNT
    assert run("colourHeuristic.py", "show", "a.parquet", "000003.jpg", "-o", "a.png").stdout == "a.png\n"


def test_without_pyarrow_one_line_says_how_to_get_it(run, tmp_path):
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "pyarrow.py").write_text("raise ImportError('not here')")
    write_table(tmp_path / "a.parquet", {"image": JPEGS, "label": NUMBERS})
    command = ["colourHeuristic.py", "partition", "a.parquet", "a.h5", "b.h5", "1"]
    done = run(*command, env={"PYTHONPATH": str(modules)}, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "a.parquet: Parquet files need pyarrow: " in done.stderr
    assert done.stderr.endswith(" -m pip install pyarrow\n")
