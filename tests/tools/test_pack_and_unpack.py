"""pack, unpack, ls, cat and verify: folders to stores and back, and what is damaged or hostile on the way."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagestore.console import UserError
from imagestore.hdf5.superblock import end_of_file_address
from imagestore.store.index import IndexBuilder, StoreIndex
from imagestore.store.reader import ImageStore
from imagestore.store.trailer import read_trailer, write_trailer
from imagestore.tools.pack import Found, Packer, pack, within
from imagestore.tools.unpack import leaves, unpack
from tests.helpers.commands import ROOT, Run, environment
from tests.helpers.odd_stores import make_indexed, make_odd, some_bytes

HOSTILE = [
    b"-rf", b"a b", b"'\"$(x)`", b"new\nline", b"\x1b[31m", "d\u00e9j\u00e0 \u82b1.jpg".encode(),
    b"\xff\xfe.jpg", b"a%20b.jpg", b"%2F", b"%41", b"%-", b"x%~2.jpg", b"%2E.", b"...",
    b"n" * 255, "\u82b1".encode() * 85,
]  # fmt: skip


def snapshot(folder: Path) -> dict[bytes, tuple]:
    """What a folder holds: kind, permissions, whole seconds of the time, bytes or link text."""
    top = os.fsencode(folder)
    found = {}
    for above, folders, files in os.walk(top):
        for name in [b".", *files, *folders]:
            path = os.path.join(above, name)
            state = os.lstat(path)
            if stat.S_ISLNK(state.st_mode):
                found[os.path.relpath(path, top)] = ("link", os.readlink(path))
                continue
            data = None if stat.S_ISDIR(state.st_mode) else Path(os.fsdecode(path)).read_bytes()
            key = os.path.normpath(os.path.relpath(path, top))
            found[key] = (state.st_mode, state.st_mtime_ns // 10**9, data)
    return found


def make_tree(folder: Path) -> Path:
    """A folder with all that pack keeps."""
    for name in ("red/deep", "blue", "empty"):
        (folder / name).mkdir(parents=True)
    (folder / "red/a.jpg").write_bytes(bytes(range(256)) * 400)
    (folder / "red/deep/b.jpg").write_bytes(b"deep")
    (folder / "root.txt").write_text("at the top\n")
    (folder / "blue/nothing").touch()
    os.link(folder / "red/a.jpg", folder / "blue/hard.jpg")
    (folder / "blue/near").symlink_to("nothing")
    (folder / "blue/far").symlink_to("../red/a.jpg")
    (folder / "blue/nowhere").symlink_to("../red/missing")
    (folder / "to-folder").symlink_to("red/deep")
    (folder / "root.txt").chmod(0o640)
    (folder / "empty").chmod(0o555)
    os.utime(folder / "red/a.jpg", (981173106, 981173106))
    os.utime(folder / "red", (1, 1))
    os.utime(folder / "blue", (-5, -5))
    os.utime(folder, (86400, 86400))
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """`make_tree` in a folder of its own; made removable in the end."""
    yield make_tree(tmp_path / "tree")
    for folder in tmp_path.rglob("empty"):
        folder.chmod(0o755)


# ----- pack and unpack -----


def test_a_folder_comes_back_as_it_was(run: Run, tree: Path, tmp_path: Path):
    before = snapshot(tree)
    done = run("h5vfs.py", "pack", tree, "packed.h5")
    assert "packed 5 files, 4 links into packed.h5" in done.stderr
    assert not done.stdout
    run("h5vfs.py", "unpack", "packed.h5", "back")
    assert snapshot(tmp_path / "back") == before == snapshot(tree)
    first, second = (tmp_path / "back" / name for name in ("red/a.jpg", "blue/hard.jpg"))
    assert first.samefile(second)


def test_the_layout_is_that_of_the_cpp_h5vfs(tree: Path, tmp_path: Path):
    pack(tree, tmp_path / "packed.h5")
    state = (tree / "red/a.jpg").stat()
    with h5py.File(tmp_path / "packed.h5") as file:
        image = file["red/a.jpg"]
        assert (image.dtype, image.ndim, image.chunks) == (np.uint8, 1, None)
        assert image.id.get_offset() is not None
        assert image[()].tobytes() == (tree / "red/a.jpg").read_bytes()
        assert {name: (image.attrs[name].dtype, int(image.attrs[name])) for name in image.attrs} == {
            "Modified": (np.int64, 981173106),
            "Created": (np.int64, int(state.st_ctime)),
            "Permissions": (np.uint32, state.st_mode),
            "crc32": (np.uint32, int(image.attrs["crc32"])),
        }
        assert isinstance(file.attrs["H5VFS"], str)
        assert file["red"].attrs["Modified"] == 1
        assert file["blue"].get("far", getlink=True).path == "/red/a.jpg"
        assert file["blue/hard.jpg"] == image
        assert file["blue/nothing"].shape == (0,)
        assert isinstance(file["empty"], h5py.Group)


def test_a_packed_folder_is_an_image_store(tree: Path, tmp_path: Path):
    pack(tree, tmp_path / "packed.h5")
    with ImageStore(tmp_path / "packed.h5") as store:
        assert store.labels == ["blue", "red"]
        assert store.read(store.find("red/deep/b.jpg")) == b"deep"


def test_hostile_names_come_back_and_stay_inside(run: Run, tmp_path: Path):
    top = tmp_path / "top"
    for name in HOSTILE:
        inside = os.path.join(os.fsencode(top), name)
        os.makedirs(inside)
        with open(os.path.join(inside, name), "wb") as file:
            file.write(name)
    os.utime(top, (5, 5))
    before, around = snapshot(top), sorted(os.listdir(tmp_path))
    run("h5vfs.py", "pack", top, "./-packed.h5")
    run("h5vfs.py", "unpack", "./-packed.h5", "back")
    assert snapshot(tmp_path / "back") == before
    assert sorted(os.listdir(tmp_path)) == sorted([*around, "-packed.h5", "back"])
    assert len(run("h5vfs.py", "verify", "./-packed.h5").stdout.splitlines()) == 1


def entry() -> st.SearchStrategy:
    """(name, kind, bytes, permissions, time) of something in a folder."""
    any_name = st.binary(min_size=1, max_size=40) | st.sampled_from(HOSTILE)
    names = any_name.filter(lambda name: not set(name) & {0, 47} and name not in (b".", b".."))
    permissions = st.integers(0, 0o777).map(lambda mode: mode | 0o700)
    kinds = st.sampled_from(["file", "folder", "link", "hard link"])
    return st.tuples(names, kinds, st.binary(max_size=200), permissions, st.integers(0, 2**32))


def build(top: bytes, entries: list[tuple], choose: st.DataObject) -> None:
    """Make a random folder; links lead to what is there already, written the shortest way."""
    folders, files, times = [top], [], {}
    for name, kind, data, permissions, seconds in entries:
        path = os.path.join(choose.draw(st.sampled_from(folders)), name)
        with contextlib.suppress(FileExistsError):
            if kind == "folder":
                os.mkdir(path)
                folders.append(path)
            elif kind == "link":
                target = choose.draw(st.sampled_from(folders + files))
                os.symlink(os.path.relpath(target, os.path.dirname(path)), path)
                continue
            elif kind == "hard link" and files:
                os.link(choose.draw(st.sampled_from(files)), path)
                continue
            else:
                with open(path, "xb") as file:
                    file.write(data)
                files.append(path)
            times[path] = permissions, seconds
    times[top] = 0o750, 7
    for path, (permissions, seconds) in times.items():
        os.chmod(path, permissions)
        os.utime(path, (seconds, seconds))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(entry(), max_size=14), st.data())
def test_any_folder_comes_back(entries: list[tuple], choose: st.DataObject):
    with tempfile.TemporaryDirectory() as scratch:
        top = Path(scratch, "top")
        top.mkdir()
        build(os.fsencode(top), entries, choose)
        assert pack(top, Path(scratch, "packed.h5")) == 0
        assert unpack([Path(scratch, "packed.h5")], Path(scratch, "back")) == 0
        assert snapshot(Path(scratch, "back")) == snapshot(top)


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (["*.jpg"], [], {"red/a.jpg", "red/deep/b.jpg", "blue/hard.jpg"}),
        (["red"], [], {"red/a.jpg", "red/deep/b.jpg"}),
        (["red/"], ["deep"], {"red/a.jpg"}),
        ([], ["./red/a*", "blue"], {"red/deep/b.jpg", "root.txt"}),
        (["no such thing"], [], set()),
    ],
)
def test_globs_choose(tree: Path, tmp_path: Path, include: list[str], exclude: list[str], expected: set[str]):
    pack(tree, tmp_path / "some.h5", include, exclude)
    unpack([tmp_path / "some.h5"], tmp_path / "some")
    pack(tree, tmp_path / "all.h5")
    unpack([tmp_path / "all.h5"], tmp_path / "chosen", include, exclude)
    assert plain_files(tmp_path / "some") == plain_files(tmp_path / "chosen") == expected


def plain_files(folder: Path) -> set[str]:
    """The paths of all files in a folder, without links."""
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and not p.is_symlink()}


def test_globs_on_the_command_line(run: Run, tree: Path, tmp_path: Path):
    run("h5vfs.py", "pack", tree, "some.h5", "--include", "red", "--include", "*.txt", "--exclude", "a.*")
    run("h5vfs.py", "unpack", "some.h5", "out", "--exclude", "root.*", "--exclude", "nothing")
    assert plain_files(tmp_path / "out") == {"red/deep/b.jpg"}


def test_what_cannot_be_kept_is_counted(run: Run, tree: Path, tmp_path: Path):
    os.mkfifo(tree / "pipe")
    (tree / "out").symlink_to("/etc/passwd")
    (tree / "blue/out").symlink_to("../../tree/root.txt")
    (tree / "blue/perhaps").symlink_to("../to-folder/../root.txt")
    done = run("h5vfs.py", "pack", tree, "packed.h5")
    assert "3 links out of the folder" in done.stderr
    assert "1 special file" in done.stderr
    run("h5vfs.py", "unpack", "packed.h5", "back")
    assert not os.path.lexists(tmp_path / "back/pipe")
    assert not os.path.lexists(tmp_path / "back/out")


@pytest.mark.parametrize(
    ("folder", "text", "expected"),
    [
        (b"", b"a", b"a"), (b"a/b", b"../c", b"a/c"), (b"a", b".././a//x/", b"a/x"), (b"a", b"..", b""),
        (b"a", b"../..", None), (b"", b"/a", None), (b"", b"a/../../x", None), (b"", b"missing/../x", b"x"),
    ],
)  # fmt: skip
def test_where_a_link_leads(folder: bytes, text: bytes, expected: bytes | None):
    assert within(b"/nowhere", folder, text) == expected


@pytest.mark.parametrize(
    ("text", "depth", "expected"),
    [(b"a", 0, False), (b"..", 0, True), (b"../x", 1, False), (b"../../x", 1, True), (b"/etc", 3, True),
     (b"a/../x", 2, True), (b"..", 1, False), (b"...", 0, False)],
)  # fmt: skip
def test_whether_a_link_leaves(text: bytes, depth: int, expected: bool):
    assert leaves(text, depth) == expected


def test_an_output_inside_the_folder_does_not_pack_itself(run: Run, tree: Path):
    for _ in range(2):  # the second time it is there already
        run("h5vfs.py", "pack", tree, tree / "packed.h5")
        assert "packed.h5" not in run("h5vfs.py", "ls", tree / "packed.h5").stdout.split("\n")
    assert not list(tree.glob("*.tmp")) + list(tree.glob(".*"))


def test_a_file_that_cannot_be_read_costs_only_itself(run: Run, tmp_path: Path):
    if os.geteuid() == 0:
        # Root may read everything, except beyond the longest path.
        deep = os.open(tmp_path, os.O_RDONLY)
        for _ in range(17):
            os.mkdir("d" * 250, dir_fd=deep)
            below = os.open("d" * 250, os.O_RDONLY, dir_fd=deep)
            os.close(deep)
            deep = below
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
    assert "1 could not be packed" in done.stderr
    assert run("h5vfs.py", "cat", tmp_path / "packed.h5", "good").stdout == "good"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pack", "missing", "x.h5"], "missing: no such folder"),
        (["pack", "tree/root.txt", "x.h5"], "is no folder"),
        (["pack", "tree", "missing/x.h5"], "no folder missing"),
        (["pack", "tree", "tree"], "is a folder"),
        (["unpack", "missing.h5", "x"], "missing.h5: no such file"),
        (["unpack", "tree/root.txt", "x"], "not an HDF5 file"),
        (["unpack", "good.h5", "tree/root.txt"], "is no folder"),
        (["unpack", "good.h5", "missing/x"], "no folder missing"),
        (["ls", "good.h5", "red/a.jpf"], "no such file: red/a.jpf: did you mean a.jpg?"),
        (["ls", "good.h5", "root.txt/x"], "root.txt is no folder"),
        (["cat", "good.h5", "red"], "red: is a folder"),
        (["cat", "good.h5", "blue/nowhere"], "no such file"),
        (["verify", "no*.h5"], "no file matches"),
    ],
)
def test_one_line_says_what_is_wrong(
    run: Run, tree: Path, tmp_path: Path, arguments: list[str], message: str
):
    pack(tree, tmp_path / "good.h5")
    before = sorted(os.listdir(tmp_path))
    done = run("h5vfs.py", *arguments, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("h5vfs: error: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(os.listdir(tmp_path)) == before


# ----- interrupted, full, in the way -----


def interrupt(command: list[str], when: object, cwd: Path, number: int = signal.SIGINT) -> int:
    """Run h5vfs.py, send a signal as soon as `when()` is true; the exit status."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "h5vfs.py"), *command], cwd=cwd, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < end:
        if when():
            process.send_signal(number)
            break
        time.sleep(0.001)
    return process.wait(timeout=30)


