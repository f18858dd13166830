"""sort, partition and merge as a user runs them, on real archives and folders."""

import io
import os
import random
import re
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image as Picture

from imagestore.colour.label import all_labels
from imagestore.colour.palette import HEURISTIC_VERSION, find_palette
from imagestore.labelling import workers as labelling_workers
from imagestore.labelling.sampling import draw
from imagestore.labelling.workers import Workers
from imagestore.store.reader import ImageStore
from imagestore.store.walk import walk
from tests.helpers.commands import ROOT
from tests.helpers.killed_runs import members
from tests.helpers.small_stores import picture


def contents(*paths: Path) -> dict[str, bytes]:
    """Every image of some stores, by its member's name."""
    found: dict[str, bytes] = {}
    for path in paths:
        with ImageStore(path) as store:
            for i in range(len(store)):
                member = os.fsdecode(store.index.member(i))
                assert member not in found, f"{member} is stored twice"
                found[member] = store.read(i)
    return found


def labels(*paths: Path) -> dict[str, str]:
    """Every image's label by its member's name."""
    found = {}
    for path in paths:
        with ImageStore(path) as store:
            for i in range(len(store)):
                found[os.fsdecode(store.index.member(i))] = store.labels[store.index.label_of(i)]
    return found


def layout(path: Path) -> list[tuple]:
    """All that a store holds but the time it was made."""
    with ImageStore(path) as store:
        rows = [store.index.record(i) for i in range(len(store))]
        return [
            (r.label, r.name, r.member, r.crc32, r.mtime, store.palette(i).tobytes())
            for i, r in enumerate(rows)
        ]


def test_partition_puts_every_image_in_one_file(run, sample, tmp_path):
    done = run("colourHeuristic.py", "partition", sample, "train.h5", "test.h5", 0.7)
    train, test = contents(tmp_path / "train.h5"), contents(tmp_path / "test.h5")
    assert train | test == members(sample) and not train.keys() & test.keys()
    assert all(draw(0, name) < 0.7 for name in train) and all(draw(0, name) >= 0.7 for name in test)
    assert f"train.h5: {len(train)} images" in done.stdout and f"test.h5: {len(test)} images" in done.stdout
    assert "passed over: not images (1)\n" in done.stderr


def test_nothing_is_stored_of_an_archive_whose_last_checksum_is_wrong(run, sample, tmp_path):
    data = bytearray(sample.read_bytes())
    data[-8] ^= 1  # of the CRC-32 that ends a gzip file: RFC 1952
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
    assert len(contents(tmp_path / "train.h5") | contents(tmp_path / "test.h5")) == 60


def test_partition_again_moves_nothing_and_writes_nothing(run, sample, tmp_path):
    run("colourHeuristic.py", "partition", sample, "train.h5", "test.h5", 0.5)
    before = [(tmp_path / name).stat().st_ino for name in ("train.h5", "test.h5")]
    done = run("colourHeuristic.py", "partition", sample, "train.h5", "test.h5", 0.9, "--seed", 3)
    assert [(tmp_path / name).stat().st_ino for name in ("train.h5", "test.h5")] == before
    assert "there already: 60" in done.stderr


@pytest.mark.parametrize(
    "command", [["sort", "s.h5", 40, 7], ["partition", "s.h5", "t.h5", 0.6]], ids=["sort", "partition"]
)
def test_the_seed_decides_and_not_the_number_of_workers(run, sample, tmp_path, command):
    name, *rest = command
    stores = []
    for workers in (1, 4):
        folder = tmp_path / str(workers)
        folder.mkdir()
        run("colourHeuristic.py", name, sample, *rest, "--seed", 9, "--workers", workers, cwd=folder)
        stores.append([layout(path) for path in sorted(folder.glob("*.h5"))])
    assert stores[0] == stores[1]


def test_sort_again_adds_new_images_until_there_are_none(run, sample, tmp_path):
    run("colourHeuristic.py", "sort", sample, "s.h5", 25, 5)
    first = contents(tmp_path / "s.h5")
    run("colourHeuristic.py", "sort", sample, "s.h5", 25, 5)
    second = contents(tmp_path / "s.h5")
    done = run("colourHeuristic.py", "sort", sample, "s.h5", 25, 5)
    assert (len(first), len(second)) == (25, 50)
    assert second.items() > first.items()
    assert contents(tmp_path / "s.h5") == members(sample)
    assert "taking all" in done.stderr and "60 images" in done.stdout


