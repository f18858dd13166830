"""`sort` and `partition` as a user runs them, on real archives and folders."""

from __future__ import annotations

import os
import random
import shutil
import stat
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.colour.colour_names import all_labels
from imagestore.colour.palette import HEURISTIC_VERSION
from imagestore.labelling.choose_members import draw
from imagestore.store.reader import ImageStore
from tests.helpers.archives import pack
from tests.helpers.small_stores import picture
from tests.helpers.stored_images import archive_images, stored_images, stored_labels


def rows(path: Path) -> list[tuple]:
    """Everything that a store holds about its images, except when they were stored."""
    with ImageStore(path) as store:
        records = [store.index.record(i) for i in range(len(store))]
        return [
            (r.label, r.name, r.member, r.crc32, r.mtime, store.palette(i).tobytes())
            for i, r in enumerate(records)
        ]


# ----- which images are taken -----


def test_partition_puts_each_image_in_one_file(run, sample, tmp_path):
    done = run("colourHeuristic.py", "partition", sample, "train.h5", "test.h5", 0.7)
    train, test = stored_images(tmp_path / "train.h5"), stored_images(tmp_path / "test.h5")
    assert train | test == archive_images(sample) and not train.keys() & test.keys()
    assert all(draw(0, os.fsencode(name)) < 0.7 for name in train)
    assert all(draw(0, os.fsencode(name)) >= 0.7 for name in test)
    assert f"train.h5: {len(train)} images" in done.stdout and f"test.h5: {len(test)} images" in done.stdout
    assert "passed over: not images (1)\n" in done.stderr


def test_partition_again_moves_and_writes_nothing(run, sample, tmp_path):
    run("colourHeuristic.py", "partition", sample, "train.h5", "test.h5", 0.5)
    inodes = [(tmp_path / name).stat().st_ino for name in ("train.h5", "test.h5")]
    done = run("colourHeuristic.py", "partition", sample, "train.h5", "test.h5", 0.9, "--seed", 3)
    assert [(tmp_path / name).stat().st_ino for name in ("train.h5", "test.h5")] == inodes
    assert "already stored: 60" in done.stderr


