"""The four commands one after the other, as a person runs them, on real photographs.

The photographs are those of $FLOWERS_TGZ if it is set, else drawn pictures. Bytes are compared with those
of Python's own tarfile.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import pytest

from tests.helpers.commands import ROOT, Run, environment

IMAGES = (".jpg", ".jpeg", ".png")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def in_archive(archive: Path) -> Counter[str]:
    """The hashes of all images of an archive."""
    with tarfile.open(archive) as tar:
        members = (m for m in tar if m.isfile() and m.name.endswith(IMAGES))
        return Counter(digest(tar.extractfile(m).read()) for m in members)


def in_store(store: Path) -> dict[str, str]:
    """Path and hash of every image of a store, as plain h5py reads it."""
    found = {}

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = digest(item[()].tobytes())

    with h5py.File(store) as file:
        file.visititems(visit)
    return found


def in_folder(folder: Path) -> dict[str, str]:
    """Path and hash of every file under a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): digest(path.read_bytes()) for path in files}


@contextmanager
def mounted(run: Run, store: Path, mountpoint: Path) -> Iterator[Path]:
    run("h5vfs.py", store, mountpoint)
    try:
        yield mountpoint
    finally:
        run("h5vfs.py", "-u", mountpoint)


@pytest.fixture(scope="module")
def parts(flowers: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The archive partitioned once for all tests here."""
    folder = tmp_path_factory.mktemp("parts")
    train, test = folder / "train.h5", folder / "test.h5"
    command = [sys.executable, str(ROOT / "colourHeuristic.py"), "partition", flowers, train, test, "0.8"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=environment({"XDG_CACHE_HOME": str(folder)})
    )
    assert done.returncode == 0, done.stderr
    return train, test


@pytest.fixture(scope="module")
def trained(parts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The labels file after one epoch on the larger part; the weights are beside it."""
    folder = tmp_path_factory.mktemp("trained")
    command = [sys.executable, str(ROOT / "train_model.py"), parts[0], "--epochs", "1", "-o", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder / "train_labels.json"


def test_partition_puts_every_image_into_one_file(flowers: Path, parts: tuple[Path, Path]) -> None:
    train, test = (in_store(part) for part in parts)
    assert Counter(train.values()) + Counter(test.values()) == in_archive(flowers)
    assert 0.7 < len(train) / (len(train) + len(test)) < 0.9


def test_the_labels_are_groups_one_deep(parts: tuple[Path, Path]) -> None:
    paths = in_store(parts[0])
    assert all(path.count("/") == 1 for path in paths)
    assert len({path.split("/")[0] for path in paths}) > 3


def test_the_mount_shows_the_same_bytes(
    run: Run, parts: tuple[Path, Path], tmp_path: Path, fuse_library: str
) -> None:
    for part in parts:
        with mounted(run, part, tmp_path / "mnt") as folder:
            assert in_folder(folder) == in_store(part)


def test_train_leaves_labels_and_weights(parts: tuple[Path, Path], trained: Path) -> None:
    labels = json.loads(trained.read_text())
    groups = {path.split("/")[0] for path in in_store(parts[0])}
    assert sorted(labels) == sorted(groups)
    assert sorted(labels.values()) == list(range(len(labels)))
    assert (trained.parent / "model_weights.pth").stat().st_size > 0


def test_classify_a_store(run: Run, parts: tuple[Path, Path], trained: Path, tmp_path: Path) -> None:
    plot = tmp_path / "classified.png"
    done = run("classify.py", parts[1], trained, "20", "--plot", plot, timeout=120)
    paths = set(in_store(parts[1]))
    named = [line for line in done.stdout.splitlines() if any(path in line for path in paths)]
    assert len(named) == 20
    assert "accuracy" in done.stdout.lower()
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_classify_an_archive(run: Run, flowers: Path, trained: Path) -> None:
    done = run("classify.py", flowers, trained, "5", timeout=120)
    named = [line for line in done.stdout.splitlines() if ".jpg" in line]
    assert len(named) == 5
    labels = json.loads(trained.read_text())
    assert all(any(label in line for label in labels) for line in named)


def test_sort_again_adds_new_images_only(run: Run, flowers: Path, tmp_path: Path) -> None:
    store = tmp_path / "some.h5"
    run("colourHeuristic.py", "sort", flowers, store, "24", "4")
    first = in_store(store)
    assert len(first) == 24
    run("colourHeuristic.py", "sort", flowers, store, "24", "4")
    both = in_store(store)
    assert len(both) == 48
    assert first.items() <= both.items()
    assert not Counter(both.values()) - in_archive(flowers)


def test_a_count_above_the_total_takes_all_images(run: Run, sample: Path, tmp_path: Path) -> None:
    store = tmp_path / "all.h5"
    done = run("colourHeuristic.py", "sort", sample, store, "1000", "10")
    assert Counter(in_store(store).values()) == in_archive(sample)
    assert "60" in done.stdout + done.stderr


@pytest.mark.parametrize("workers", ["1", "3"])
def test_the_seed_decides_and_not_the_workers(run: Run, sample: Path, tmp_path: Path, workers: str) -> None:
    for store, count in (("a.h5", "2"), ("b.h5", workers)):
        run(
            "colourHeuristic.py",
            "sort",
            sample,
            tmp_path / store,
            "20",
            "4",
            "--seed",
            "5",
            "--workers",
            count,
        )
    assert in_store(tmp_path / "a.h5") == in_store(tmp_path / "b.h5")


def test_identify_takes_a_member_a_stored_image_and_a_file(
    run: Run, flowers: Path, parts: tuple[Path, Path], tmp_path: Path
) -> None:
    stored = next(iter(in_store(parts[0])))
    with h5py.File(parts[0]) as file:
        data = file[stored][()].tobytes()
        member = file[stored].attrs["member"].tobytes().decode()
    plain = tmp_path / "plain.jpg"
    plain.write_bytes(data)
    answers = [
        run("colourHeuristic.py", "identify", *source).stdout
        for source in ((flowers, member), (parts[0], stored), (plain,))
    ]
    colours = [[word for word in answer.split() if word.startswith("#")] for answer in answers]
    assert len(colours[0]) == 3
    assert colours[0] == colours[1] == colours[2]


def test_a_store_of_older_tools_mounts(run: Run, old_store: Path, tmp_path: Path, fuse_library: str) -> None:
    with mounted(run, old_store, tmp_path / "mnt") as folder:
        assert in_folder(folder) == in_store(old_store)


@pytest.mark.slow
def test_a_store_of_older_tools_trains_and_classifies(run: Run, old_store: Path, tmp_path: Path) -> None:
    run("train_model.py", old_store, "--epochs", "1", "-o", tmp_path, timeout=120)
    labels = json.loads((tmp_path / "old_labels.json").read_text())
    assert sorted(labels) == ["d._red", "green", "l._blue"]
    done = run("classify.py", old_store, tmp_path / "old_labels.json", "36", timeout=120)
    assert "accuracy" in done.stdout.lower()


# ----- bad input -----


def truncated(folder: Path, sample: Path) -> Path:
    path = folder / "truncated.tgz"
    path.write_bytes(sample.read_bytes()[: sample.stat().st_size // 2])
    return path


def without_images(folder: Path) -> Path:
    path = folder / "text.tgz"
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("readme.txt")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"hello"))
    return path


@pytest.fixture
def bad(tmp_path: Path, sample: Path, sample_store: Path) -> Path:
    """A folder of bad inputs, and two good ones: good.tgz and good.h5."""
    folder = tmp_path / "bad"
    folder.mkdir()
    shutil.copy(sample, folder / "good.tgz")
    shutil.copy(sample_store, folder / "good.h5")
    truncated(folder, sample)
    without_images(folder)
    (folder / "text.h5").write_text("no HDF5")
    (folder / "text.jpg").write_text("no image")
    (folder / "garbage.tgz").write_bytes(gzip.compress(b"no archive" * 1000))
    (folder / "folder.h5").mkdir()
    (folder / "full").mkdir()
    (folder / "full/file").write_text("in the way")
    with h5py.File(folder / "empty.h5", "w"):
        pass
    (folder / "labels.json").write_text('{"red": 0, "blue": 1}')
    (folder / "wrong.json").write_text("[1, 2")
    return folder


def everything(folder: Path) -> dict[str, str]:
    return {**in_folder(folder), **{str(path): "" for path in folder.rglob("*")}}


SORT, PARTITION = ["colourHeuristic.py", "sort"], ["colourHeuristic.py", "partition"]
IDENTIFY, SHOW = ["colourHeuristic.py", "identify"], ["colourHeuristic.py", "show"]

FAILS = [
    [*SORT, "missing.tgz", "out.h5", "5", "1"],
    [*SORT, "garbage.tgz", "out.h5", "5", "1"],
    [*SORT, "text.tgz", "out.h5", "5", "1"],
    [*SORT, "text.jpg", "out.h5", "5", "1"],
    [*SORT, "good.tgz", "folder.h5", "5", "1"],
    [*SORT, "good.tgz", "text.h5", "5", "1"],
    [*SORT, "good.tgz", "/proc/out.h5", "5", "1"],
    [*SORT, "good.tgz", "nowhere/out.h5", "5", "1"],
    [*PARTITION, "missing.tgz", "a.h5", "b.h5", "0.5"],
    [*PARTITION, "text.tgz", "a.h5", "b.h5", "0.5"],
    [*PARTITION, "good.tgz", "same.h5", "same.h5", "0.5"],
    [*PARTITION, "good.tgz", "a.h5", "folder.h5", "0.5"],
    [*IDENTIFY, "missing.tgz", "x.jpg"],
    [*IDENTIFY, "good.tgz", "no-such-member.jpg"],
    [*IDENTIFY, "good.h5", "no/such.jpg"],
    [*IDENTIFY, "text.h5", "x.jpg"],
    [*IDENTIFY, "text.jpg"],
    [*SHOW, "good.tgz", "no-such-member.jpg", "-o", "out.png"],
    [*SHOW, "text.jpg", "-o", "out.png"],
    ["h5vfs.py", "missing.h5", "mnt"],
    ["h5vfs.py", "text.h5", "mnt"],
    ["h5vfs.py", "good.h5", "full"],
    ["h5vfs.py", "good.h5", "text.jpg"],
    ["h5vfs.py", "-u", "full"],
    ["train_model.py", "missing.h5", "-o", "out"],
    ["train_model.py", "text.h5", "-o", "out"],
    ["train_model.py", "empty.h5", "-o", "out"],
    ["classify.py", "missing.tgz", "labels.json", "5"],
    ["classify.py", "good.h5", "missing.json", "5"],
    ["classify.py", "good.h5", "wrong.json", "5"],
    ["classify.py", "good.h5", "labels.json", "5"],
]
WRONG_ARGUMENTS = [
    [*SORT, "good.tgz", "out.h5", "0", "1"],
    [*SORT, "good.tgz", "out.h5", "5", "0"],
    [*SORT, "good.tgz", "out.h5", "-5", "1"],
    [*SORT, "good.tgz", "out.h5", "five", "1"],
    [*SORT, "good.tgz", "out.h5", "5"],
    [*PARTITION, "good.tgz", "a.h5", "b.h5", "1.5"],
    [*PARTITION, "good.tgz", "a.h5", "b.h5", "-0.1"],
    [*PARTITION, "good.tgz", "a.h5", "b.h5", "nan"],
    ["colourHeuristic.py"],
    ["colourHeuristic.py", "paint"],
    ["h5vfs.py"],
    ["train_model.py"],
    ["train_model.py", "good.h5", "--epochs", "-1"],
    ["classify.py", "good.h5", "labels.json", "0"],
]


@pytest.mark.parametrize("command", FAILS, ids=" ".join)
def test_a_failure_is_one_line_and_writes_nothing(run: Run, bad: Path, command: list[str]) -> None:
    before = everything(bad)
    done = run(*command, cwd=bad, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    program = command[0].removesuffix(".py")
    assert done.stderr.startswith(f"{program}: error: "), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert everything(bad) == before


@pytest.mark.parametrize("command", WRONG_ARGUMENTS, ids=" ".join)
def test_wrong_arguments_say_so_and_write_nothing(run: Run, bad: Path, command: list[str]) -> None:
    before = everything(bad)
    done = run(*command, cwd=bad, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("usage: ")
    assert ": error: " in done.stderr.splitlines()[-1]
    assert everything(bad) == before


def test_a_truncated_archive_keeps_what_was_read_and_fails(run: Run, bad: Path) -> None:
    """The whole images are published. The exit status and one line say that others are missing."""
    done = run(*PARTITION, "truncated.tgz", "a.h5", "b.h5", "0.5", cwd=bad, check=False)
    assert done.returncode == 1
    assert "truncated.tgz" in done.stderr
    whole = in_archive(bad / "good.tgz")
    for part in ("a.h5", "b.h5"):
        if (bad / part).exists():
            assert not Counter(in_store(bad / part).values()) - whole
    assert not [name for name in os.listdir(bad) if name.startswith(".")]


def test_a_false_image_is_named_and_passed_over(run: Run, sample: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed.tgz"
    with tarfile.open(sample) as source, tarfile.open(mixed, "w:gz") as target:
        for member in source:
            target.addfile(member, source.extractfile(member) if member.isfile() else None)
        fake = tarfile.TarInfo("jpg/not-really.jpg")
        fake.size = 9
        target.addfile(fake, io.BytesIO(b"no image!"))
    done = run("colourHeuristic.py", "partition", mixed, "a.h5", "b.h5", "0.5")
    assert "not-really.jpg" in done.stdout + done.stderr
    stored = Counter(in_store(tmp_path / "a.h5").values()) + Counter(in_store(tmp_path / "b.h5").values())
    assert stored == in_archive(sample)


# ----- how the tests start commands -----


@pytest.mark.parametrize(
    "words",
    [
        ["colourHeuristic.py", "--version"],
        ["colourHeuristic.py", "summary", "--csv", "sample.h5"],
        ["colourHeuristic.py", "identify", "none.h5", "a"],
        ["colourHeuristic.py", "sort"],
        ["h5vfs.py", "ls", "sample.h5", "nothing"],
        ["train_model.py", "sample.h5", "--freeze"],
        ["classify.py", "sample.h5", "labels.json", "2"],
    ],
    ids=" ".join,
)
def test_a_forked_command_is_like_a_new_one(run: Run, sample_store: Path, words: list[str]) -> None:
    """See helpers/command_servers.py."""
    forked, new = (
        run(*words, cwd=sample_store.parent, check=False, env=env) for env in ({}, {"NEW_PYTHON": "1"})
    )
    assert (forked.returncode, forked.stdout, forked.stderr) == (new.returncode, new.stdout, new.stderr)
