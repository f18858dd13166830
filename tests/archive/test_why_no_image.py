"""An archive or a folder without an image: the commands say what is in it, and what to do."""

from __future__ import annotations

import importlib.util
import os
import tarfile
from pathlib import Path

import pytest

from imagestore.archive.passed_over import PassedOver
from imagestore.archive.why_no_image import why_no_image
from tests.helpers.archives import Image, noise, pack, tar_entry, write
from tests.helpers.commands import Run, without_summary
from tests.helpers.small_stores import picture

TAR = pack([("a.jpg", noise(2000, 1))])
PAGE = b"<!DOCTYPE html><html><body>404</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 12345\n"
RAW_TIFF = b"II*\0\x10\0\0\0CR\2\0" + noise(500, 1)
COMMANDS = (["partition", "{}", "a.h5", "b.h5", "1"], ["sort", "{}", "a.h5", "5", "1"])


def message(run: Run, source: str, *command: str) -> str:
    """Return the one line of a command that finds no image in `source`."""
    done = run("colourHeuristic.py", *[word.format(source) for word in command], check=False)
    assert done.returncode == 1 and done.stdout == ""
    *notes, line = done.stderr.splitlines()
    assert not notes or (command[0] == "sort" and notes[0].endswith("taking all of them"))
    return line.removeprefix(f"colourHeuristic: error: {source}: holds no image")