@pytest.mark.parametrize(
    ("options", "not_needed"),
    [
        ((), {"zip_archive", "hdf5_archive", "parquet_rows", "pixel_arrays"}),
        (("--labels", "folder", "--no-palette"), {"hdf5_archive", "workers", "palette", "decode_image"}),
    ],
)
def test_a_run_imports_what_its_archive_needs(run, sample, options, not_needed):
    command = ("partition", sample, "train.h5", "test.h5", 0.7, *options)
    done = run("colourHeuristic.py", *command, env={"PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.rpartition("|")[2].rpartition(".")[2].strip() for line in done.stderr.splitlines()}
    assert {"tar_archive", "writer"} <= imported
    assert imported & not_needed == set()


@pytest.mark.parametrize(
    "command", [["sort", "s.h5", 40, 7], ["partition", "s.h5", "t.h5", 0.6]], ids=["sort", "partition"]
)
def test_number_of_workers_changes_nothing(run, sample, tmp_path, command):
    name, *rest = command
    results = []
    for workers in (1, 4):
        folder = tmp_path / str(workers)
        folder.mkdir()
        run("colourHeuristic.py", name, sample, *rest, "--seed", 9, "--workers", workers, cwd=folder)
        results.append([rows(path) for path in sorted(folder.glob("*.h5"))])
    assert results[0] == results[1]


def test_sort_again_adds_new_images_until_none_is_left(run, sample, tmp_path):
    run("colourHeuristic.py", "sort", sample, "s.h5", 25, 5)
    first = stored_images(tmp_path / "s.h5")
    run("colourHeuristic.py", "sort", sample, "s.h5", 25, 5)
    second = stored_images(tmp_path / "s.h5")
    done = run("colourHeuristic.py", "sort", sample, "s.h5", 25, 5)
    assert (len(first), len(second)) == (25, 50)
    assert second.items() > first.items()
    assert stored_images(tmp_path / "s.h5") == archive_images(sample)
    assert "taking all" in done.stderr and "60 images" in done.stdout


def test_sort_takes_runs_of_neighbours(run, sample, tmp_path):
    run("colourHeuristic.py", "sort", sample, "s.h5", 12, 4, "--seed", 2)
    order = list(archive_images(sample))
    positions = {order.index(name) for name in stored_images(tmp_path / "s.h5")}
    assert len(positions) == 12
    assert sum(position + 1 in positions for position in positions) >= 8


def test_shards_of_partition_equal_one_run(run, sample, tmp_path):
    run("colourHeuristic.py", "partition", sample, "train.h5", "test.h5", 0.6, "--seed", 4)
    array = {"SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_STEP": "1"}
    for task in range(3):
        run(
            "colourHeuristic.py", "partition", sample, f"train{task}.h5", f"test{task}.h5", 0.6, "--seed", 4,
            "--shard", "auto" if task else "1/3", env=array | {"SLURM_ARRAY_TASK_ID": str(task)},
        )  # fmt: skip
    for part in ("train", "test"):
        shards = [tmp_path / f"{part}{task}.h5" for task in range(3)]
        assert stored_images(*shards) == stored_images(tmp_path / f"{part}.h5")
        assert stored_labels(*shards) == stored_labels(tmp_path / f"{part}.h5")
        run("colourHeuristic.py", "merge", f"{part}-merged.h5", f"{part}[0-2].h5")
        assert sorted(rows(tmp_path / f"{part}-merged.h5")) == sorted(rows(tmp_path / f"{part}.h5"))


def test_shards_of_sort_equal_one_run(run, sample, tmp_path):
    run("colourHeuristic.py", "sort", sample, "whole.h5", 30, 5, "--seed", 8)
    for k in (1, 2):
        run("colourHeuristic.py", "sort", sample, f"s{k}.h5", 30, 5, "--seed", 8, "--shard", f"{k}/2")
    shards = tmp_path / "s1.h5", tmp_path / "s2.h5"
    assert stored_images(*shards) == stored_images(tmp_path / "whole.h5")
    run("colourHeuristic.py", "sort", sample, "s1.h5", 30, 5, "--seed", 8, "--shard", "1/2")
    assert stored_images(*shards) == stored_images(tmp_path / "whole.h5"), "the same command adds nothing"
    run("colourHeuristic.py", "sort", sample, "other.h5", 30, 5, "--seed", 9)
    for k in (1, 2):
        run("colourHeuristic.py", "sort", sample, f"s{k}.h5", 30, 5, "--seed", 9, "--shard", f"{k}/2")
    assert stored_images(*shards) == (
        stored_images(tmp_path / "whole.h5") | stored_images(tmp_path / "other.h5")
    )


# ----- archives and their members -----


def test_a_wrong_checksum_at_the_end_stores_nothing(run, sample, tmp_path):
    data = bytearray(sample.read_bytes())
    data[-8] ^= 1  # in the CRC-32 that ends a gzip file: RFC 1952
    (tmp_path / "bad.tgz").write_bytes(data)
    done = run("colourHeuristic.py", "partition", "bad.tgz", "train.h5", "test.h5", 0.5, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "bad.tgz is damaged" in done.stderr and "images are not what was packed" in done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".tgz"] == []
    run("colourHeuristic.py", "sort", sample, "train.h5", 20, 5)
    before = (tmp_path / "train.h5").read_bytes()
    done = run("colourHeuristic.py", "partition", "bad.tgz", "train.h5", "test.h5", 0.5, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert (tmp_path / "train.h5").read_bytes() == before
    run("colourHeuristic.py", "partition", sample, "train.h5", "test.h5", 0.5)
    assert len(stored_images(tmp_path / "train.h5") | stored_images(tmp_path / "test.h5")) == 60


def test_sort_takes_a_folder_in_place_of_an_archive(run, sample, tmp_path):
    folder = tmp_path / "pictures" / "deep"
    folder.mkdir(parents=True)
    for name, data in archive_images(sample).items():
        (folder / Path(name).name).write_bytes(data)
    run("colourHeuristic.py", "sort", tmp_path / "pictures", "s.h5", 60, 60)
    assert set(stored_images(tmp_path / "s.h5").values()) == set(archive_images(sample).values())


ODD_MEMBER_NAMES = [
    "a/same.jpg", "b/same.jpg", "with space.jpg", "quote'\".jpg", "\u00fcn\u00ef\u4e2d.jpg", "-leading.jpg",
    "../../escape.jpg", "/absolute.jpg", "n" * 251 + ".jpg", "d/" + "m" * 300 + ".jpg", "new\nline.jpg",
    "back\\slash.jpg", "bytes\udcff.jpg",
]  # fmt: skip


def test_members_with_odd_names_stay_distinct(run, sample, tmp_path):
    data = next(iter(archive_images(sample).values()))
    images = {name: data + b"%d" % i for i, name in enumerate(ODD_MEMBER_NAMES)}
    (tmp_path / "names.tar").write_bytes(pack(images.items()))
    run("colourHeuristic.py", "sort", "names.tar", "s.h5", 100, 10)
    assert stored_images(tmp_path / "s.h5") == images
    with h5py.File(tmp_path / "s.h5") as file:
        assert sum(len(group) for group in file.values()) == len(ODD_MEMBER_NAMES)


def hostile_images() -> dict[str, bytes]:
    """Members that claim to be images."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def png(width: int, height: int, data: bytes) -> bytes:
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")

    bomb = zlib.compress(bytes(30_000_000), 9)
    huge_jpeg = bytes.fromhex("ffd8ffc0001108ea60ea6003012200021101031101ffd9")
    return {
        "enormous.png": png(60_000, 60_000, bomb),
        "header.jpg": huge_jpeg,
        "bomb.png": png(20_000, 20_000, bomb),
        "zip.jpg": b"PK\x03\x04" + bytes(1000),
        "empty.jpg": b"",
        "text.gif": b"GIF89a",
        "endless.gif": b"GIF89a\x01\x00\x01\x00\x80\x00\x00" + b"\x21\xfe\xff" + b"x" * 255 * 1000,
    }


def test_hostile_images_are_skipped_and_named(run, sample, tmp_path):
    good = archive_images(sample)
    bad = hostile_images() | {"cut.jpg": next(iter(good.values()))[:1500]}
    mixed = list((good | bad).items())
    random.Random(1).shuffle(mixed)
    (tmp_path / "mixed.tar").write_bytes(pack(mixed))
    done = run("colourHeuristic.py", "partition", "mixed.tar", "train.h5", "test.h5", 0.5)
    stored = stored_images(tmp_path / "train.h5", tmp_path / "test.h5")
    assert {name: stored.get(name) for name in good} == good
    assert not set(stored) & (set(bad) - {"cut.jpg"})
    assert "skipped because they cannot be decoded" in done.stderr and ".png" in done.stderr


def test_names_in_messages_have_no_escape_sequences(run, tmp_path):
    images = {"\x1b[31mred\nnext.jpg": b"no image", "good.jpg": picture((200, 40, 50), seed=1)}
    (tmp_path / "a.tar").write_bytes(pack(images.items()))
    done = run("colourHeuristic.py", "sort", "a.tar", "a.h5", 2, 1)
    assert "\x1b" not in done.stderr and "\\x1b[31mred\\nnext.jpg" in done.stderr


def test_members_with_very_long_names_are_skipped(run, tmp_path):
    images = {"x" * 32_001 + ".jpg": picture((200, 40, 50), seed=1), "a.jpg": picture((40, 40, 200), seed=2)}
    (tmp_path / "a.tar").write_bytes(pack(images.items()))
    done = run("colourHeuristic.py", "sort", "a.tar", "a.h5", 2, 1)
    assert list(stored_images(tmp_path / "a.h5")) == ["a.jpg"]
    assert "its name is too long: 32,005 characters" in done.stderr


def test_an_index_does_not_replace_a_pipe(run, sample, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    done = run("colourHeuristic.py", "sort", sample, "a.h5", 3, 1, "--index", "pipe")
    assert "pipe is no index and is left alone" in done.stderr
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


# ----- stores to add to -----


@pytest.mark.parametrize("kind", ["external link", "soft link", "dataset"])
def test_labels_that_are_no_groups_are_left_alone(run, sample, tmp_path, kind):
    with h5py.File(tmp_path / "other.h5", "w") as other, h5py.File(tmp_path / "a.h5", "w") as file:
        file["target/image.jpg"] = np.zeros(9, np.uint8)
        for label in all_labels():
            other.create_group(label)
            file[label] = {
                "external link": h5py.ExternalLink("other.h5", label),
                "soft link": h5py.SoftLink("/target"),
                "dataset": np.arange(3),
            }[kind]
    before = [(tmp_path / name).read_bytes() for name in ("a.h5", "other.h5")]
    done = run("colourHeuristic.py", "sort", sample, "a.h5", 20, 5, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "a.h5: " in done.stderr and "is a link or a dataset there" in done.stderr
    assert [(tmp_path / name).read_bytes() for name in ("a.h5", "other.h5")] == before


@pytest.mark.parametrize("attribute", ['{"a": 1}', '["x", 3]', "nonsense", "[1"])
def test_odd_heuristic_attributes_are_replaced(run, sample, sample_store, tmp_path, attribute):
    store = shutil.copy(sample_store, tmp_path / "a.h5")
    with h5py.File(store, "r+") as file:
        file.attrs["heuristic"] = attribute
        del file[next(iter(file))]
    assert "new)" in run("colourHeuristic.py", "sort", sample, store, 60, 10).stdout
    with ImageStore(store) as done:
        assert [record["version"] for record in done.heuristics()] == [HEURISTIC_VERSION]


def test_two_stores_whose_long_names_begin_alike(run, sample, tmp_path):
    train, test = (f"{'n' * 230}-{part}.h5" for part in ("train", "test"))
    run("colourHeuristic.py", "partition", sample, train, test, 0.5)
    assert len(stored_images(tmp_path / train, tmp_path / test)) == 60


def test_a_store_that_is_a_link_to_itself(run, sample, tmp_path):
    (tmp_path / "loop.h5").symlink_to("loop.h5")
    for arguments in (("sort", sample, "loop.h5", 3, 1), ("partition", sample, "loop.h5", "b.h5", 0.5)):
        done = run("colourHeuristic.py", *arguments, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert "unexpected" not in done.stderr


def test_a_store_name_that_the_locale_cannot_show(run, sample, tmp_path):
    narrow = {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    done = run("colourHeuristic.py", "sort", sample, "\u6f22.h5", 3, 1, env=narrow)
    assert done.stdout.startswith("\\u6f22.h5: 3 images")
    assert len(stored_images(tmp_path / "\u6f22.h5")) == 3
