"""Unpacking stores as data sets of other formats, at the command line, and back."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from isal.isal_zlib import crc32
from PIL import Image

from imagestore.store.label_names import group_name
from imagestore.store.labels import find_labels
from imagestore.store.reader import ImageStore
from imagestore.store.record import ImageRecord
from imagestore.store.writer import StoreWriter
from tests.helpers import signals_at_calls
from tests.helpers.commands import ROOT
from tests.helpers.images import blobs, encode
from tests.helpers.small_stores import COLOURS, add, picture

PAGE = (ROOT / "docs/unpacking.md").read_text()
FORMATS = ("imagefolder", "webdataset", "parquet")
ODD_LABELS = [
    "AC/DC",
    "",
    ".",
    "..",
    "100%",
    "%2E",
    "%empty",
    "two\nlines",
    " space ",
    "café",
    "7",
    ".hidden",
]
ODD_LABELS += ["x" * 300, "labels.csv", "__MACOSX", "\udcff raw", "a.b", "train", 'comma, quote"']
ODD_NAMES = [b"same.jpg", b".hidden.jpg", b"no suffix", b"a.b.c.jpg", b"\xff raw.jpg", b"n" * 251 + b".jpg"]
ODD_NAMES += [b"same.png", b"same", b"UPPER.JPG", b"new\nline.jpg", b"percent%2F.jpg", b"text.txt"]
READ_BACK = {
    "imagefolder": ("out", "--labels", "folder"),
    "webdataset": ("out/*.tar", "--labels", "source"),
    "parquet": ("out/*.parquet", "--labels", "source"),
}

Labelled = list[tuple[str, bytes]]  # label and bytes of each image


def write_store(path: Path, images: list[tuple[str, bytes, bytes]]) -> Labelled:
    """A store of images, given as (label, name, bytes)."""
    with StoreWriter(path) as writer:
        for i, (label, name, data) in enumerate(images):
            group = group_name(label).encode(errors="surrogateescape")
            record = ImageRecord(
                label=group, name=name, member=b"%d/" % i + name, size=len(data), crc32=crc32(data),
                mtime=1_000_000_000 + i, created=1_500_000_000,
            )  # fmt: skip
            assert writer.add(record, data)
        writer.publish()
    return sorted((label, data) for label, _, data in images)


def images_of(*stores: Path) -> Labelled:
    """Label and bytes of all images of stores, sorted."""
    found: Labelled = []
    for path in stores:
        with ImageStore(path, require_images=False) as store:
            labels = find_labels(store)
            found += [(labels.name_of(i), store.read(i)) for i in range(len(store))]
    return sorted(found)


def read_back(run, folder: Path, source: str, *options: str) -> Labelled:
    """What `partition` finds in a data set."""
    run("colourHeuristic.py", "partition", source, "a.h5", "b.h5", "0.5", "--no-palette", *options)
    return images_of(folder / "a.h5", folder / "b.h5")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Labelled]:
    """A store with labels that cannot be names of folders, and names that occur several times."""
    path = tmp_path_factory.mktemp("odd") / "odd.h5"
    images = [
        (label, ODD_NAMES[i % len(ODD_NAMES)], encode(blobs((24, 16), i), ("JPEG", "PNG", "WEBP")[i % 3]))
        for i, label in enumerate(ODD_LABELS * 3)
    ]
    images += [("same", name, encode(blobs((24, 16), 500 + i), "JPEG")) for i, name in enumerate(ODD_NAMES)]
    return path, write_store(path, images)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Labelled]:
    """A store `train.h5` of 30 pictures with three labels."""
    path = tmp_path_factory.mktemp("store") / "train.h5"
    names = [*COLOURS] * 10
    pictures = [(name, b"image_%04d.jpg" % i, picture(COLOURS[name], i)) for i, name in enumerate(names)]
    return path, write_store(path, pictures)


# ----- there and back -----


@pytest.mark.parametrize("kind", FORMATS)
def test_a_round_trip_gives_the_same_images_and_labels(run, store, tmp_path, kind):
    run("h5vfs.py", "unpack", "--format", kind, store[0], "out")
    assert read_back(run, tmp_path, *READ_BACK[kind]) == store[1]
    assert os.listdir(tmp_path / "out") != []
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_odd_labels_and_equal_names_come_back_too(run, odd, tmp_path, kind):
    run("h5vfs.py", "unpack", "--format", kind, "--shard-size", "20K", odd[0], "out")
    if kind == "imagefolder":
        assert read_back(run, tmp_path, "out", "--labels", "out/labels.json") == odd[1]
    else:
        assert len(os.listdir(tmp_path / "out")) > 1
        assert read_back(run, tmp_path, *READ_BACK[kind]) == odd[1]


@pytest.mark.slow
def test_labels_of_folders_need_no_table_if_their_names_tell(run, tmp_path):
    images = [
        (label, b"1.jpg", encode(blobs((24, 16), i), "JPEG")) for i, label in enumerate(ODD_LABELS[:11])
    ]
    expected = write_store(tmp_path / "labels.h5", images)
    run("h5vfs.py", "unpack", "--format", "imagefolder", "labels.h5", "out")
    assert len(os.listdir(tmp_path / "out")) == 11
    assert read_back(run, tmp_path, "out", "--labels", "folder") == expected


@pytest.mark.parametrize(
    ("labels", "table"), [([".a", 'b, "c"'], "labels.csv"), ([".a", "", "  "], "labels.json")]
)
def test_a_table_tells_what_folders_cannot(run, tmp_path, labels, table):
    images = [(label, b"1.jpg", encode(blobs((24, 16), i), "JPEG")) for i, label in enumerate(labels)]
    expected = write_store(tmp_path / "odd.h5", images)
    run("h5vfs.py", "unpack", "--format", "imagefolder", "odd.h5", "out")
    assert [path.name for path in (tmp_path / "out").glob("*.*") if path.is_file()] == [table]
    assert read_back(run, tmp_path, "out", "--labels", f"out/{table}") == expected


# ----- each format -----


@pytest.mark.slow
def test_an_image_folder_is_one_for_torchvision(run, odd, tmp_path):
    from torchvision.datasets import ImageFolder

    run("h5vfs.py", "unpack", "--format", "imagefolder", odd[0], "out")
    label_of = json.loads((tmp_path / "out/labels.json").read_text())
    found = ImageFolder(str(tmp_path / "out"))
    paths = [os.path.relpath(path, tmp_path / "out") for path, _ in found.samples]
    assert sorted((label_of[path], (tmp_path / "out" / path).read_bytes()) for path in paths) == odd[1]
    assert not [part for path in paths for part in path.split("/") if part.startswith(".")]
    times = {(tmp_path / "out" / path).stat().st_mtime for path in paths}
    assert min(times) == 1_000_000_000


@pytest.mark.slow
def test_webdataset_reads_the_shards(run, store, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    run("h5vfs.py", "unpack", "--format", "webdataset", "--shard-size", "20K", store[0], "out")
    shards = sorted(str(path) for path in (tmp_path / "out").glob("train-*.tar"))
    assert len(shards) > 1
    classes = json.loads((tmp_path / "out/classes.json").read_text())
    raw = list(webdataset.WebDataset(shards, shardshuffle=False))
    assert sorted((classes[int(sample["cls"])], sample["jpg"]) for sample in raw) == store[1]
    assert len({sample["__key__"] for sample in raw}) == len(store[1])
    decoded = list(
        webdataset.WebDataset(shards, shardshuffle=False).decode("pil").to_tuple("jpg", "cls", "json")
    )
    assert all(classes[number] == facts["label"] for _, number, facts in decoded)
    assert all(isinstance(image, Image.Image) for image, _, _ in decoded)
    assert {facts["name"] for *_, facts in decoded} == {f"image_{i:04d}.jpg" for i in range(30)}


@pytest.mark.slow
def test_shards_hold_at_most_their_size_and_all_labels(run, store, tmp_path):
    run("h5vfs.py", "unpack", "--format", "webdataset", "--shard-size", "20K", store[0], "out")
    for path in sorted((tmp_path / "out").glob("*.tar"))[:-1]:
        with tarfile.open(path) as tar:
            images = [member for member in tar if member.name.endswith(".jpg")]
            assert sum(member.size for member in images) <= 20 << 10
            labels = {json.load(tar.extractfile(name))["label"] for name in tar.getnames() if "json" in name}
        assert len(labels) > 1


def test_the_rows_are_as_the_hub_has_them(run, store, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    run("h5vfs.py", "unpack", "--format", "parquet", "--shard-size", "20K", store[0], "out")
    files = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in files] == [
        f"train-{i:05}-of-{len(files):05}.parquet" for i in range(len(files))
    ]
    table = parquet.read_table(tmp_path / "out")
    assert str(table.schema.field("image").type) == "struct<bytes: binary, path: string>"
    features = json.loads(parquet.read_schema(files[0]).metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    names = features["label"]["names"]
    assert (features["label"]["_type"], names) == ("ClassLabel", sorted(COLOURS))
    rows = table.to_pylist()
    assert sorted((names[row["label"]], row["image"]["bytes"]) for row in rows) == store[1]
    assert all(row["image"]["path"].startswith(f"{names[row['label']]}/image_") for row in rows)


# ----- stores of other kinds -----


@pytest.mark.slow
def test_parts_of_a_split_stay_apart(run, tmp_path):
    with h5py.File(tmp_path / "parts.h5", "w") as file:
        for i in range(12):
            part, label = ("train", "val", "test")[i % 3], ("red", "blue")[i // 3 % 2]
            file[f"{part}/{label}/{i}.jpg"] = np.frombuffer(picture(COLOURS[label], i), np.uint8)
    for kind in FORMATS:
        run("h5vfs.py", "unpack", "--format", kind, "parts.h5", kind)
    assert {path.parent.parent.name for path in (tmp_path / "imagefolder").rglob("*.jpg")} == {
        "train",
        "val",
        "test",
    }
    names = {path.name.split("-")[0] for path in (tmp_path / "webdataset").glob("*.tar")}
    assert (
        names
        == {path.name.split("-")[0] for path in (tmp_path / "parquet").iterdir()}
        == {"train", "val", "test"}
    )


@pytest.mark.slow
def test_several_stores_have_the_same_numbers_of_labels(run, store, tmp_path):
    add(tmp_path / "test.h5", "yellow/1.jpg", picture((220, 220, 30), 1))
    run("h5vfs.py", "unpack", "--format", "webdataset", store[0], "test.h5", "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "classes.json", "train-000000.tar", "test-000000.tar",
    }  # fmt: skip
    with tarfile.open(tmp_path / "out/test-000000.tar") as tar:
        assert tar.extractfile("000030.cls").read() == b"3"
    assert json.loads((tmp_path / "out/classes.json").read_text()) == [*sorted(COLOURS), "yellow"]


@pytest.mark.slow
def test_stores_of_older_tools_are_unpacked(run, old_store, tmp_path):
    expected = Counter(images_of(old_store))
    for kind in FORMATS:
        run("h5vfs.py", "unpack", "--format", kind, old_store, "out")
        assert Counter(read_back(run, tmp_path, *READ_BACK[kind])) == expected
        subprocess.run(["rm", "-r", "out", "a.h5", "b.h5"], cwd=tmp_path, check=True)


@pytest.mark.slow
def test_images_without_a_label_are_counted_or_kept(run, store, tmp_path):
    add(tmp_path / "root.h5", "alone.jpg", picture(COLOURS["red"], 1))
    add(tmp_path / "root.h5", "red/1.jpg", picture(COLOURS["red"], 2))
    done = run("h5vfs.py", "unpack", "--format", "imagefolder", "root.h5", "folder")
    assert "passed over 1 image without a label" in done.stderr
    assert len(list((tmp_path / "folder").rglob("*.jpg"))) == 1
    for kind in ("webdataset", "parquet"):
        done = run("h5vfs.py", "unpack", "--format", kind, "root.h5", kind)
        assert "unpacked 2 images" in done.stderr
        source = f"{kind}/*.{'tar' if kind == 'webdataset' else kind}"
        assert len(read_back(run, tmp_path, source, "--labels", "source", "--unlabelled", "none")) == 2
        subprocess.run(["rm", "a.h5", "b.h5"], cwd=tmp_path, check=True)


@pytest.mark.slow
def test_globs_choose_images(run, store, tmp_path):
    chosen = ("--include", "red", "--include", "image_0001.jpg", "--exclude", "*2.jpg")
    run("h5vfs.py", "unpack", "--format", "imagefolder", store[0], "out", *chosen)
    run("h5vfs.py", "unpack", store[0], "plain", *chosen)
    trees = [
        sorted(str(p.relative_to(tmp_path / top)) for p in (tmp_path / top).rglob("*.jpg"))
        for top in ("out", "plain")
    ]
    assert trees[0] == trees[1] != []


def test_what_is_no_image_is_counted(run, tmp_path):
    add(tmp_path / "a.h5", "red/notes.txt", b"no picture")
    add(tmp_path / "a.h5", "red/picture", picture(COLOURS["red"], 1))
    done = run("h5vfs.py", "unpack", "--format", "imagefolder", "a.h5", "out")
    assert "unpacked 1 image into" in done.stderr and "passed over 1 file that is no image" in done.stderr
    assert os.listdir(tmp_path / "out/red") == ["picture.jpg"]


# ----- what goes wrong -----


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_image_is_named_and_the_others_are_written(run, store, tmp_path, kind):
    with ImageStore(store[0]) as whole:
        place, label = int(whole.index.offset[3]), whole.path_of(3)
    data = bytearray(store[0].read_bytes())
    data[place + 5] ^= 1
    (tmp_path / "bad.h5").write_bytes(data)
    done = run("h5vfs.py", "unpack", "--format", kind, "bad.h5", "out", check=False)
    assert done.returncode == 1 and f"{label}: " in done.stderr and "unpacked 29 images" in done.stderr
    assert len(read_back(run, tmp_path, *READ_BACK[kind])) == 29


def test_bad_input_is_one_line(run, store, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("")
    (tmp_path / "file").write_text("")
    for folder, says in (
        ("full", "is not empty"),
        ("file", "is no folder"),
        ("no/where", "there is no folder"),
    ):
        done = run("h5vfs.py", "unpack", "--format", "parquet", store[0], folder, check=False)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1) and says in done.stderr
    done = run("h5vfs.py", "unpack", "--format", "zip", store[0], "out", check=False)
    assert done.returncode == 2 and "invalid choice: 'zip'" in done.stderr
    done = run("h5vfs.py", "unpack", "--format", "parquet", "--shard-size", "0", store[0], "out", check=False)
    assert done.returncode == 2 and "no size" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["file", "full"]


@pytest.mark.slow
def test_an_empty_folder_may_be_there(run, store, tmp_path):
    (tmp_path / "out").mkdir()
    run("h5vfs.py", "unpack", "--format", "parquet", store[0], "out")
    assert len(os.listdir(tmp_path / "out")) == 1


def test_without_pyarrow_it_is_told_before_any_work(run, store, tmp_path):
    (tmp_path / "modules/pyarrow").mkdir(parents=True)
    (tmp_path / "modules/pyarrow/__init__.py").write_text("raise ModuleNotFoundError(name='pyarrow')")
    hidden = {"PYTHONPATH": str(tmp_path / "modules")}
    done = run("h5vfs.py", "unpack", "--format", "parquet", store[0], "out", check=False, env=hidden)
    assert done.returncode == 1 and "pyarrow" in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing(tmp_path, kind, number):
    images = [("red", b"%d.jpg" % i, b"\xff\xd8\xff" + bytes([i]) * (1 << 20)) for i in range(100)]
    write_store(tmp_path / "large.h5", images)
    command = ["unpack", "--format", kind, "large.h5", "out"]
    read = "imagestore.store.reader.ImageStore.read"
    assert signals_at_calls.run("h5vfs", read, 60, number, command, tmp_path)[0] == 128 + number
    assert os.listdir(tmp_path) == ["large.h5"]


# ----- the page -----


@pytest.mark.slow
def test_the_commands_of_the_page_run(run, store, tmp_path):
    (tmp_path / "train.h5").symlink_to(store[0])
    (tmp_path / "test.h5").symlink_to(store[0])
    commands = re.findall(r"^\$ \./(.*)$", PAGE, re.MULTILINE)
    assert len(commands) == 7
    for command in commands:
        script, *words = shlex.split(command)
        run(script, *words)
        if (tmp_path / "again.h5").exists():
            assert images_of(tmp_path / "again.h5") == store[1]
            (tmp_path / "again.h5").unlink()
    words = shlex.split(re.search(r"`\./(h5vfs.py unpack --format parquet train.h5 test.h5) rows`", PAGE)[1])
    run(*words, "both")
    assert len(os.listdir(tmp_path / "both")) == 2


@pytest.mark.slow
def test_the_program_of_the_page_runs(run, store, tmp_path):
    pytest.importorskip("webdataset")
    run("h5vfs.py", "unpack", "--format", "webdataset", store[0], "shards")
    program = re.search(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert Counter(line.split()[-1] for line in done.stdout.splitlines()) == dict.fromkeys(COLOURS, 10)
