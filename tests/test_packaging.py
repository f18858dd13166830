"""The wheel, in an environment of its own; and the half without training, where there is no torch.

The environment sees the packages of the test environment, so that nothing is installed twice.
"""

from __future__ import annotations

import shutil
import signal
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.helpers.archives import pack, write
from tests.helpers.commands import ROOT, environment
from tests.helpers.hooks import write_hook
from tests.helpers.small_stores import COLOURS, picture

pytestmark = pytest.mark.slow

HIDDEN = ("torch", "torchvision", "matplotlib")
ABSENT = f"import sys\nsys.modules.update(dict.fromkeys({HIDDEN!r}))\n"  # as if they were not installed
BROKEN = "raise ImportError('libtorch_cpu.so: cannot open shared object file')\n"


def call(*words: object, cwd: Path, env: dict | None = None, status: int = 0) -> subprocess.CompletedProcess:
    """Run a program to its end, which must have this status."""
    line = list(map(str, words))
    done = subprocess.run(line, cwd=cwd, env=environment(env), capture_output=True, text=True, timeout=120)
    assert done.returncode == status, f"{line}: {done.stderr}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git has and of what is new."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "imagestore", source / "imagestore", ignore=shutil.ignore_patterns("__pycache__"))
    for pattern in ("*.py", "*.txt", "*.toml", "*.md", "LICENSE"):
        for file in ROOT.glob(pattern):
            shutil.copy(file, source)
    call(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", built, source, cwd=source)
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def commands(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands in an environment that has the wheel."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin/python"
    call(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", wheel, cwd=folder)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "test_environment.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return folder / "bin"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of three colours."""
    path = tmp_path_factory.mktemp("archive") / "photos.tgz"
    members = [(f"{i:02d}.jpg", picture(colour, i)) for i in range(12) for colour in COLOURS.values()]
    members = [(f"{number:03d}{name}", data) for number, (name, data) in enumerate(members)]
    return write(path, pack(members, "gz"))


def test_the_wheel_needs_no_torch_but_its_extra_does(commands: Path, tmp_path: Path) -> None:
    code = "import importlib.metadata as m; print(*m.requires('imagestore'), sep='\\n')"
    needed = call(commands / "python", "-c", code, cwd=tmp_path).stdout.splitlines()
    light = {line.split(">")[0].lower() for line in needed if "extra ==" not in line}
    train = {line.split(">")[0] for line in needed if '"train"' in line.replace("'", '"')}
    assert {"h5py", "numpy", "pillow", "fusepy"} <= light and not light & set(HIDDEN)
    assert train == set(HIDDEN)


def test_the_installed_commands_go_from_archive_to_answers(
    commands: Path, archive: Path, tmp_path: Path
) -> None:
    call(commands / "colourHeuristic", "partition", archive, "train.h5", "test.h5", "0.7", cwd=tmp_path)
    assert call(commands / "h5vfs", "verify", "test.h5", cwd=tmp_path).stdout.endswith("checksums right\n")
    call(commands / "train_model", "train.h5", "--epochs", 2, "-j", 0, cwd=tmp_path)
    answers = call(commands / "classify", "test.h5", "train_labels.json", "all", "-j", 0, cwd=tmp_path).stdout
    assert "accuracy" in answers
    code = "import fsspec; print(fsspec.open('imagestore://::file://test.h5').fs.ls('', detail=False))"
    assert "green" in call(commands / "python", "-c", code, cwd=tmp_path).stdout


def test_messages_name_the_installed_commands(commands: Path, archive: Path, tmp_path: Path) -> None:
    done = call(commands / "train_model", archive, cwd=tmp_path, status=1)
    assert f"{commands}/colourHeuristic partition" in done.stderr and ".py" not in done.stderr


@pytest.mark.parametrize(
    ("event", "what", "status"),
    [
        ("import", "imagestore.shell_completion", -signal.SIGINT),
        ("import", "h5py", 130),
        ("open", ".train.h5.", 130),
        ("os.rename", ".train.h5.", 130),
    ],
)
def test_ctrl_c_ends_an_installed_command_without_traceback(
    commands: Path, archive: Path, tmp_path: Path, event: str, what: str, status: int
) -> None:
    """During the imports, when it begins to write, and when it publishes."""
    hook = write_hook(tmp_path / "hook", event, what, signal.SIGINT)
    line = [commands / "colourHeuristic", "partition", archive, "train.h5", "test.h5", "0.7"]
    done = call(*line, cwd=tmp_path, env={"PYTHONPATH": str(hook)}, status=status)
    assert "Traceback" not in done.stderr


@pytest.fixture(params=["absent", "broken"])
def no_torch(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment of a Python where importing torch fails."""
    folder = tmp_path / "no torch"
    folder.mkdir()
    if request.param == "absent":
        (folder / "sitecustomize.py").write_text(ABSENT)
    else:
        for package in HIDDEN:
            (folder / f"{package}.py").write_text(BROKEN)
    return {"PYTHONPATH": str(folder)}


def test_labelling_and_looking_need_no_torch(archive: Path, no_torch: dict, tmp_path: Path) -> None:
    def script(name: str, *words: object, status: int = 0) -> subprocess.CompletedProcess:
        return call(sys.executable, ROOT / name, *words, cwd=tmp_path, env=no_torch, status=status)

    script("colourHeuristic.py", "sort", archive, "some.h5", 6, 2)
    script("colourHeuristic.py", "partition", archive, "train.h5", "test.h5", 0.7)
    script("colourHeuristic.py", "merge", "all.h5", "train.h5", "test.h5")
    assert "36" in script("colourHeuristic.py", "summary", "all.h5").stdout
    script("colourHeuristic.py", "identify", archive, "*")
    script("colourHeuristic.py", "show", "all.h5", "-o", "sheet.png")
    script("h5vfs.py", "verify", "all.h5")
    script("h5vfs.py", "unpack", "all.h5", "folder")
    script("h5vfs.py", "pack", "folder", "packed.h5")
    script("h5vfs.py", "ls", "packed.h5")
    mounted = script("h5vfs.py", "all.h5", tmp_path / "mnt", "--", "find", tmp_path / "mnt", "-name", "*.jpg")
    assert mounted.stdout.count(".jpg") == 36
    error = script("train_model.py", "train.h5", status=1).stderr
    assert error.startswith("train_model: error: ") and "torch" in error and error.count("\n") == 1