ENDINGS = pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGHUP, 143)])


@ENDINGS
def test_an_interrupted_pack_leaves_what_was_there(tmp_path: Path, number: int, status: int):
    (tmp_path / "top").mkdir()
    (tmp_path / "packed.h5").write_text("the old file")
    with open(tmp_path / "top/large", "wb") as file:
        file.truncate(600 << 20)
    before = sorted(os.listdir(tmp_path))
    begun = lambda: any(path.stat().st_size > 1 << 22 for path in tmp_path.glob(".packed.h5.*"))  # noqa: E731
    assert interrupt(["pack", "top", "packed.h5"], begun, tmp_path, number) == status
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "packed.h5").read_text() == "the old file"


@ENDINGS
def test_an_interrupted_unpack_leaves_no_temporary_file(tmp_path: Path, number: int, status: int):
    with h5py.File(tmp_path / "large.h5", "w") as file:
        file.create_dataset("label/large", (1 << 30,), np.uint8)
    begun = lambda: any((tmp_path / "out/label").glob(".*.tmp"))  # noqa: E731
    (tmp_path / "out/label").mkdir(parents=True)
    assert interrupt(["unpack", "large.h5", "out"], begun, tmp_path, number) == status
    assert not os.listdir(tmp_path / "out/label")


def test_an_interrupted_unpack_goes_on_where_it_stopped(run: Run, tmp_path: Path):
    data = np.arange(100, dtype=np.uint8)
    with h5py.File(tmp_path / "many.h5", "w") as file:
        for i in range(3000):
            file.create_dataset(f"label/{i:04d}", data=data)
    out = tmp_path / "out/label"
    begun = lambda: out.exists() and len(os.listdir(out)) > 20  # noqa: E731
    assert interrupt(["unpack", "many.h5", "out"], begun, tmp_path) == 130
    first = {path.name: path.stat().st_ino for path in out.iterdir()}
    assert 20 <= len(first) < 3000
    assert not [name for name in first if name.endswith(".tmp")]
    (out / "0003").write_bytes(b"cut short")
    run("h5vfs.py", "unpack", "many.h5", "out")
    assert {path.read_bytes() for path in out.iterdir()} == {data.tobytes()}
    assert len(os.listdir(out)) == 3000
    again = {path.name: path.stat().st_ino for path in out.iterdir()}
    assert {name for name in first if first[name] != again[name]} == {"0003"}