def test_sort_takes_runs_of_neighbours(run, sample, tmp_path):
    run("colourHeuristic.py", "sort", sample, "s.h5", 12, 4, "--seed", 2)
    order = list(members(sample))
    taken = {order.index(name) for name in contents(tmp_path / "s.h5")}
    assert len(taken) == 12
    assert sum(position + 1 in taken for position in taken) >= 8


def test_shards_hold_together_what_one_run_would(run, sample, tmp_path):
    run("colourHeuristic.py", "partition", sample, "train.h5", "test.h5", 0.6, "--seed", 4)
    array = {"SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_STEP": "1"}
    for task in range(3):
        shard = ["auto"] if task else ["1/3"]
        run(
            "colourHeuristic.py", "partition", sample, f"train{task}.h5", f"test{task}.h5", 0.6, "--seed", 4,
            "--shard", *shard, env=array | {"SLURM_ARRAY_TASK_ID": str(task)},
        )  # fmt: skip
    for part in ("train", "test"):
        shards = [tmp_path / f"{part}{task}.h5" for task in range(3)]
        assert contents(*shards) == contents(tmp_path / f"{part}.h5")
        assert labels(*shards) == labels(tmp_path / f"{part}.h5")
        run("colourHeuristic.py", "merge", f"{part}-merged.h5", f"{part}[0-2].h5")
        assert sorted(layout(tmp_path / f"{part}-merged.h5")) == sorted(layout(tmp_path / f"{part}.h5"))


def test_shards_of_sort(run, sample, tmp_path):
    run("colourHeuristic.py", "sort", sample, "one.h5", 30, 5, "--seed", 8)
    for k in (1, 2):
        run("colourHeuristic.py", "sort", sample, f"s{k}.h5", 30, 5, "--seed", 8, "--shard", f"{k}/2")
    shards = tmp_path / "s1.h5", tmp_path / "s2.h5"
    assert contents(*shards) == contents(tmp_path / "one.h5")
    run("colourHeuristic.py", "sort", sample, "s1.h5", 30, 5, "--seed", 8, "--shard", "1/2")
    assert contents(*shards) == contents(tmp_path / "one.h5"), "the same command again completes a shard"
    run("colourHeuristic.py", "sort", sample, "other.h5", 30, 5, "--seed", 9)
    for k in (1, 2):
        run("colourHeuristic.py", "sort", sample, f"s{k}.h5", 30, 5, "--seed", 9, "--shard", f"{k}/2")
    assert contents(*shards) == contents(tmp_path / "one.h5") | contents(tmp_path / "other.h5")


def test_merge_adds_and_recognises(run, sample, old_store, tmp_path):
    run("colourHeuristic.py", "sort", sample, "a.h5", 20, 5, "--seed", 1)
    run("colourHeuristic.py", "sort", sample, "b.h5", 60, 5)
    run("colourHeuristic.py", "merge", "all.h5", "a.h5", "b.h5", old_store)
    with ImageStore(old_store) as old, ImageStore(tmp_path / "all.h5") as merged:
        assert len(merged) == 60 + len(old)
        merged_bytes = {merged.read(i) for i in range(len(merged))}
        assert merged_bytes == {old.read(i) for i in range(len(old))} | set(members(sample).values())
    again = run("colourHeuristic.py", "merge", "all.h5", "b.h5", "a.h5")
    assert "(0 new)" in again.stdout
    itself = run("colourHeuristic.py", "merge", "all.h5", "all.h5", check=False)
    assert itself.returncode == 1 and "is the output" in itself.stderr


def attributes(path: Path) -> dict[bytes, dict]:
    """What plain h5py finds beside the bytes of every image, by the image's bytes."""
    with h5py.File(path) as file:
        return {
            dataset[()].tobytes(): {key: np.asarray(value).tobytes() for key, value in dataset.attrs.items()}
            for group in file.values()
            for dataset in group.values()
        }


