"""`sort` and `partition` of several archives, as a user runs them."""

from __future__ import annotations

import gzip
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from imagestore.store.reader import ImageStore
from tests.helpers.archives import pack, write
from tests.helpers.commands import ROOT, without_summary
from tests.helpers.small_stores import COLOURS, picture
from tests.helpers.stored_images import stored_labels

SIZE = 6  # images in a shard
STORES = ("train.h5", "test.h5")


def images(shard: int) -> list[tuple[str, bytes]]:
    """The images of a shard; the names are the same in each shard."""
    return [(f"{i:06}.jpg", picture(COLOURS["red"], 100 * shard + i)) for i in range(SIZE)]


def write_shards(folder: Path, count: int = 4) -> list[Path]:
    return [write(folder / f"s-{k:03}.tgz", pack(images(k), "gz")) for k in range(count)]


def stored(folder: Path, *stores: str) -> list[bytes]:
    """The bytes of all images of the stores, sorted."""
    return sorted(data for store in stores or STORES for data in _images_of(folder / store).values())


def _images_of(path: Path) -> dict[str, bytes]:
    """Path in the store -> bytes of all its images."""
    with ImageStore(path) as store:
        return {store.path_of(i): store.read(i) for i in range(len(store))}


def expected(*shards: int) -> list[bytes]:
    return sorted(data for shard in shards for _, data in images(shard))


@pytest.mark.parametrize(
    "sources",
    [
        ["s-000.tgz", "s-001.tgz", "s-002.tgz", "s-003.tgz"],
        ["s-*.tgz"],
        ["s-{000..003}.tgz"],
        ["s-{000,001}.tgz", "s-00[23].tgz"],
    ],
)
@pytest.mark.parametrize("options", [[], ["--labels", "folder", "--unlabelled", "x", "--no-palette"]])
def test_all_images_are_stored(run, tmp_path, sources, options):
    write_shards(tmp_path)
    done = run("colourHeuristic.py", "partition", *sources, *STORES, 0.5, *options)
    assert stored(tmp_path) == expected(0, 1, 2, 3)
    assert without_summary(done.stderr) == ""
    again = run("colourHeuristic.py", "partition", *sources, *STORES, 0.5, *options)
    assert without_summary(again.stderr) == "already stored: 24 images\n"


def test_archives_of_different_kinds(run, tmp_path):
    write(tmp_path / "a.tar.zst", pack(images(0), "zst"))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for name, data in images(1):
            archive.writestr(name, data)
    (tmp_path / "c").mkdir()
    for name, data in images(2):
        write(tmp_path / "c" / name, data)
    run("colourHeuristic.py", "partition", "a.tar.zst", "b.zip", "c", *STORES, 0.5)
    assert stored(tmp_path) == expected(0, 1, 2)


def test_the_number_of_workers_does_not_matter(run, tmp_path):
    write_shards(tmp_path)
    listings = []
    for workers in (1, 3):
        run("colourHeuristic.py", "partition", "s-*.tgz", *STORES, 0.5, "--workers", workers)
        listings.append([_images_of(tmp_path / store) for store in STORES])
        for store in STORES:
            (tmp_path / store).unlink()
    assert listings[0] == listings[1]


def test_sort_takes_new_images_from_all_archives(run, tmp_path):
    write_shards(tmp_path)
    for count in (10, 20):
        run("colourHeuristic.py", "sort", "s-000.tgz", "s-00[123].tgz", "s.h5", 10, 2)
        assert len(stored(tmp_path, "s.h5")) == count
    done = run("colourHeuristic.py", "sort", "s-*.tgz", "s.h5", 10, 2)
    assert stored(tmp_path, "s.h5") == expected(0, 1, 2, 3)
    message = "s-000.tgz and 3 more: 4 images are not in s.h5 yet; taking all of them\n"
    assert without_summary(done.stderr) == message


