"""`sort` and `partition` on archives that are cut short, broken, or followed by something."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.helpers.archives import COMPRESSIONS, PACKERS, pack, write
from tests.helpers.commands import without_summary
from tests.helpers.small_stores import COLOURS, picture
from tests.helpers.stored_images import stored_images

IMAGES = [(f"jpg/{i:02}.jpg", picture(COLOURS["red"], i)) for i in range(12)]
SORT = ("s.h5", 4, 2)
PARTITION = ("train.h5", "test.h5", 0.5)
commands = pytest.mark.parametrize(
    "command", [("sort", *SORT), ("partition", *PARTITION), ("partition", *PARTITION, "--shard", "1/1")]
)


def count_stored(command, folder: Path) -> int:
    """How many images the stores of a command have."""
    return sum(len(stored_images(folder / name)) for name in command if str(name).endswith(".h5"))


@commands
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_cut_archive_is_used_up_to_the_cut(run, tmp_path, command, compression):
    name, *arguments = command
    plain, packer = pack(IMAGES), PACKERS[compression]
    middle = plain.index(IMAGES[7][0].encode()) + 600  # bzip2 needs a whole stream before the cut
    whole = packer(plain[:middle]) + packer(plain[middle:])
    write(tmp_path / "a", whole[: len(packer(plain[:middle])) + 60])
    done = run("colourHeuristic.py", name, "a", *arguments, check=False)
    assert done.returncode == 1
    assert count_stored(command, tmp_path) == (4 if name == "sort" else 7)
    (line,) = (line for line in done.stderr.splitlines() if "error" in line)
    assert line == (
        "colourHeuristic: error: a ends in the middle of 'jpg/07.jpg' (images before that: 7): "
        "download or copy it again; the finished images are stored: "
        "the same command adds more once the archive is whole"
    )
    write(tmp_path / "a", whole)
    again = run("colourHeuristic.py", name, "a", *arguments)
    assert again.returncode == 0 and "error" not in again.stderr
    assert count_stored(command, tmp_path) == (8 if name == "sort" else 12)


@commands
def test_a_broken_header_costs_only_what_follows(run, tmp_path, command):
    plain = bytearray(pack(IMAGES))
    plain[plain.index(IMAGES[7][0].encode()) + 150] ^= 1
    write(tmp_path / "a.tgz", gzip.compress(plain))
    done = run("colourHeuristic.py", command[0], "a.tgz", *command[1:], check=False)
    assert done.returncode == 1
    assert count_stored(command, tmp_path) == (4 if command[0] == "sort" else 7)
    assert "a.tgz is damaged after 'jpg/06.jpg' (bad checksum): download or copy it again" in done.stderr


@commands
def test_a_cut_before_the_first_image_ends_in_one_line(run, tmp_path, command):
    write(tmp_path / "a.tar", pack(IMAGES)[:600])
    done = run("colourHeuristic.py", command[0], "a.tar", *command[1:], check=False)
    assert done.returncode == 1 and done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert "a.tar ends in the middle of 'jpg/00.jpg' (images before that: 0)" in done.stderr
    assert not list(tmp_path.glob("*.h5"))


@commands
def test_a_cut_archive_again_adds_nothing_and_says_so(run, tmp_path, command):
    plain = pack(IMAGES)
    write(tmp_path / "a.tar", plain[: plain.index(IMAGES[4][0].encode()) + 600])
    for attempt in range(2):
        done = run("colourHeuristic.py", command[0], "a.tar", *command[1:], check=False)
        assert done.returncode == 1 and count_stored(command, tmp_path) == 4
        assert "a.tar ends in the middle of 'jpg/04.jpg' (images before that: 4)" in done.stderr
        assert bool(done.stdout) == (attempt == 0)


@commands
@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
def test_bytes_behind_the_data_are_named_with_status_0(run, tmp_path, command, compression):
    write(tmp_path / "a", pack(IMAGES, compression) + b"\nbehind")
    done = run("colourHeuristic.py", command[0], "a", *command[1:])
    assert count_stored(command, tmp_path) == (4 if command[0] == "sort" else 12)
    (line,) = without_summary(done.stderr).splitlines()
    assert line.startswith("a has 7 bytes behind its ")


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_ignore_zeros_reads_a_second_archive(run, tmp_path, compression):
    packer = PACKERS[compression]
    write(tmp_path / "a", packer(pack(IMAGES[:5])) + packer(pack(IMAGES[5:])))
    done = run("colourHeuristic.py", "partition", "a", *PARTITION)
    assert count_stored(PARTITION, tmp_path) == 5
    assert without_summary(done.stderr) == (
        "a has 7 more images behind its end mark, which are not read: --ignore-zeros reads them, too\n"
    )
    done = run("colourHeuristic.py", "sort", "a", "s.h5", 12, 3, "--ignore-zeros")
    assert without_summary(done.stderr) == ""
    assert count_stored(["s.h5"], tmp_path) == 12
    done = run("colourHeuristic.py", "partition", "a", *PARTITION, "--ignore-zeros")
    assert count_stored(PARTITION, tmp_path) == 12
    assert without_summary(done.stderr) == "already stored: 5 images\n"