@pytest.mark.parametrize(
    ("entries", "counts", "advice"),
    [
        ([(f"n{i}.tar", TAR) for i in range(2)], "2 passed over: archives (2)", "unpack the inner archives"),
        ([("a.zip", b"PK\3\4"), ("b", b"PK\3\4")], "2 passed over: archives (2)", "unpack the inner"),
        ([("a.mp4", b"\0\0\0\x20ftypisom")], "1 passed over: videos (1)", "ffmpeg"),
        ([("a.svg", b"<svg/>"), ("b.pdf", b"%PDF-1.7")], "drawings (1), PDF files (1)", "draw"),
        ([("a.npy", b"\x93NUMPY")], "1 passed over: arrays (1)", "image files"),
        ([("a.CR3", b""), ("b.raf", b"")], "2 passed over: raw camera files (2)", "develop"),
        ([("a.jxl", b"\xff\x0a")], "1 passed over: images of other formats (1)", "convert"),
        ([("notes.txt", b"text")], "1 passed over: not images (1)", "the first is notes.txt"),
        ([(".git/a.jpg", b"1")], "1 passed over: hidden images (1)", "give the hidden folder (.git)"),
        ([("x/.c/y/a", picture((200, 40, 50), 1))], "1 passed over: hidden images (1)", "(x/.c)"),
        ([("._a.jpg", b"1"), ("__MACOSX/a.jpg", b"1")], "2 passed over: hidden (2)", "the first is ._a.jpg"),
        ([tar_entry("a.jpg", tarfile.SYMTYPE, "gone")], "1 passed over: broken links (1)", "git annex get"),
        ([tar_entry("d", tarfile.DIRTYPE)], "", "and no other file"),
        ([], "", "and no other file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_the_reasons_and_what_to_do(
    run: Run, tmp_path: Path, entries: list[Image | tarfile.TarInfo], counts: str, advice: str
) -> None:
    write(tmp_path / "a.tar", pack(entries))
    line = message(run, "a.tar", *COMMANDS[0])
    assert counts in line and advice in line


def test_all_commands_say_the_same(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "a.tar", pack([("notes.txt", b"text"), (".c/a.jpg", b"1")]))
    commands = (*COMMANDS, ["identify", "{}", "--all"], ["identify", "{}", "a.jpg"])
    (line,) = {message(run, "a.tar", *command) for command in commands}  # all but the first have the index
    assert "2 passed over: not images (1), hidden images (1)" in line


@pytest.mark.parametrize(
    ("entries", "counts", "advice"),
    [
        ([(f"{i}.jpg", PAGE) for i in range(3)], "3 passed over: HTML pages (3)", "download these again"),
        ([("a.png", POINTER), ("b.jpg", b"/annex/objects/S")], "2 passed over: pointers (2)", "git lfs pull"),
        ([("a.jpg", b"")], "1 passed over: empty files (1)", "copy or download them again"),
        ([("a.jpg", bytes(5000))], "1 passed over: files of zeros (1)", "copy or download them again"),
        ([("a.nef", RAW_TIFF), ("b.dng", RAW_TIFF)], "2 passed over: raw camera files (2)", "develop"),
        ([("a.jpg", b"PK\3\4" + noise(99, 1))], "1 passed over: archives (1)", "unpack"),
        ([("a.jpg", b'{"error": "not found"}')], "1 passed over: text files (1)",
         "the first is a.jpg (a text file)"),
        ([("a.jpg", b"\xff\xd8\xff" + noise(99, 1))], "1 passed over: JPEG (1)", "the first is a.jpg ("),
        ([("a.jpg", noise(99, 1)), ("b.txt", b"text")],
         "2 passed over: files of an unknown kind (1), not images (1)", "the first is a.jpg ("),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_images_that_are_something_else(
    run: Run, tmp_path: Path, entries: list[Image], counts: str, advice: str
) -> None:
    write(tmp_path / "a.tar", pack(entries))
    for command in COMMANDS:
        line = message(run, "a.tar", *command)
        assert line.startswith(f" that can be decoded: {counts}")
        assert advice in line


def test_heic_without_its_reader(run: Run, tmp_path: Path) -> None:
    """Where pillow-heif is installed, the decoder's reason is that the sample is broken."""
    heic = b"\0\0\0\x18ftypheic" + bytes(500)
    write(tmp_path / "a.tar", pack([(f"IMG_{i}.HEIC", heic) for i in range(24)]))
    line = message(run, "a.tar", *COMMANDS[0])
    assert line.startswith(" that can be decoded: 24 passed over: HEIC (24); the first is IMG_0.HEIC (")
    assert importlib.util.find_spec("pillow_heif") or "pip install pillow-heif" in line


def test_a_hidden_folder_below_a_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photos/.cache/deep").mkdir(parents=True)
    write(tmp_path / "photos/.cache/deep/a.jpg", picture((200, 40, 50), 1))
    line = message(run, "photos", *COMMANDS[0])
    assert line.endswith("1 passed over: hidden images (1); give the hidden folder itself (photos/.cache)")
    assert (
        "a.h5: 1 image" in run("colourHeuristic.py", "partition", "photos/.cache", "a.h5", "b.h5", 1).stdout
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_that_may_not_be_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    write(tmp_path / "photos/a.jpg", b"1").chmod(0)
    assert "unreadable: ask for the right" in message(run, "photos", *COMMANDS[0])


def test_the_advice_is_for_the_most_frequent_reasons() -> None:
    passed_over = PassedOver({"videos": 2, "links": 9, "archives": 5, "folders": 99}, {"links": "l"})
    line = why_no_image(Path("a.tar"), passed_over)
    assert line.startswith(": 16 passed over: links (9), archives (5), videos (2); links: ")
    assert "; archives: " in line and "videos: " not in line


def test_some_images_leave_the_line_as_it_was(run: Run, tmp_path: Path) -> None:
    entries = [
        ("a.jpg", picture((200, 40, 50), 1)),
        ("t.txt", b"text"),
        ("a.mov", b""),
        (".c/a.jpg", b"1"),
        ("b.jpg", PAGE),
    ]
    write(tmp_path / "a.tar", pack(entries))
    done = run("colourHeuristic.py", "partition", "a.tar", "a.h5", "b.h5", 1)
    assert without_summary(done.stderr) == (
        "passed over: not images (1), hidden images (1), videos (1)\n"
        "skipped because they cannot be decoded: 1 image: b.jpg (an HTML page)\n"
    )