def test_nothing_is_written_through_links_that_are_in_the_way(run: Run, tree: Path, tmp_path: Path):
    pack(tree, tmp_path / "packed.h5")
    elsewhere, back = tmp_path / "elsewhere", tmp_path / "back"
    elsewhere.mkdir()
    back.mkdir()
    (elsewhere / "file").write_text("not to be touched")
    (back / "red").symlink_to(elsewhere)
    (back / "root.txt").symlink_to(elsewhere / "file")
    (back / "blue/nothing").mkdir(parents=True)
    done = run("h5vfs.py", "unpack", "packed.h5", "back", check=False)
    assert done.returncode == 1
    assert "red: something that is no folder is in the way" in done.stderr
    assert "blue/nothing: a folder is in the way" in done.stderr
    assert snapshot(elsewhere)[b"file"][2] == b"not to be touched"
    assert os.listdir(elsewhere) == ["file"]
    assert (back / "root.txt").read_text() == "at the top\n"
    assert not (back / "root.txt").is_symlink()
    assert (back / "blue/hard.jpg").read_bytes() == (tree / "red/a.jpg").read_bytes()


def test_a_hostile_store_stays_inside(run: Run, tmp_path: Path):
    with h5py.File(tmp_path / "hostile.h5", "w") as file:
        make = lambda name: file.create_dataset(name, data=np.frombuffer(b"evil", np.uint8))  # noqa: E731
        for name in ("../../escaped", "..", "%2E.", "x/../escaped", "x/" + "long" * 100, "x/~"):
            with contextlib.suppress(ValueError):  # a group of that name is there
                make(name)
        make("x/setuid").attrs["Permissions"] = np.int64(0o104755)
        make("x/when").attrs["Modified"] = np.int64(2**62)
        file["array"] = np.arange(3.0)
        file["array.npy"] = np.frombuffer(b"not an array", np.uint8)
        file["up"] = h5py.SoftLink("/../../../etc/passwd")
        file["x/up"] = h5py.SoftLink("../../../etc/passwd")
        file["external"] = h5py.ExternalLink("/etc/passwd", "/")
        file["x/self"] = file["/"]
    os.mkdir(tmp_path / "in")
    run("h5vfs.py", "unpack", "hostile.h5", "in/out")
    assert sorted(os.listdir(tmp_path)) == ["hostile.h5", "in"]
    assert os.listdir(tmp_path / "in") == ["out"]
    out = tmp_path / "in/out"
    for path in out.rglob("*"):
        assert path.resolve().is_relative_to(out)
        assert path.is_symlink() or not path.stat().st_mode & 0o7000
    written = [path for path in out.rglob("*") if path.is_file() and not path.is_symlink()]
    evil = [path for path in written if path.read_bytes() == b"evil"]
    with h5py.File(tmp_path / "hostile.h5") as file:
        count = []
        file.visititems(lambda _, thing: count.append(thing) if isinstance(thing, h5py.Dataset) else None)
    assert len(written) == len(count)
    assert len(evil) == len(count) - 2
    assert np.load(out / "array%~.npy").tolist() == [0, 1, 2]