def test_merge_keeps_all_that_is_known_of_an_image(run, sample, tmp_path):
    """Whether its store is where the new one begins, is added to it, or goes into one that is there."""
    for k in (1, 2, 3):
        run("colourHeuristic.py", "sort", sample, f"s{k}.h5", 60, 60, "--shard", f"{k}/3")
    known = attributes(tmp_path / "s1.h5") | attributes(tmp_path / "s2.h5") | attributes(tmp_path / "s3.h5")
    assert len(known) == 60 and all(len(each) == 5 for each in known.values())
    run("colourHeuristic.py", "merge", "all.h5", "s1.h5", "s2.h5")
    run("colourHeuristic.py", "merge", "all.h5", "s3.h5")
    assert attributes(tmp_path / "all.h5") == known
    with ImageStore(tmp_path / "all.h5") as merged, h5py.File(merged.path, locking=False) as file:
        assert (merged.index.offset > 0).all() and merged.index.fresh and merged.index.whole
        assert {merged.read(i) for i in range(len(merged))} == known.keys()
        assert len(merged.heuristics()) == 1
        assert walk(file).column("name_text").tobytes() == merged.index.column("name_text").tobytes()
    subprocess.run(["h5stat", tmp_path / "all.h5"], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("order", [("damaged.h5", "b.h5"), ("b.h5", "damaged.h5")])
def test_merge_leaves_out_what_is_damaged_and_says_so(run, sample, tmp_path, order):
    run("colourHeuristic.py", "sort", sample, "damaged.h5", 60, 60, "--shard", "1/2")
    run("colourHeuristic.py", "sort", sample, "b.h5", 60, 60, "--shard", "2/2")
    with ImageStore(tmp_path / "damaged.h5") as store, (tmp_path / "damaged.h5").open("r+b") as file:
        name, offset = store.path_of(7), int(store.index.offset[7])
        first = store.read(7)[:1]
        file.seek(offset)
        file.write(bytes([first[0] ^ 1]))
    done = run("colourHeuristic.py", "merge", "all.h5", *order, check=False)
    assert done.returncode == 1 and "1 images could not be read" in done.stderr and name in done.stderr
    assert len(contents(tmp_path / "all.h5")) == 59
    again = run("colourHeuristic.py", "merge", "all.h5", *order, check=False)
    assert again.returncode == 1 and "(0 new)" in again.stdout


def test_merge_where_a_palette_is_damaged(run, sample, tmp_path):
    """The image is what counts: it is stored without what cannot be read."""
    run("colourHeuristic.py", "sort", sample, "a.h5", 10, 10)
    run("colourHeuristic.py", "sort", sample, "b.h5", 30, 30)
    path = tmp_path / "b.h5"
    data = bytearray(path.read_bytes())
    at = [found.start() for found in re.finditer(b"palette\0", data)]
    for kind in at[::2]:
        data[kind + 8] = 0xFF  # the class of its numbers: none that there is
    path.write_bytes(data)
    run("colourHeuristic.py", "merge", "all.h5", "a.h5", "b.h5")
    with ImageStore(tmp_path / "all.h5") as store:
        assert {store.read(i) for i in range(len(store))} >= set(contents(path).values())
        assert 0 < sum(store.palette(i) is None for i in range(len(store))) < len(store)


def test_merge_recognises_images_that_have_no_checksum(run, old_store, tmp_path):
    before = shutil.copy(old_store, tmp_path / "all.h5")
    again = run("colourHeuristic.py", "merge", before, old_store)
    assert "36 images" in again.stdout and "(0 new)" in again.stdout


@pytest.mark.parametrize("kind", ["external link", "soft link", "dataset"])
def test_a_label_that_is_no_group_of_the_store_itself(run, sample, tmp_path, kind):
    with h5py.File(tmp_path / "other.h5", "w") as other, h5py.File(tmp_path / "a.h5", "w") as file:
        file["kept/image.jpg"] = np.zeros(9, np.uint8)
        for label in all_labels():
            other.create_group(label)
            file[label] = {
                "external link": h5py.ExternalLink("other.h5", label),
                "soft link": h5py.SoftLink("/kept"),
                "dataset": np.arange(3),
            }[kind]
    before = [(tmp_path / name).read_bytes() for name in ("a.h5", "other.h5")]
    done = run("colourHeuristic.py", "sort", sample, "a.h5", 20, 5, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "a.h5: " in done.stderr and "is a link or a dataset there" in done.stderr
    assert [(tmp_path / name).read_bytes() for name in ("a.h5", "other.h5")] == before


@pytest.mark.parametrize("kept", ['{"a": 1}', '["x", 3]', "nonsense", "[1"])
def test_a_note_on_the_heuristic_that_is_none_of_ours(run, sample, sample_store, tmp_path, kept):
    store = shutil.copy(sample_store, tmp_path / "a.h5")
    with h5py.File(store, "r+") as file:
        file.attrs["heuristic"] = kept
        del file[next(iter(file))]
    assert "new)" in run("colourHeuristic.py", "sort", sample, store, 60, 10).stdout
    with ImageStore(store) as done:
        assert [record["version"] for record in done.heuristics()] == [HEURISTIC_VERSION]


def test_names_that_begin_alike_for_two_hundred_bytes(run, sample, tmp_path):
    train, test = (f"{'n' * 230}-{part}.h5" for part in ("train", "test"))
    run("colourHeuristic.py", "partition", sample, train, test, 0.5)
    assert len(contents(tmp_path / train, tmp_path / test)) == 60


@pytest.mark.parametrize(
    "arguments",
    [
        ("sort", "{sample}", "pipe", 3, 1),
        ("merge", "pipe", "{store}"),
        ("summary", "pipe"),
        ("identify", "pipe", "x"),
        ("show", "{store}", "-o", "pipe"),
    ],
)
def test_a_pipe_in_place_of_a_file_is_refused_and_stays(run, sample, sample_store, tmp_path, arguments):
    os.mkfifo(tmp_path / "pipe")
    given = [str(each).format(sample=sample, store=sample_store) for each in arguments]
    done = run("colourHeuristic.py", *given, check=False, timeout=30)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_an_index_is_not_put_in_the_place_of_a_device(run, sample, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    done = run("colourHeuristic.py", "sort", sample, "a.h5", 3, 1, "--index", "pipe")
    assert "pipe is no index and is left alone" in done.stderr
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_store_that_is_a_link_to_itself(run, sample, tmp_path):
    (tmp_path / "loop.h5").symlink_to("loop.h5")
    for arguments in (("sort", sample, "loop.h5", 3, 1), ("partition", sample, "loop.h5", "b.h5", 0.5)):
        done = run("colourHeuristic.py", *arguments, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert "unexpected" not in done.stderr


def test_what_cannot_be_decoded_is_named_without_its_escapes(run, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "\x1b[31mred\nnext.jpg", b"no image")
        add(tar, "good.jpg", picture((200, 40, 50), seed=1))
    done = run("colourHeuristic.py", "sort", "a.tar", "a.h5", 2, 1)
    assert "\x1b" not in done.stderr and "\\x1b[31mred\\nnext.jpg" in done.stderr


def test_a_name_that_the_locale_cannot_show(run, sample, tmp_path):
    narrow = {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    done = run("colourHeuristic.py", "sort", sample, "\u6f22.h5", 3, 1, env=narrow)
    assert done.stdout.startswith("\\u6f22.h5: 3 images")
    assert len(contents(tmp_path / "\u6f22.h5")) == 3


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_streams_that_are_closed(sample, tmp_path, closed):
    command = f"'{sys.executable}' '{ROOT}/colourHeuristic.py' sort '{sample}' a.h5 9 3 --index i {closed}"
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, timeout=60).returncode == 0
    assert len(contents(tmp_path / "a.h5")) == 9


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("colourHeuristic.py", ("sort", "x.tgz", "", 3, 1)),
        ("colourHeuristic.py", ("merge", "", "a.h5")),
        ("h5vfs.py", ("unpack", "a.h5", "")),
        ("h5vfs.py", ("pack", "", "a.h5")),
        ("h5vfs.py", ("a.h5", "")),
        ("h5vfs.py", ("-u", "")),
    ],
)
def test_an_empty_path_is_not_the_folder_one_is_in(run, script, arguments):
    done = run(script, *arguments, check=False)
    assert done.returncode == 2 and "a path is empty: is a variable unset?" in done.stderr


def test_an_array_job_with_odd_variables(run, sample):
    array = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_ARRAY_TASK_STEP": "0"}
    done = run("colourHeuristic.py", "sort", sample, "a.h5", 3, 1, "--shard", "auto", env=array, check=False)
    assert done.returncode == 2 and "needs a Slurm array job" in done.stderr


def test_a_folder_in_place_of_an_archive(run, sample, tmp_path):
    folder = tmp_path / "pictures" / "deep"
    folder.mkdir(parents=True)
    for name, data in members(sample).items():
        (folder / Path(name).name).write_bytes(data)
    run("colourHeuristic.py", "sort", tmp_path / "pictures", "s.h5", 60, 60)
    assert set(contents(tmp_path / "s.h5").values()) == set(members(sample).values())


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


NAMES = [
    "a/same.jpg", "b/same.jpg", "with space.jpg", "quote'\".jpg", "\u00fcn\u00ef\u4e2d.jpg", "-leading.jpg",
    "../../escape.jpg", "/absolute.jpg", "n" * 251 + ".jpg", "d/" + "m" * 300 + ".jpg", "new\nline.jpg",
    "back\\slash.jpg", "bytes\udcff.jpg",
]  # fmt: skip


def test_names_of_every_kind_are_stored_distinct(run, sample, tmp_path):
    data = next(iter(members(sample).values()))
    with tarfile.open(tmp_path / "names.tar", "w") as tar:
        for i, name in enumerate(NAMES):
            add(tar, name, data + b"%d" % i)
    run("colourHeuristic.py", "sort", "names.tar", "s.h5", 100, 10)
    assert contents(tmp_path / "s.h5") == {name: data + b"%d" % i for i, name in enumerate(NAMES)}
    with h5py.File(tmp_path / "s.h5") as file:
        assert sum(len(group) for group in file.values()) == len(NAMES)


def hostile() -> dict[str, bytes]:
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


def test_hostile_images_are_skipped_counted_and_named(run, sample, tmp_path):
    good = members(sample)
    bad = hostile() | {"cut.jpg": next(iter(good.values()))[:1500]}
    with tarfile.open(tmp_path / "mixed.tar", "w") as tar:
        everything = list((good | bad).items())
        random.Random(1).shuffle(everything)
        for name, data in everything:
            add(tar, name, data)
    done = run("colourHeuristic.py", "partition", "mixed.tar", "train.h5", "test.h5", 0.5)
    stored = contents(tmp_path / "train.h5", tmp_path / "test.h5")
    assert {name: stored.get(name) for name in good} == good
    assert not set(stored) & (set(bad) - {"cut.jpg"})
    assert "skipped, cannot be decoded" in done.stderr and ".png" in done.stderr


def test_a_decoder_that_crashes_costs_one_image(sample, tmp_path, monkeypatch):
    poison = b"this one kills its worker"
    whole = find_palette
    monkeypatch.setattr(
        labelling_workers, "find_palette", lambda data: os._exit(9) if data == poison else whole(data)
    )
    images = list(members(sample).items())
    images.insert(20, ("poison.jpg", poison))
    with Workers(2) as pool:
        found = list(pool.label(images))
    assert [name for name, _, _ in found] == [name for name, _ in images]
    assert [name for name, _, result in found if result.reason] == ["poison.jpg"]


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        (["sort", "none.tgz", "s.h5", 5, 5], 1, "none.tgz"),
        (["sort", "text.tgz", "s.h5", 5, 5], 1, "text.tgz"),
        (["sort", "noimage.tar", "s.h5", 5, 5], 1, "noimage.tar"),
        (["partition", "noimage.tar", "s.h5", "t.h5", 0.5], 1, "noimage.tar"),
        (["sort", "one.tar", "text.tgz", 5, 5], 1, "not an HDF5 file"),
        (["sort", "one.tar", "s.h5", 0, 5], 2, "COUNT"),
        (["sort", "one.tar", "s.h5", 5, -1], 2, "CHUNK"),
        (["sort", "one.tar", "s.h5", "many", 5], 2, "COUNT"),
        (["partition", "one.tar", "s.h5", "t.h5", 1.5], 2, "FRACTION"),
        (["partition", "one.tar", "s.h5", "t.h5", "nan"], 2, "FRACTION"),
        (["partition", "one.tar", "s.h5", "s.h5", 0.5], 1, "twice"),
        (["sort", "one.tar", "s.h5", 5, 5, "--shard", "3/2"], 2, "--shard"),
        (["sort", "one.tar", "s.h5", 5, 5, "--shard", "auto"], 2, "Slurm"),
        (["merge", "s.h5", "none.h5"], 1, "none.h5"),
        (["merge", "s.h5", "none*.h5"], 1, "none*.h5"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(run, tmp_path, arguments, status, words):
    (tmp_path / "text.tgz").write_text("no archive")
    with tarfile.open(tmp_path / "noimage.tar", "w") as tar:
        add(tar, "files.txt", b"nothing to see")
    Picture.new("RGB", (40, 40), "red").save(tmp_path / "red.png")
    with tarfile.open(tmp_path / "one.tar", "w") as tar:
        add(tar, "red.png", (tmp_path / "red.png").read_bytes())
    before = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    done = run("colourHeuristic.py", *arguments, check=False)
    assert done.returncode == status and words in done.stderr and not done.stdout
    assert status == 2 or len(done.stderr.splitlines()) == 1, done.stderr
    after = {path.name: path.stat().st_size for path in tmp_path.iterdir() if path.name != "cache"}
    assert after == before