def test_shares_of_all_archives_are_disjoint_and_complete(run, tmp_path):
    write_shards(tmp_path)
    for k in (1, 2, 3):
        run("colourHeuristic.py", "partition", "s-*.tgz", f"{k}.h5", "test.h5", 1, "--shard", f"{k}/3")
    assert stored(tmp_path, "1.h5", "2.h5", "3.h5") == expected(0, 1, 2, 3)
    assert len(stored(tmp_path, "2.h5")) == 8


def test_a_table_of_labels_finds_members_in_all_archives(run, tmp_path):
    names = [f"{'ab'[shard]}/{i}.jpg" for shard in range(2) for i in range(3)]
    for shard in range(2):
        entries = [
            (name, picture(COLOURS["red"], i)) for i, name in enumerate(names) if name[0] == "ab"[shard]
        ]
        write(tmp_path / f"{shard}.tar", pack(entries))
    (tmp_path / "l.csv").write_text("name,label\n" + "".join(f"{name},l{name[0]}\n" for name in names))
    run("colourHeuristic.py", "partition", "0.tar", "1.tar", *STORES, 1, "--labels", "l.csv")
    assert run("colourHeuristic.py", "summary", "train.h5").stdout.split()[0:5:4] == ["la", "3"]
    assert len(stored(tmp_path, "train.h5")) == 6


def test_a_mat_file_counts_through_all_archives(run, tmp_path):
    import numpy as np
    from scipy.io import savemat

    for shard, numbers in enumerate([(1, 2, 10), (3, 4)]):
        entries = [(f"{i}.jpg", picture(COLOURS["red"], i)) for i in numbers]
        write(tmp_path / f"{shard}.tar", pack(entries))
    savemat(tmp_path / "l.mat", {"labels": np.array([[5, 5, 7, 7, 9]])})
    run("colourHeuristic.py", "partition", "0.tar", "1.tar", *STORES, 1, "--labels", "l.mat")
    assert stored_labels(tmp_path / "train.h5") == {
        "1.jpg": "5",
        "2.jpg": "5",
        "3.jpg": "7",
        "4.jpg": "7",
        "10.jpg": "9",
    }


# ----- damage -----


def break_shard(shards: list[Path], number: int, kind: str) -> str:
    """Damage a shard; return what the message says of it."""
    path = shards[number]
    whole = path.read_bytes()
    if kind == "cut":
        path.write_bytes(whole[: len(whole) // 2])
        return "s-001.tgz ends in the middle of"
    if kind == "empty":
        path.write_bytes(b"")
        return "s-001.tgz is empty: download or copy it again"
    if kind == "page":
        path.write_bytes(b"<!DOCTYPE html><html><body>404</body></html>")
        return "s-001.tgz is"
    path.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])
    return "s-001.tgz is damaged (wrong checksum)"


@pytest.mark.parametrize("kind", ["cut", "empty", "page", "checksum"])
@pytest.mark.parametrize("options", [[], ["--shard", "1/1"], ["--labels", "l.csv", "--no-palette"]])
def test_a_damaged_archive_costs_no_other(run, tmp_path, kind, options):
    (tmp_path / "l.csv").write_text("name,label\n" + "".join(f"{i:06}.jpg,x\n" for i in range(SIZE)))
    shards = write_shards(tmp_path)
    message = break_shard(shards, 1, kind)
    done = run("colourHeuristic.py", "partition", "s-*.tgz", *STORES, 0.5, *options, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"colourHeuristic: error: {message}")
    found = stored(tmp_path)
    assert set(expected(0, 2, 3)) <= set(found)
    assert len(found) - 3 * SIZE in (range(1, SIZE) if kind == "cut" else (0,))
    for store in STORES:
        run("h5vfs.py", "verify", store)
    write(shards[1], pack(images(1), "gz"))
    run("colourHeuristic.py", "partition", "s-*.tgz", *STORES, 0.5, *options)
    assert stored(tmp_path) == expected(0, 1, 2, 3)