def test_nothing_of_other_files_is_unpacked(run: Run, tmp_path: Path):
    secret = Path("/etc/hostname")
    if not secret.exists():
        secret = tmp_path / "secret"
        secret.write_text("not to be seen")
    size = secret.stat().st_size
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file["data"] = np.frombuffer(secret.read_bytes(), np.uint8)
    with h5py.File(tmp_path / "hostile.h5", "w") as file:
        file.create_dataset("label/raw", (size,), np.uint8, external=[(str(secret), 0, size)])
        file.create_dataset("label/array", (size, 1), np.uint8, external=[(str(secret), 0, size)])
        layout = h5py.VirtualLayout((size,), np.uint8)
        layout[:] = h5py.VirtualSource(str(tmp_path / "own.h5"), "data", (size,))
        file.create_virtual_dataset("label/virtual", layout)
        file["label/good"] = np.arange(3, dtype=np.uint8)
    done = run("h5vfs.py", "unpack", "hostile.h5", "out", check=False)
    assert done.returncode == 1
    assert done.stderr.count("another file") == 3
    assert os.listdir(tmp_path / "out/label") == ["good"]


def h5vfs_as_nobody(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    """Run h5vfs.py as a user who owns nothing, where root can; what it imports need not be readable then."""
    become = (
        "import ctypes, locale, os, sys; import h5vfs; from imagestore.tools import pack, unpack\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE: else /proc/self is not its own\n"
        "sys.exit(h5vfs.main())"
    )
    return subprocess.run(
        [sys.executable, "-c", become, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60,
        env=environment({"PYTHONPATH": str(ROOT)}),
    )  # fmt: skip


def test_a_folder_that_cannot_be_read_leaves_the_output_as_it_was(tmp_path: Path):
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder of another owner")
def test_a_folder_of_another_owner_is_named_and_the_others_finished(tmp_path: Path):
    contents = make_indexed(tmp_path / "store.h5")
    (tmp_path / "store.h5").chmod(0o644)
    tmp_path.chmod(0o777)
    (tmp_path / "out/label1").mkdir(parents=True)
    for folder in ("out", "out/label1"):
        (tmp_path / folder).chmod(0o777)
    done = h5vfs_as_nobody("unpack", "store.h5", "out", cwd=tmp_path)
    assert done.returncode == 1
    named, _, counted = done.stderr.splitlines()
    assert named.startswith("h5vfs: label1: its time and permissions cannot be set")
    assert counted == "h5vfs: error: 1 could not be unpacked; everything else was"
    for name, data in contents.items():
        assert (tmp_path / "out" / name).read_bytes() == data
    packed = (tmp_path / "store.h5").stat().st_mtime_ns
    times = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in ("label0", "label1", "label2")}
    assert {name for name, time in times.items() if time == packed} == {"label0", "label2"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 12 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk],
        timeout=10,
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield disk
    subprocess.run(["umount", "-l", disk], timeout=10, check=True)


def test_a_full_disk_is_one_line(run: Run, small_disk: Path, tmp_path: Path):
    (tmp_path / "top").mkdir()
    for i in range(4):
        (tmp_path / f"top/{i}").write_bytes(bytes(5 << 20))
    done = run("h5vfs.py", "pack", "top", small_disk / "packed.h5", check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "No space left" in done.stderr
    assert not os.listdir(small_disk)
    run("h5vfs.py", "pack", "top", "packed.h5")
    done = run("h5vfs.py", "unpack", "packed.h5", small_disk, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "No space left" in done.stderr
    assert sorted(os.listdir(small_disk)) == ["0", "1"]


@pytest.mark.parametrize(
    ("reason", "message"), [(UserError("the reason"), "reason"), (None, "No space left on")]
)
def test_a_disk_that_others_fill(small_disk: Path, tree: Path, reason: UserError | None, message: str):
    output = small_disk / "packed.h5"
    with (
        pytest.raises((UserError, OSError), match=message),
        Packer(output, Found(b"", tree.stat(), True)) as packer,
    ):
        for name in (b"a", b"b"):
            packer._folder(name * 200)
        with open(small_disk / "others", "wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(1 << 12)):
                pass
        if reason:
            raise reason


def test_a_file_that_changes_while_it_is_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "top").mkdir()
    (tmp_path / "top/still").write_text("still")
    changing = tmp_path / "top/changing"
    changing.write_bytes(bytes(64 << 20))
    done = threading.Event()

    def change() -> None:
        while not done.wait(0.001):
            os.utime(changing)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        assert pack(tmp_path / "top", tmp_path / "packed.h5") == 1
    finally:
        done.set()
        thread.join(10)
    assert "changing: changed while it was read" in capsys.readouterr().err
    with h5py.File(tmp_path / "packed.h5") as file:
        assert list(file) == ["still"]


# ----- ls and cat -----


def test_ls_lists_as_a_mount_shows(run: Run, tree: Path, tmp_path: Path):
    pack(tree, tmp_path / "packed.h5")
    assert run("h5vfs.py", "ls", "packed.h5").stdout.split() == [
        "blue",
        "empty",
        "red",
        "root.txt",
        "to-folder",
    ]
    assert run("h5vfs.py", "ls", "packed.h5", "/red/").stdout.split() == ["a.jpg", "deep"]
    assert run("h5vfs.py", "ls", "packed.h5", "to-folder").stdout.split() == ["b.jpg"]
    assert run("h5vfs.py", "ls", "packed.h5", "red/a.jpg").stdout.split() == ["red/a.jpg"]
    long = run("h5vfs.py", "ls", "-l", "packed.h5", "blue", env={"TZ": "UTC"}).stdout.splitlines()
    assert long[0].split()[-3:] == ["far", "->", "../red/a.jpg"]
    assert long[1].split() == ["-r--r--r--", "100K", "2001-02-03", "04:05", "hard.jpg"]


def test_cat_writes_the_bytes(tree: Path, tmp_path: Path):
    pack(tree, tmp_path / "packed.h5")
    for path in ("red/a.jpg", "/red//a.jpg", "blue/far", "blue/../to-folder/../a.jpg"):
        command = [sys.executable, str(ROOT / "h5vfs.py"), "cat", "packed.h5", path]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=30, check=True)
        assert done.stdout == (tree / "red/a.jpg").read_bytes()


def test_cat_is_quiet_when_nobody_reads_on(tmp_path: Path):
    with h5py.File(tmp_path / "large.h5", "w") as file:
        file["label/large"] = np.zeros(20 << 20, np.uint8)
    command = f"'{sys.executable}' '{ROOT / 'h5vfs.py'}' cat large.h5 label/large | head -c 10"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, timeout=30, check=True)
    assert (done.stdout, done.stderr) == (bytes(10), b"")


def test_closed_standard_streams_are_no_obstacle(tmp_path: Path):
    make_odd(tmp_path / "odd.h5")
    command = f"'{sys.executable}' '{ROOT / 'h5vfs.py'}'"
    for arguments, expected in (
        ("cat odd.h5 files/gzip.jpg <&-", some_bytes(1)),
        ("cat odd.h5 files/gzip.jpg <&- 2>&-", some_bytes(1)),
        ("ls odd.h5 links/inside >&-", b""),
        ("ls odd.h5 links/inside <&- >&- 2>&-", b""),
    ):
        done = subprocess.run(
            f"{command} {arguments}", shell=True, cwd=tmp_path, capture_output=True, timeout=30
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, expected, b""), arguments


@pytest.mark.parametrize("tool", ["ls", "verify", "unpack"])
def test_a_pipe_is_no_store(run: Run, tmp_path: Path, tool: str):
    os.mkfifo(tmp_path / "pipe.h5")
    done = run("h5vfs.py", tool, "pipe.h5", *["out"] * (tool == "unpack"), check=False, timeout=20)
    assert done.returncode == 1
    assert "pipe.h5: is a pipe or a device" in done.stderr
    assert len(done.stderr.splitlines()) == 1


# ----- verify -----


def test_verify_counts_what_is_right(run: Run, sample_store: Path, old_store: Path):
    done = run("h5vfs.py", "verify", sample_store, old_store)
    assert done.stdout.splitlines() == [
        f"{sample_store}: 60 files, 60 checksums right",
        f"{old_store}: 36 files, 0 checksums right, 36 readable, without a checksum",
    ]


def overwrite(path: Path, offset: int, data: bytes) -> None:
    """Change bytes in a file behind everybody's back."""
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


@pytest.mark.parametrize("how", ["a flipped bit", "another tool", "damaged HDF5 object", "damaged group"])
def test_verify_finds_what_is_damaged(run: Run, sample_store: Path, tmp_path: Path, how: str):
    store = tmp_path / "store.h5"
    shutil.copy(sample_store, store)
    with ImageStore(store) as images:
        name, offset, first = images.path_of(20), int(images.index.offset[20]), images.read(20)[:1]
        address = h5py.h5o.get_info(images.dataset(20)).addr
        label = name.split("/")[0]
        group = h5py.h5o.get_info(images.hdf5()[label].id).addr
        names = {images.path_of(i) for i in range(len(images)) if images.path_of(i).startswith(label + "/")}
    if how == "a flipped bit":
        overwrite(store, offset, bytes([first[0] ^ 1]))
    elif how == "another tool":
        with h5py.File(store, "r+") as file:
            file[name][0] = first[0] ^ 1
    else:
        overwrite(store, address if how == "damaged HDF5 object" else group, b"\xff" * 16)
    done = run("h5vfs.py", "verify", store, sample_store, check=False)
    assert done.returncode == 1
    named = {line.split(": ")[2] for line in done.stderr.splitlines()}
    assert named - {label} == (names if how == "damaged group" else {name})
    assert f"{sample_store}: 60 files, 60 checksums right" in done.stdout
    assert " bad" in done.stdout.splitlines()[0]


def test_verify_compares_the_index_with_hdf5(run: Run, sample_store: Path, tmp_path: Path):
    store = tmp_path / "store.h5"
    shutil.copy(sample_store, store)
    with open(store, "r+b") as file:
        index, builder = read_trailer(file.fileno(), end_of_file_address(file.fileno())), IndexBuilder()
        for i in range(len(index)):
            builder.add(index.record(i), int(index.offset[i]) + (i == 9))
        trailer, end = builder.build(), end_of_file_address(file.fileno())
        file.truncate(end)  # else what is left of a longer trailer would hide this one
        write_trailer(file.fileno(), end, trailer)
    done = run("h5vfs.py", "verify", store, check=False)
    assert done.returncode == 1
    assert done.stdout == f"{store}: 60 files, 59 checksums right, 1 bad\n"
    assert f"{os.fsdecode(row_path(index, 9))}: the store's index and HDF5" in done.stderr


def row_path(index: StoreIndex, i: int) -> bytes:
    """The path of an image, in bytes."""
    return index.record(i).label + b"/" + index.record(i).name


def test_unpack_writes_no_empty_file_for_a_damaged_one(run: Run, tmp_path: Path):
    with h5py.File(tmp_path / "store.h5", "w") as file:
        for name in ("good", "bad"):
            file[f"label/{name}"] = np.arange(9, dtype=np.uint8)
        address = h5py.h5o.get_info(file["label/bad"].id).addr
    overwrite(tmp_path / "store.h5", address, b"\xff" * 16)
    done = run("h5vfs.py", "unpack", "store.h5", "out", check=False)
    assert done.returncode == 1
    assert "label/bad: damaged in the store" in done.stderr
    assert os.listdir(tmp_path / "out/label") == ["good"]
    assert run("h5vfs.py", "verify", "store.h5", check=False).stdout.endswith(" 1 bad\n")


def test_verify_of_what_is_no_store(run: Run, sample_store: Path, tmp_path: Path):
    (tmp_path / "cut.h5").write_bytes(sample_store.read_bytes()[:100_000])
    (tmp_path / "text.h5").write_text("no HDF5")
    done = run("h5vfs.py", "verify", "cut.h5", "text.h5", sample_store, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2
    assert "60 checksums right" in done.stdout


def test_unpack_names_damaged_files_and_goes_on(run: Run, sample_store: Path, tmp_path: Path):
    store = tmp_path / "store.h5"
    shutil.copy(sample_store, store)
    with ImageStore(store) as images:
        name, offset = images.path_of(7), int(images.index.offset[7])
    overwrite(store, offset, b"damaged")
    done = run("h5vfs.py", "unpack", store, "out", check=False)
    assert done.returncode == 1
    assert f"{name}: damaged in the store" in done.stderr
    assert sum(path.is_file() for path in (tmp_path / "out").rglob("*")) == 59


def test_several_stores_unpack_as_one(run: Run, tmp_path: Path):
    for number in (1, 2):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["red/same.jpg"] = np.array([number], np.uint8)
            file[f"red/only{number}.jpg"] = np.array([number], np.uint8)
    run("h5vfs.py", "unpack", "?.h5", "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out/red").iterdir()} == {
        "same.jpg": b"\1", "same%~2.jpg": b"\2", "only1.jpg": b"\1", "only2.jpg": b"\2",
    }  # fmt: skip
