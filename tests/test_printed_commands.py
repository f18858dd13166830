"""printed_commands.py: the commands in messages run as they are when they are pasted into a shell.

Each test takes a command out of a message, and runs it in a shell in the folder of the user.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagestore.printed_commands import command_line, path_argument, pip_install, script
from tests.helpers.commands import ROOT, environment
from tests.helpers.odd_stores import make_indexed

ODD_FOLDERS = ['-f"$HOME"it\'s`id`;x*', "two  spaces\nbreak\té", "a=b"]
ODD_NAMES = [
    *ODD_FOLDERS,
    "plain",
    "-",
    "two  spaces",
    "back\\slash",
    "'\\\n'",
    "\x1b[31m\x7f",
    "\u2028\xa0",
    "向日葵",
]
ODD_NAMES += ["", "caf\udce9", "~", "!!", "it's"]


@pytest.fixture(params=ODD_FOLDERS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with an odd name. In it, `scripts` is a link to the scripts, and has the same name."""
    folder = tmp_path / request.param
    folder.mkdir()
    (folder / request.param).symlink_to(ROOT)
    return folder


def in_shell(command: str, folder: Path) -> subprocess.CompletedProcess:
    """Paste a command into bash, in a folder."""
    return subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=120)


def h5vfs_in(
    folder: Path, *arguments: str, env: dict[str, str | None] | None = None
) -> subprocess.CompletedProcess:
    """Run h5vfs.py of the link in `folder`, by a relative path, with this Python."""
    path = f"{folder.name}/h5vfs.py"
    words = [sys.executable, f"./{path}" if path.startswith("-") else path, *arguments]
    return subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=120, env=environment(env)
    )  # fmt: skip


@pytest.mark.usefixtures("fuse_library")
def test_commands_of_mounts_run_when_pasted(folder: Path) -> None:
    store, mountpoint = f"./{folder.name}.h5", f"./{folder.name}.mnt"
    make_indexed(folder / store)

    def unmounted_by(message: str, intro: str) -> bool:
        done = in_shell(message.partition(intro)[2], folder)
        return done.returncode == 0 and not os.path.ismount(folder / mountpoint)

    try:
        assert unmounted_by(h5vfs_in(folder, store, mountpoint).stdout, "to unmount: ")
        _, again = (h5vfs_in(folder, store, mountpoint) for _ in range(2))
        assert unmounted_by(again.stderr, "unmount it: ")
        h5vfs_in(folder, store, mountpoint)
        with open(folder / mountpoint / "label0/image_0000.jpg"):
            busy = h5vfs_in(folder, "-u", mountpoint)
            assert unmounted_by(busy.stderr, "when its users end: ")
    finally:
        subprocess.run(["umount", "-l", mountpoint], cwd=folder, capture_output=True)


def test_the_command_in_place_of_a_mount_unpacks(folder: Path) -> None:
    store = f"./{folder.name}.h5"
    contents = make_indexed(folder / store)
    refused = h5vfs_in(folder, store, "./out", env={"FUSE_LIBRARY_PATH": "/nowhere.so"})
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    done = in_shell(refused.stderr.partition("without a mount: ")[2], folder)
    assert done.returncode == 0, done.stderr
    for path, data in contents.items():
        assert (folder / "out" / path).read_bytes() == data


def test_a_folder_that_cat_refuses_is_listed(folder: Path) -> None:
    store = f"./{folder.name}.h5"
    make_indexed(folder / store)
    refused = h5vfs_in(folder, "cat", store, "label1")
    done = in_shell(refused.stderr.partition("list it: ")[2], folder)
    assert done.stdout.splitlines()[0] == "image_0001.jpg"


def test_a_word_is_quoted_as_bash_reads_it(tmp_path: Path) -> None:
    for encoding in ("utf-8", "ascii"):
        program = (
            "import sys; from imagestore.printed_commands import command_line as c; print(c(*sys.argv[1:]))"
        )
        line = subprocess.run(
            [sys.executable, "-c", program, *ODD_NAMES], capture_output=True, check=True,
            env=environment({"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding}),
        ).stdout  # fmt: skip
        assert line.count(b"\n") == 1 and b"\x1b" not in line
        echoed = subprocess.run(["bash", "-c", b"printf '%s\\0' " + line], capture_output=True).stdout
        assert echoed == b"".join(os.fsencode(word) + b"\0" for word in ODD_NAMES)


@pytest.mark.parametrize(
    ("path", "argument"),
    [("x.h5", "x.h5"), (Path("-x.h5"), "./-x.h5"), ("a=b/x", "./a=b/x"), ("/-x", "/-x"), ("a/b=c", "a/b=c")],
)
def test_a_path_is_no_option_and_no_variable(path: str | Path, argument: str) -> None:
    assert path_argument(path) == argument


def start_of_script(argv0: str, cwd: Path, search_path: str) -> list[str]:
    """The words that start train_model.py in a process whose script is `argv0`."""
    program = "import sys; from imagestore.printed_commands import script; sys.argv[0] = sys.argv[1]"
    program += "; print(*script('train_model.py'), sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", program, argv0], cwd=cwd, capture_output=True, text=True, check=True,
        env=environment({"PYTHONPATH": str(ROOT), "PATH": search_path}),
    )  # fmt: skip
    return done.stdout.splitlines()


def test_the_script_is_named_as_it_was_typed(tmp_path: Path) -> None:
    this_python = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    (tmp_path / "link").symlink_to(ROOT / "train_model.py")
    for argv0, cwd, start in [
        ("./train_model.py", ROOT, "./train_model.py"),
        ("train_model.py", ROOT, "./train_model.py"),  # python train_model.py
        ("h5vfs.py", ROOT, "./train_model.py"),
        ("../train_model.py", ROOT / "jobs", "../train_model.py"),
        ("./link", tmp_path, "./link"),
        (f"{ROOT}/classify.py", tmp_path, f"{ROOT}/train_model.py"),
        ("-c", tmp_path, f"{ROOT}/train_model.py"),
    ]:
        assert start_of_script(argv0, cwd, this_python) == [start]


def test_another_interpreter_is_named(tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to("/bin/true")
    start = [sys.executable, "./train_model.py"]
    assert start_of_script("./train_model.py", ROOT, f"{tmp_path}:{os.environ['PATH']}") == start
    assert start_of_script("./train_model.py", ROOT, "/nowhere") == start


def test_an_environment_that_links_to_python_is_another(tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(sys.executable)
    assert start_of_script("./train_model.py", ROOT, str(tmp_path))[0] == sys.executable


def test_packages_are_installed_for_this_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "python3").symlink_to("/bin/true")
    command = pip_install("--upgrade", "hdf5plugin")
    assert command == command_line(sys.executable, "-m", "pip", "install", "--upgrade", "hdf5plugin")
    asked = command.replace("install --upgrade", "--version #")
    assert in_shell(asked, tmp_path).stdout.startswith("pip ")


def test_a_script_that_cannot_be_executed_is_given_to_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "h5vfs.py").write_text("")
    monkeypatch.setattr("imagestore.printed_commands.CHECKOUT", str(tmp_path))
    assert script("h5vfs.py") == [sys.executable, str(tmp_path / "h5vfs.py")]