def test_labels_of_a_wrong_archive_vanish_with_its_images(run, tmp_path):
    for k, folder in enumerate(["a", "b", "c"]):
        entries = [(f"{folder}/{name}", data) for name, data in images(k)]
        write(tmp_path / f"s-00{k}.tgz", pack(entries, "gz"))
    break_shard([tmp_path / f"s-00{k}.tgz" for k in range(3)], 1, "checksum")
    options = ("--labels", "folder", "--no-palette")
    done = run("colourHeuristic.py", "partition", "s-*.tgz", *STORES, 1, *options, check=False)
    assert done.stdout.startswith("train.h5: 12 images under 2 labels (12 new)\n")
    assert run("h5vfs.py", "ls", "train.h5").stdout == "a\nc\n"


def test_several_damaged_archives_are_named(run, tmp_path):
    shards = write_shards(tmp_path)
    for number in (0, 2):
        shards[number].write_bytes(b"")
    done = run("colourHeuristic.py", "sort", "s-*.tgz", "s.h5", 12, 3, check=False)
    assert done.returncode == 1
    assert "2 of 4 archives are damaged: s-000.tgz is empty" in done.stderr
    assert "s-002.tgz is empty" in done.stderr
    assert stored(tmp_path, "s.h5") == expected(1, 3)


def test_only_damaged_archives(run, tmp_path):
    for shard in write_shards(tmp_path, 2):
        shard.write_bytes(gzip.compress(b"no tar"))
    done = run("colourHeuristic.py", "partition", "s-*.tgz", *STORES, 0.5, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "2 of 2 archives are damaged: s-000.tgz" in done.stderr
    assert not (tmp_path / "train.h5").exists()


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["s-{000..004}.tgz"], "s-{000..004}.tgz: 1 of 5 archives are not there: s-004.tgz"),
        (["x*.tar"], "x*.tar: no file matches this pattern"),
        (["s-000.tgz", "gone.tgz"], "1 of 2 archives are not there: gone.tgz"),
    ],
)
def test_missing_archives_are_named_before_the_work(run, tmp_path, sources, message):
    write_shards(tmp_path)
    done = run("colourHeuristic.py", "partition", *sources, *STORES, 0.5, check=False)
    assert done.returncode == 1
    assert done.stderr == f"colourHeuristic: error: {message}\n"


# ----- indexes, and many archives -----


def test_the_indexes_of_several_archives_go_into_a_folder(run, tmp_path):
    write_shards(tmp_path)
    for _ in range(2):
        run("colourHeuristic.py", "sort", "s-*.tgz", "s.h5", 5, 2, "--index", "indexes")
    assert len(list((tmp_path / "indexes").glob("*.index"))) == 4
    (tmp_path / "file").touch()
    done = run("colourHeuristic.py", "sort", "s-*.tgz", "s.h5", 5, 2, "--index", "file", check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "colourHeuristic: error: file is a file: several archives need a folder for their indexes\n"
    )


def test_more_archives_than_files_may_be_open(tmp_path):
    for k in range(60):
        write(tmp_path / f"s-{k:03}.tar", pack([(f"{k}.jpg", picture(COLOURS["red"], k))]))
    limit = 40

    def set_limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    script = ROOT / "colourHeuristic.py"
    for command in (
        ["partition", "s-{000..059}.tar", *STORES, "0.5"],
        ["sort", "s-*.tar", "s.h5", "60", "1"],
    ):
        done = subprocess.run(
            [sys.executable, script, *command, "--workers", "1"],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, preexec_fn=set_limit,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert len(stored(tmp_path)) == len(stored(tmp_path, "s.h5")) == 60


@pytest.mark.parametrize("source", ["s-*.tgz", "s-{000..003}.tgz"])
def test_other_commands_take_several_archives_too(run, tmp_path, source):
    write_shards(tmp_path)
    lines = run("colourHeuristic.py", "identify", source, "--all").stdout
    assert lines.count("000003.jpg: red") == 4
    one = run("colourHeuristic.py", "identify", source, "000003.jpg").stdout
    assert one.count("000003.jpg: red") == 1
    run("colourHeuristic.py", "show", source, "000003.jpg", "-o", "shown.png")
    assert (tmp_path / "shown.png").stat().st_size > 0
