"""--follow-external: data in other files, and what is said where they are missing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from tests.helpers.commands import Run, without_summary
from tests.helpers.odd_stores import some_bytes

PARTS = 3
ROWS = 4


@pytest.fixture
def master(tmp_path: Path) -> Path:
    """A file whose data are in others: compressed parts, raw bytes, links; some of them are missing."""
    for number in range(PARTS):
        with h5py.File(tmp_path / f"part-{number}.h5", "w") as file:
            file.create_dataset("d", data=np.full((ROWS, 5), number + 1, "u2"), **hdf5plugin.Blosc())
    (tmp_path / "raw.jpg").write_bytes(some_bytes(1))
    with h5py.File(tmp_path / "master.h5", "w", libver="latest") as file:
        add_virtual(file, "v/whole", [f"part-{number}.h5" for number in range(PARTS)])
        add_virtual(file, "v/with_gap", ["part-0.h5", "gone.h5", "part-2.h5"])
        add_virtual(file, "v/gone", ["gone.h5", "gone too.h5"])
        add_numbered(file, "v/numbered", "part-%b.h5")
        layout = h5py.VirtualLayout((PARTS * ROWS, 5), "u2")
        layout[:] = h5py.VirtualSource(".", "v/whole", (PARTS * ROWS, 5))
        file.create_virtual_dataset("v/nested", layout)
        for name in ("raw.jpg", "gone.jpg"):
            size = len(some_bytes(1))
            file.create_dataset(f"e/{name}", (size,), "u1", external=[(name, 0, size)])
        file["x/part"] = h5py.ExternalLink("part-0.h5", "/d")
        file["x/gone"] = h5py.ExternalLink("gone.h5", "/d")
        file["x/no_path"] = h5py.ExternalLink("part-0.h5", "/nothing")
    return tmp_path / "master.h5"


def add_virtual(file: h5py.File, name: str, sources: list[str]) -> None:
    layout = h5py.VirtualLayout((ROWS * len(sources), 5), "u2")
    for number, source in enumerate(sources):
        layout[ROWS * number : ROWS * (number + 1)] = h5py.VirtualSource(source, "d", (ROWS, 5))
    file.create_virtual_dataset(name, layout, fillvalue=9)


def add_numbered(file: h5py.File, name: str, pattern: str) -> None:
    """A virtual dataset that grows with the files that are there."""
    blocks = h5s.create_simple((ROWS, 5), (h5s.UNLIMITED, 5))
    blocks.select_hyperslab((0, 0), (h5s.UNLIMITED, 1), (ROWS, 1), (ROWS, 5))
    layout = h5p.create(h5p.DATASET_CREATE)
    layout.set_virtual(blocks, pattern.encode(), b"d", h5s.create_simple((ROWS, 5)))
    space = h5s.create_simple((0, 5), (h5s.UNLIMITED, 5))
    h5d.create(
        file.require_group("v").id, name.rpartition("/")[2].encode(), h5t.STD_U16LE, space, dcpl=layout
    )


def first_column(path: Path) -> list[int]:
    return np.load(path)[::ROWS, 0].tolist()


def test_other_files_are_read_from_any_folder(run: Run, master, tmp_path):
    run("h5vfs.py", "unpack", master, tmp_path / "out", "--follow-external", cwd=Path("/"))
    out = tmp_path / "out"
    assert first_column(out / "v/whole.npy") == [1, 2, 3]
    assert first_column(out / "v/nested.npy") == [1, 2, 3]
    assert first_column(out / "v/numbered.npy") == [1, 2, 3]
    assert first_column(out / "v/with_gap.npy") == [1, 9, 3]
    assert first_column(out / "x/part.npy") == [1]
    assert (out / "e/raw.jpg").read_bytes() == some_bytes(1)
    missing = {str(path.relative_to(out)): os.readlink(path) for path in out.rglob("*") if path.is_symlink()}
    assert missing == {
        "v/gone": "%external:gone.h5:d",
        "e/gone.jpg": "%external:gone.jpg",
        "x/gone": "%external:gone.h5:%2Fd",
        "x/no_path": "%external:part-0.h5:%2Fnothing",
    }


def test_verify_says_what_is_missing_elsewhere(run: Run, master):
    done = run("h5vfs.py", "verify", master, "--follow-external")
    assert "6 readable, without a checksum, 4 in other files that are not there" in done.stdout
    said = {line.removeprefix(f"h5vfs: {master}: ") for line in without_summary(done.stderr).splitlines()}
    assert said == {
        "v/gone: its data are elsewhere: gone.h5:d (not there)",
        "e/gone.jpg: its data are elsewhere: gone.jpg (not there)",
        "x/gone: its data are elsewhere: gone.h5:/d (not there)",
        "x/no_path: its data are elsewhere: part-0.h5:/nothing (not there)",
        "v/with_gap.npy: its source gone.h5:d is missing; fill values stand for it",
    }
    done = run("h5vfs.py", "verify", master)
    assert (done.stdout, without_summary(done.stderr)) == (
        f"{master}: 0 files, 0 checksums right, 10 in other files (see --follow-external)\n",
        "",
    )


def test_cat_reads_other_files_on_request(run: Run, master, tmp_path):
    done = run("h5vfs.py", "cat", master, "e/raw.jpg", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("elsewhere: raw.jpg; --follow-external reads them if they are there\n")
    (tmp_path / "raw.jpg").write_bytes(b"text".ljust(len(some_bytes(1))))
    assert run("h5vfs.py", "cat", master, "e/raw.jpg", "--follow-external").stdout.strip() == "text"
    assert "part.npy" in run("h5vfs.py", "ls", master, "x", "--follow-external").stdout.split()


@pytest.mark.parametrize("flags", [[], ["--follow-external"]])
def test_a_missing_target_stops_no_tar(run: Run, master, tmp_path, flags):
    mountpoint = tmp_path / "mnt"
    command = [
        "sh",
        "-c",
        f"tar cf {tmp_path}/all.tar -C {mountpoint} . && cp -a {mountpoint} {tmp_path}/copy",
    ]
    run("h5vfs.py", *flags, master, mountpoint, "--", *command)
    listed = subprocess.run(["tar", "tf", tmp_path / "all.tar"], capture_output=True, text=True, check=True)
    assert "./x/gone" in listed.stdout.split()
    assert (tmp_path / "copy/x/gone").is_symlink()


def make_virtual_over_blosc(path: Path, kind: str) -> None:
    with h5py.File(path, "w", libver="latest") as file:
        part = np.full((40, 80), 7, "u2")
        file.create_dataset("raw/part", data=part, chunks=(20, 80), **hdf5plugin.Blosc())
        layout = h5py.VirtualLayout((40, 80), "u2")
        layout[:] = h5py.VirtualSource(".", "raw/part", (40, 80))
        file.create_virtual_dataset("all/data", layout)
        if kind == "nested":
            layout[:] = h5py.VirtualSource(".", "all/data", (40, 80))
            file.create_virtual_dataset("all/data2", layout)


@pytest.mark.parametrize(("kind", "name"), [("plain", "all/data.npy"), ("nested", "all/data2.npy")])
def test_filters_of_sources_are_there_at_the_first_read(run: Run, tmp_path, kind, name):
    make_virtual_over_blosc(tmp_path / "a.h5", kind)
    run("h5vfs.py", "unpack", "a.h5", "out", "--include", name)
    assert np.load(tmp_path / "out" / name).tolist() == [[7] * 80] * 40
