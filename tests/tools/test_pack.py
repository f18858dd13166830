"""pack: the entries that it copies, the entries that it cannot copy, and interrupted runs."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import pytest

from imagestore.store.reader import ImageStore
from imagestore.tools import packed_file
from imagestore.tools.pack import pack
from tests.helpers import signals_at_calls
from tests.helpers.commands import Run
from tests.helpers.h5vfs_runs import check_error, each_ending_signal, h5vfs_as_nobody


def test_a_packed_folder_is_an_image_store(folder: Path, tmp_path: Path):
    pack(folder, tmp_path / "packed.h5")
    with ImageStore(tmp_path / "packed.h5") as store:
        assert store.labels == ["", "blue", "red", "to-folder"]  # "" is the root, the last a link
        assert store.read(store.find("red/deep/b.jpg")) == b"deep"


def test_skipped_entries_are_counted(run: Run, folder: Path, tmp_path: Path):
    os.mkfifo(folder / "pipe")
    (folder / "out").symlink_to("/etc/passwd")
    (folder / "blue/out").symlink_to("../../folder/root.txt")
    (folder / "blue/perhaps").symlink_to("../to-folder/../root.txt")
    done = run("h5vfs.py", "pack", folder, "packed.h5")
    assert "3 links out of the folder" in done.stderr
    assert "1 special file" in done.stderr
    run("h5vfs.py", "unpack", "packed.h5", "back")
    assert not os.path.lexists(tmp_path / "back/pipe")
    assert not os.path.lexists(tmp_path / "back/out")


def test_the_output_in_the_folder_is_not_packed(run: Run, folder: Path):
    for _ in range(2):  # the second run finds the output of the first
        run("h5vfs.py", "pack", folder, folder / "packed.h5")
        assert "packed.h5" not in run("h5vfs.py", "ls", folder / "packed.h5").stdout.split("\n")
    assert not list(folder.glob("*.tmp")) + list(folder.glob(".*"))


def test_other_files_are_packed_if_one_cannot_be_read(run: Run, tmp_path: Path):
    if os.geteuid() == 0:
        # Root may read each file, but a path may not be longer than PATH_MAX.
        deep = os.open(tmp_path, os.O_RDONLY)
        for _ in range(17):
            os.mkdir("d" * 250, dir_fd=deep)
            subfolder = os.open("d" * 250, os.O_RDONLY, dir_fd=deep)
            os.close(deep)
            deep = subfolder
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=deep))
        os.close(deep)
        folder = tmp_path
    else:
        folder = tmp_path / "top"
        folder.mkdir()
        (folder / "secret").touch(0o000)
    (folder / "good").write_text("good")
    done = run("h5vfs.py", "pack", folder, tmp_path / "packed.h5", check=False)
    assert done.returncode == 1
    assert "1 entry could not be packed" in done.stderr
    assert run("h5vfs.py", "cat", tmp_path / "packed.h5", "good").stdout == "good"


def test_an_unreadable_folder_leaves_the_old_output(tmp_path: Path):
    (tmp_path / "top").mkdir()
    (tmp_path / "top/file").write_text("unreadable")
    (tmp_path / "packed.h5").write_text("the old file")
    tmp_path.chmod(0o777)
    for mode in (0o000, 0o300, 0o400):
        (tmp_path / "top").chmod(mode)
        done = h5vfs_as_nobody("pack", "top", "packed.h5", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (1, "h5vfs: error: top: no permission to read it\n")
    (tmp_path / "top").chmod(0o700)
    assert sorted(os.listdir(tmp_path)) == ["packed.h5", "top"]
    assert (tmp_path / "packed.h5").read_text() == "the old file"


@pytest.mark.parametrize("size", [100, packed_file.PIECE + 1])
def test_a_file_that_changes_meanwhile_is_named(tmp_path: Path, monkeypatch, capsys, size: int):
    (tmp_path / "top").mkdir()
    (tmp_path / "top/still").write_text("still")
    (tmp_path / "top/changing").write_bytes(bytes(size))
    read = packed_file._read

    def read_and_change(source: int, length: int) -> bytes:
        if os.fstat(source).st_size == size:
            os.utime(source, (5, 5))
        return read(source, length)

    monkeypatch.setattr(packed_file, "_read", read_and_change)
    assert pack(tmp_path / "top", tmp_path / "packed.h5") == 1
    assert "changing: changed while it was read" in capsys.readouterr().err
    with h5py.File(tmp_path / "packed.h5") as file:
        assert list(file) == ["still"]


def test_the_output_does_not_change_the_packed_time(folder: Path):
    assert pack(folder, folder / "packed.h5") == 0  # making it changes the time of the folder
    with h5py.File(folder / "packed.h5") as file:
        assert file.attrs["Modified"] == 86400


def test_a_disk_that_becomes_full_is_one_line(run: Run, small_disk: Path, large_files: Path):
    done = run("h5vfs.py", "pack", large_files, small_disk / "packed.h5", check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "No space left" in done.stderr
    assert not os.listdir(small_disk)


@each_ending_signal
def test_an_interrupted_pack_leaves_the_old_output(tmp_path: Path, number: int, status: int):
    (tmp_path / "top").mkdir()
    (tmp_path / "packed.h5").write_text("the old file")
    with open(tmp_path / "top/large", "wb") as file:
        file.truncate(600 << 20)
    before = sorted(os.listdir(tmp_path))

    command = ["pack", "top", "packed.h5"]
    write = "imagestore.tools.packed_file.write_all"
    assert signals_at_calls.run("h5vfs", write, 3, number, command, tmp_path)[0] == status
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "packed.h5").read_text() == "the old file"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing", "x.h5"], "missing: no such folder"),
        (["folder/root.txt", "x.h5"], "is no folder"),
        (["folder", "missing/x.h5"], "no folder missing"),
        (["folder", "folder"], "is a folder"),
    ],
)
def test_wrong_paths_are_one_line(run: Run, folder: Path, arguments: list[str], message: str):
    check_error(run, folder.parent, ["pack", *arguments], message)


# ----- links -----


@pytest.fixture
def view(tmp_path: Path) -> Path:
    """A folder of labels whose links lead to images outside, in four ways."""
    (tmp_path / "images/lilies").mkdir(parents=True)
    for i in range(4):
        (tmp_path / f"images/{i}.jpg").write_bytes(b"image %d" % i)
    (tmp_path / "images/lilies/5.jpg").write_bytes(b"image 5")
    (tmp_path / "images/lilies/again.jpg").symlink_to("5.jpg")
    for label in ("rose", "tulip"):
        (tmp_path / "view" / label).mkdir(parents=True)
    (tmp_path / "view/rose/0.jpg").symlink_to("../../images/0.jpg")
    (tmp_path / "view/rose/1.jpg").symlink_to(tmp_path / "images/1.jpg")
    (tmp_path / "view/tulip/1.jpg").symlink_to(tmp_path / "images/1.jpg")
    (tmp_path / "view/tulip/missing.jpg").symlink_to("../../images/missing.jpg")
    (tmp_path / "view/lily").symlink_to("../images/lilies")
    return tmp_path / "view"


def packed_files(path: Path) -> dict[str, bytes]:
    """The images of a packed file, by path."""
    with ImageStore(path) as store:
        return {store.path_of(i): store.read(i) for i in range(len(store))}


def test_links_out_of_the_folder_are_passed_over(run: Run, view: Path):
    done = run("h5vfs.py", "pack", view, "packed.h5")
    assert "passed over 5 links out of the folder" in done.stderr
    assert "--dereference" in done.stderr


def test_what_links_out_of_the_folder_lead_to_is_packed(run: Run, view: Path, tmp_path: Path):
    done = run("h5vfs.py", "pack", "-L", view, "packed.h5")
    assert "passed over 1 link out of the folder" in done.stderr and "--dereference" not in done.stderr
    assert packed_files(tmp_path / "packed.h5") == {
        "lily/5.jpg": b"image 5", "lily/again.jpg": b"image 5",
        "rose/0.jpg": b"image 0", "rose/1.jpg": b"image 1", "tulip/1.jpg": b"image 1",
    }  # fmt: skip
    run("h5vfs.py", "verify", "packed.h5")
    run("h5vfs.py", "unpack", "packed.h5", "back")
    assert (tmp_path / "back/lily/5.jpg").read_bytes() == b"image 5"
    assert (tmp_path / "back/rose").is_dir() and not (tmp_path / "back/lily").is_symlink()


def test_links_to_the_folders_above_end(run: Run, view: Path, tmp_path: Path):
    (view / "tulip/up").symlink_to(tmp_path)  # which holds view
    (tmp_path / "images/lilies/circle").symlink_to("../../view/lily/../lilies")
    done = run("h5vfs.py", "pack", "-L", view, tmp_path / "other.h5")
    assert "links to folders that hold them" in done.stderr or "link to a folder that holds it" in done.stderr
    assert packed_files(tmp_path / "other.h5")["tulip/up/images/0.jpg"] == b"image 0"


def test_absolute_links_in_the_folder_are_links(run: Run, tmp_path: Path):
    (tmp_path / "photos/images").mkdir(parents=True)
    (tmp_path / "photos/rose").mkdir()
    (tmp_path / "shortcut").symlink_to("photos")
    (tmp_path / "photos/images/1.jpg").write_bytes(b"image")
    (tmp_path / "photos/rose/1.jpg").symlink_to(tmp_path / "photos/images/1.jpg")
    (tmp_path / "photos/rose/2.jpg").symlink_to(tmp_path / "shortcut/images/1.jpg")
    run("h5vfs.py", "pack", "photos", "packed.h5")
    with h5py.File(tmp_path / "packed.h5") as file:
        for name in ("rose/1.jpg", "rose/2.jpg"):
            assert file.get(name, getlink=True).path == "/images/1.jpg"
